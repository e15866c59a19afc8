"""The space: which values each axis takes, and every design they make. Imports no torch and no Optuna."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import Any, Protocol

from search_space.axis_values import Choice, SpaceError, kernel, typed, words
from search_space.design import NONE, AttentionDesign
from search_space.errors import DesignError
from search_space.nearness import Nearness
from search_space.vocabulary import EXCITATIONS

Choose = Callable[[str, tuple[Any, ...]], Any]


Walked = tuple[dict[AttentionDesign, dict[str, Choice]], dict[tuple[str, Choice], DesignError]]
"""The choices that lead to each design, and the axis values that every design refused, with the reason."""


class Trial(Protocol):
    """What the space needs of an Optuna trial."""

    def suggest_categorical(self, name: str, choices: Any, /) -> Any: ...


@dataclass(frozen=True)
class Space:
    """The designs to search among. The defaults below are the one place where default axis values are written.

    `squeeze` and `excitation` are words of the text form, `bands` and `frequencies` the selection axis of the wavelet
    and of the DCT. Every published design that is no block lies in the default space.
    """

    squeeze: tuple[str, ...] = (
        *("none", "avg", "max", "std", "l2", "energy", "entropy"),
        *("avg+max", "avg+std", "avg+skew", "avg+blurmax+relentropy"),
        *("context", "recursive", "ortho-s0", "dct", "wavelet"),
    )
    excitation: tuple[str, ...] = (
        *("mlp", "mlp-bias", "mlp-ln-bias-add", "mlp-shared-bias", "mlp-mixed"),
        *("conv1d", "conv1d-bias", "affine", "affine-g64", "cfc", "fc-bias-hard", "pfca", "gated", "gaussian"),
    )
    reduction: tuple[int, ...] = (4, 8, 16)
    kernel: tuple[str, ...] = ("adaptive", "k3", "k7")
    frequencies: tuple[str, ...] = (
        *(f"{family}{k}" for family in ("low", "top", "bottom") for k in (2, 4, 8, 16)),
        "learned16",
    )
    wavelet: tuple[str, ...] = ("haar", "db2", "sym4", "bior2.2")
    depth: tuple[int, ...] = (1, 2, 3)
    bands: tuple[str, ...] = ("coarse4", "details", "all")
    statistic: tuple[str, ...] = ("mean", "energy")
    each: tuple[bool, ...] = (False, True)
    placement: tuple[str, ...] = ("published",)

    def __post_init__(self) -> None:
        default: dict[str, Any] = {f.name: f.default for f in fields(self)}
        for name, given in self.axes().items():
            listed = given if isinstance(given, (list, tuple)) else [given]
            # equal spaces are one: 16.0 and True, which equal a reduction and a depth, are none
            values = tuple(typed(name, value, type(default[name][0])) for value in listed)
            if not values or len(set(values)) != len(values):
                raise SpaceError(f"axis {name}: {values!r} is empty or repeats a value.")
            object.__setattr__(self, name, values)
        # a value no design can take is refused here, not in the middle of a search; a default may lie idle when other
        # axes are narrowed
        self._refuse({(axis, value) for axis, value in self._idle if value not in default[axis]})

    def axes(self) -> dict[str, tuple[Choice, ...]]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def _refuse(self, pairs: set[tuple[str, Choice]]) -> None:
        for axis, value in self._idle:
            if (axis, value) in pairs:
                raise SpaceError(f"axis {axis}: no design can take {value!r}. {self._idle[axis, value]}")

    # -- the tree of choices: one walk serves enumeration, sampling and suggestion ---------------------------------

    def decide(self, choose: Choose) -> AttentionDesign:
        """The design that `choose(axis, options)` leads to; an axis without meaning for the operator is not asked."""
        squeeze = choose("squeeze", self.squeeze)
        if squeeze == "none":
            return NONE
        excitation = choose("excitation", self.excitation)
        chosen = words(squeeze, excitation)
        if chosen["excitation"] == "mlp" and "reduction" not in chosen:
            chosen["reduction"] = choose("reduction", self.reduction)
        elif chosen["excitation"] == "conv1d" and "kernel" not in chosen:
            chosen["kernel"] = kernel(choose("kernel", self.kernel))
        if squeeze == "dct":
            chosen["selection"] = choose("frequencies", self.frequencies)
        elif squeeze == "wavelet":
            chosen["wavelet"] = choose("wavelet", self.wavelet)
            chosen["depth"] = choose("depth", self.depth)
            chosen["selection"] = choose("bands", self.bands)
            chosen["statistic"] = choose("statistic", self.statistic)
        one_number = EXCITATIONS[chosen["excitation"]].one_number or "groups" in chosen
        if squeeze in ("dct", "wavelet", "recursive") and not one_number:
            chosen["each"] = choose("each", self.each)
        place = choose("placement", self.placement)
        return AttentionDesign(placement=None if place == "published" else place, **chosen)

    def suggest(self, trial: Trial) -> AttentionDesign:
        """The design an Optuna trial (ask, define-by-run) chooses; `DesignError` if its choices exclude each other."""
        return self.decide(trial.suggest_categorical)

    def choices(self, design: AttentionDesign) -> dict[str, Choice]:
        """The choices that lead to `design`. Raises `SpaceError` if none do."""
        found = self._choices.get(design)
        if found is None:
            raise SpaceError(f"design {str(design)!r} is not in this space; `attnas space --list` prints what is.")
        return dict(found)

    # -- enumeration -----------------------------------------------------------------------------------------------

    def designs(self) -> tuple[AttentionDesign, ...]:
        """Every valid design, in the order of the axes; several may spell one function (see `distinct`)."""
        return tuple(self._choices)

    def distinct(self) -> tuple[AttentionDesign, ...]:
        """One design for each key: the first spelling met."""
        return self._distinct

    def count(self) -> dict[str, int]:
        """Flat product of all axes, valid designs, distinct designs."""
        raw = prod(len(values) for values in self.axes().values())
        return {"raw": raw, "valid": len(self.designs()), "distinct": len(self.distinct())}

    def sample(self, rng: random.Random) -> AttentionDesign:
        """One distinct design, each with the same chance."""
        return rng.choice(self._distinct)

    def neighbours(self, design: AttentionDesign) -> list[AttentionDesign]:
        """The distinct designs that differ from `design` in exactly one of the axes both have.

        Axes that exist on one side only (they come with the operator) are free. The relation is symmetric.
        """
        self.choices(design)  # refuses what is outside
        return list(self._nearness.of(design))

    @cached_property
    def _nearness(self) -> Nearness:
        return Nearness(self._choices)

    @cached_property
    def _distinct(self) -> tuple[AttentionDesign, ...]:
        first: dict[str, AttentionDesign] = {}
        for design in self.designs():
            first.setdefault(design.key, design)
        return tuple(first.values())

    @property
    def _choices(self) -> dict[AttentionDesign, dict[str, Choice]]:
        return self._walked[0]

    @property
    def _idle(self) -> dict[tuple[str, Choice], DesignError]:
        """Axis values that every design refused, with the reason."""
        return self._walked[1]

    @cached_property
    def _walked(self) -> Walked:
        return _walk(self)

    def _paths(self) -> Iterator[tuple[dict[str, Choice], AttentionDesign | DesignError]]:
        """Every sequence of choices `decide` can ask for: an odometer that replays it until the last choice turns."""
        path: list[int] = []
        while True:
            asked: list[tuple[str, tuple[Any, ...]]] = []

            def choose(axis: str, options: tuple[Any, ...], asked: list = asked) -> Any:
                asked.append((axis, options))
                if len(asked) > len(path):
                    path.append(0)
                return options[path[len(asked) - 1]]

            design: AttentionDesign | DesignError
            try:
                design = self.decide(choose)
            except DesignError as error:
                design = error
            yield {axis: options[i] for (axis, options), i in zip(asked, path, strict=True)}, design
            while path and path[-1] + 1 == len(asked[len(path) - 1][1]):
                path.pop()
            if not path:
                return
            path[-1] += 1

    # -- narrowing -------------------------------------------------------------------------------------------------

    def narrow(self, axes: dict[str, Any]) -> Space:
        """A space with some axes replaced, `{"depth": [1, 2]}`. Raises `SpaceError` naming axis, value and choices."""
        known = self.axes()
        for name in axes:
            if name not in known:
                raise SpaceError(f"axis {name!r} does not exist; axes: {', '.join(known)}.")
        narrowed = replace(self, **axes)
        narrowed._refuse({(name, value) for name in axes for value in getattr(narrowed, name)})
        return narrowed

    def narrow_text(self, assignments: list[str]) -> Space:
        """Narrowed from the command line: `["squeeze=avg,dct", "depth=1,2"]`."""
        axes: dict[str, list[str]] = {}
        for text in assignments:
            name, equals, values = text.partition("=")
            if not equals or not values:
                raise SpaceError(f"axis {text!r}: write AXIS=VALUE[,VALUE...], as in depth=1,2.")
            if name.strip() in axes:
                raise SpaceError(f"axis {name.strip()!r} is given twice; write all its values in one, as in depth=1,2.")
            axes[name.strip()] = [value.strip() for value in values.split(",")]
        return self.narrow(axes)

    @classmethod
    def from_toml(cls, path: Path) -> Space:
        """The default space narrowed by a TOML file of `axis = [values]` lines."""
        try:
            return cls().narrow(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SpaceError(
                f"space file {str(path)!r} can't be read: {error}. Write lines like depth = [1, 2]."
            ) from None


@lru_cache(maxsize=4)
def _walk(space: Space) -> Walked:
    """Equal spaces are met again and again: the default one in every narrowing."""
    found: dict[AttentionDesign, dict[str, Choice]] = {}
    refused: dict[tuple[str, Choice], DesignError] = {}
    met: set[tuple[str, Choice]] = set()
    for choices, design in space._paths():
        if isinstance(design, AttentionDesign):
            found.setdefault(design, choices)
            met.update(choices.items())
        else:  # coarse7 exists from depth 2 on: a pair that can't be met is left out
            refused.update(dict.fromkeys(choices.items(), design))
    if not found:
        raise SpaceError(f"no design is possible: {next(iter(refused.values()))}")
    return found, {pair: error for pair, error in refused.items() if pair not in met}
