"""What every sampler is asked, and what it was told."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from search_space import AttentionDesign, Space

Taken = Callable[[AttentionDesign], bool]
"""Whether a design is done, running or not allowed: it would not be trained if it were proposed."""


class Sampler(Protocol):
    """Proposes designs of one space from what was measured; every objective is minimised.

    A proposal depends on nothing but the seed, what was told in which order, `draw` and `taken`: a search that was
    stopped and told the same again goes on as if it had never stopped.
    """

    def tell(self, design: AttentionDesign, values: Sequence[float]) -> None:
        """Add a measured design of the space; a value that is no finite number counts as the worst there is."""

    def tell_infeasible(self, design: AttentionDesign, violation: float) -> None:
        """Add a design over a limit, `violation` > 0 growing with how far: to be kept away from, never measured."""

    def propose(self, draw: int, taken: Taken) -> AttentionDesign | None:
        """The `draw`-th proposal after what has been told; never a taken one.

        None: every distinct design is taken.
        """


@dataclass(frozen=True, slots=True)
class Told:
    """One design a sampler was told of; without values if it is over a limit or they were no finite numbers."""

    design: AttentionDesign
    values: tuple[float, ...] = ()
    violation: float = 0.0


class Memory:
    """What was told, in order, and chance that depends on nothing else."""

    def __init__(self, space: Space, *, seed: int, objectives: int) -> None:
        assert objectives >= 1, objectives
        self.space, self.seed, self.objectives = space, seed, objectives
        self.told: list[Told] = []
        self.measured: list[Told] = []

    def tell(self, design: AttentionDesign, values: Sequence[float]) -> None:
        assert len(values) == self.objectives, f"{len(values)} values told of {self.objectives} objectives"
        finite = all(map(math.isfinite, values))
        self._add(Told(design, tuple(map(float, values))) if finite else Told(design, violation=math.inf))

    def tell_infeasible(self, design: AttentionDesign, violation: float) -> None:
        assert violation > 0, violation
        self._add(Told(design, violation=violation))

    def _add(self, told: Told) -> None:
        self.space.choices(told.design)  # refuses what is outside
        self.told.append(told)
        if told.values:
            self.measured.append(told)

    def chance(self, draw: int) -> random.Random:
        return random.Random(f"{self.seed} {len(self.told)} {draw}")

    def anything(self, rng: random.Random, taken: Taken) -> AttentionDesign | None:
        """A distinct design that is not taken, each with the same chance; None if there is none."""
        return first_free(self.space.distinct(), rng, taken)


def first_free(designs: Sequence[AttentionDesign], rng: random.Random, taken: Taken) -> AttentionDesign | None:
    """One of `designs` that is not taken, each with the same chance; None if there is none."""
    for _ in range(min(128, len(designs))):  # nearly always enough, and does not ask for thousands
        design = rng.choice(designs)
        if not taken(design):
            return design
    free = [design for design in designs if not taken(design)]
    return rng.choice(free) if free else None
