"""Asynchronous successive halving: how far each trial goes, and which go on. Imports no torch.

Promotion is that of ASHA (Li et al., MLSys 2020), with the order of MO-ASHA (Schmucker et al., 2021, arXiv:2106.12639):
by non-dominated rank within the rung, and within a rank the best first in the first objective, then whatever lies
farthest from those already taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from results.ranks import nondominated_ranks
from search_space.errors import UserError


class HalvingError(UserError):
    """Rungs that make no search."""


@dataclass(frozen=True)
class Rungs:
    """Epochs of each rung, ascending; the last is the end. One rung: every trial is trained to the end."""

    epochs: tuple[int, ...]
    factor: int = 3

    @property
    def end(self) -> int:
        return self.epochs[-1]

    @property
    def halves(self) -> bool:
        return len(self.epochs) > 1

    def after(self, epochs: int) -> int:
        """The rung that follows."""
        return self.epochs[self.epochs.index(epochs) + 1]

    def promotable(self, finished: Mapping[str, Sequence[float]]) -> list[str]:
        """Which trials of one rung deserve the next, best first.

        `finished` holds what is to be minimised for every trial that has finished the rung (NaN for one that failed).
        One of every `factor` goes on, as soon as there are so many; never one that failed.
        """
        return by_rank(finished)[: len(finished) // self.factor]


def rungs(end: int, *, halving: bool, factor: int = 3, shortest: int = 1, bracket: int = 0) -> Rungs:
    """Rungs that end at `end` epochs, each `factor` times the one before, from `shortest` epochs up.

    Bracket b leaves out the b shortest rungs, as Hyperband's brackets do: fewer designs see more epochs each.
    Raises `HalvingError`.
    """
    if not halving:
        return Rungs((end,), factor)
    if factor < 2:
        raise HalvingError(f"halving factor: {factor} given; allowed: 2 or more.")
    if not 1 <= shortest <= end:
        raise HalvingError(f"shortest rung: {shortest} epochs given; allowed: 1 to the {end} epochs of the recipe.")
    found = [end]
    while found[0] // factor >= shortest:
        found.insert(0, found[0] // factor)
    if not 0 <= bracket < len(found):
        shown = ", ".join(f"{b} begins at {epochs}" for b, epochs in enumerate(found))
        raise HalvingError(f"bracket: {bracket} given; allowed for {end} epochs with factor {factor}: {shown} epochs.")
    return Rungs(tuple(found[bracket:]), factor)


def by_rank(values: Mapping[str, Sequence[float]]) -> list[str]:
    """Names from best to worst; those with a missing value are left out."""
    names = sorted(name for name, numbers in values.items() if not np.isnan(numbers).any())
    if not names:
        return []
    points = np.array([values[name] for name in names], dtype=float)
    ranks = np.array(nondominated_ranks(points.tolist()))
    span = np.ptp(points, axis=0)
    scaled = (points - points.min(axis=0)) / np.where(span > 0, span, 1)
    order: list[int] = []
    for rank in range(ranks.max() + 1):
        order += _spread(scaled, list(np.flatnonzero(ranks == rank)))
    return [names[index] for index in order]


def _spread(points: np.ndarray, members: list[int]) -> list[int]:
    """Members of one rank: best in the first objective, then always the one farthest from those taken."""
    taken = [min(members, key=lambda index: tuple(points[index]))]
    rest = [index for index in members if index != taken[0]]
    nearest = np.linalg.norm(points[rest] - points[taken[0]], axis=1)
    while rest:
        far = int(np.argmax(nearest))
        taken.append(rest.pop(far))
        nearest = np.minimum(np.delete(nearest, far), np.linalg.norm(points[rest] - points[taken[-1]], axis=1))
    return taken
