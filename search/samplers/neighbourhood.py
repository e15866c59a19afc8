"""Samplers that need no model: random search, and two that walk from design to neighbouring design."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from results.ranks import fronts
from search.samplers.protocol import Memory, Taken, Told, first_free
from search_space import NONE, AttentionDesign


class RandomSearch(Memory):
    """Every design that is not taken with the same chance: random search without replacement."""

    def propose(self, draw: int, taken: Taken) -> AttentionDesign | None:
        return self.anything(self.chance(draw), taken)


class LocalSearch(Memory):
    """Best-first local search: a random free neighbour of the best measured design that still has one.

    Best is the lower non-dominated rank, then the lower first objective. White, Nolen and Savani, "Exploring the Loss
    Landscape in Neural Architecture Search" (UAI 2021), with every measured design kept as a place to go back to.
    """

    start = 10

    def propose(self, draw: int, taken: Taken) -> AttentionDesign | None:
        rng = self.chance(draw)
        if len(self.measured) >= self.start:
            for parent in _best_first(self.measured):
                child = first_free(self.space.neighbours(parent.design), rng, taken)
                if child is not None:
                    return child
        return self.anything(rng, taken)


class Evolution(Memory):
    """Regularised evolution: the best of a tournament among the youngest, changed in one axis.

    Real et al., "Regularized Evolution for Image Classifier Architecture Search" (AAAI 2019): what is old leaves the
    population, however good. A parent whose neighbours are all taken is followed by a random design.
    """

    start = 16
    population = 32
    tournament = 8

    def propose(self, draw: int, taken: Taken) -> AttentionDesign | None:
        rng = self.chance(draw)
        if len(self.measured) >= self.start:
            alive = self.measured[-self.population :]
            players = rng.sample(alive, min(self.tournament, len(alive)))
            for parent in _best_first(players):
                child = first_free(self.space.neighbours(parent.design), rng, taken)
                return child or self.anything(rng, taken)
        return self.anything(rng, taken)


def _best_first(measured: Sequence[Told]) -> Iterator[Told]:
    """By front, then first objective. `none` is left out: all designs are next to it, which teaches nothing."""
    some = [told for told in measured if told.design != NONE]
    for front in fronts([told.values for told in some]):
        yield from (some[index] for index in front)
