"""What a sampler sees of a long search."""

from __future__ import annotations

import random
from collections.abc import Sequence

from results.ranks import fronts
from search.samplers.protocol import Memory, Told
from search_space import Space


class Thinned(Memory):
    """What a sampler whose proposals cost more with each trial is shown: all at first, then the best and a sample.

    Up to `most` designs. Beyond, the `best` by non-dominated rank, which decide what is good, and of the others a
    seeded sample, which decides what is usual; the choice is made anew every `stride` tells. Infeasible designs are
    shown as far as they do not outnumber the measured ones, the last first.
    """

    start = 10
    most: int
    best: int
    stride = 32

    def __init__(self, space: Space, *, seed: int, objectives: int) -> None:
        super().__init__(space, seed=seed, objectives=objectives)
        self._thinned: tuple[int, list[Told]] = 0, []

    def shown(self) -> list[Told]:
        """In the order of telling."""
        infeasible = [told for told in self.told[-self.most :] if not told.values]
        measured = self._shown_measured()
        kept = {id(told) for told in (*measured, *infeasible[-len(measured) :])}
        return [told for told in self.told if id(told) in kept]

    def _shown_measured(self) -> list[Told]:
        count = len(self.measured)
        if count <= self.most:
            return self.measured
        settled = count - count % self.stride
        if self._thinned[0] != settled:
            self._thinned = settled, self._thin(self.measured[:settled])
        return self._thinned[1] + self.measured[settled:]

    def _thin(self, measured: Sequence[Told]) -> list[Told]:
        ranked = [index for front in fronts([told.values for told in measured]) for index in front]
        best, others = ranked[: self.best], ranked[self.best :]
        rng = random.Random(f"{self.seed} {len(measured)} thin")
        kept = best + rng.sample(others, min(self.most - self.best, len(others)))
        return [measured[index] for index in sorted(kept)]
