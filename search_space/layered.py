"""One design for each place of a network: what a search that learns per layer writes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from search_space.design import AttentionDesign
from search_space.errors import DesignError, refuse


@dataclass(frozen=True, slots=True)
class Layered:
    """Designs in the order in which the network applies them, all at one placement. Text: joined by ` | `."""

    designs: tuple[AttentionDesign, ...]

    def __post_init__(self) -> None:
        if not self.designs:
            refuse("designs", self.designs, "one for each place of the network")
        places = {design.place for design in self.designs}
        if len(places) > 1 or any(design.squeeze in ("none", "ba") for design in self.designs):
            raise DesignError(
                f"designs {str(self)!r}: one for each place of the network needs one placement ({', '.join(places)} "
                "given), and neither none nor ba among them."
            )

    def __str__(self) -> str:
        return " | ".join(map(str, self.designs))

    @property
    def place(self) -> str:
        return self.designs[0].place

    @property
    def moved(self) -> bool:
        return any(design.moved for design in self.designs)

    @property
    def key(self) -> str:
        return " | ".join(design.key for design in self.designs)

    @property
    def learned(self) -> bool:
        return any(design.learned for design in self.designs)


def placed(design: AttentionDesign | Layered, placement: str) -> AttentionDesign | Layered:
    """The same design at another place of the block; `none` is the same everywhere."""
    if isinstance(design, Layered):
        return Layered(tuple(replace(one, placement=placement) for one in design.designs))
    return design if design.squeeze == "none" else replace(design, placement=placement)


def spread(design: AttentionDesign | Layered, places: int) -> Iterator[AttentionDesign]:
    """The design of each of the network's places. Raises `DesignError` if they are not as many."""
    if isinstance(design, AttentionDesign):
        return iter((design,) * places)
    if len(design.designs) != places:
        refuse("designs", f"{len(design.designs)} joined by |", f"{places}, one for each place of this network")
    return iter(design.designs)
