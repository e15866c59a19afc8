"""Asynchronous successive halving: how far each trial goes, and which go on. Imports no torch.

Promotion is that of ASHA (Li et al., MLSys 2020), with the order of MO-ASHA (Schmucker et al., 2021, arXiv:2106.12639):
by non-dominated rank within the rung, and within a rank the best first in the first objective, then whatever lies
farthest from those already taken.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from results.ranks import fronts
from search_space.errors import UserError

Name = TypeVar("Name", str, tuple[str, int])  # of a trial


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

    def promotable(self, finished: Mapping[Name, Sequence[float]], done: Collection[Name] = ()) -> list[Name]:
        """Which trials of one rung deserve the next and have not got it (are not in `done`), best first.

        `finished` holds what is to be minimised for every trial that has finished the rung (NaN for one that failed).
        One of every `factor` goes on, as soon as there are so many; never one that failed.
        """
        return by_rank(finished, len(finished) // self.factor, done)


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


def by_rank(
    values: Mapping[Name, Sequence[float]], most: int | None = None, left_out: Collection[Name] = ()
) -> list[Name]:
    """Names from best to worst; those with a missing value are left out.

    Of the first `most` (None: all), those that are not in `left_out`: where they stand is not asked, which is most of
    the work.
    """
    names = sorted(values)
    if most == 0 or not names:
        return []
    points = np.array([values[name] for name in names], dtype=float)
    there = ~np.isnan(points).any(axis=1)
    points, names = points[there], [name for name, measured in zip(names, there.tolist(), strict=True) if measured]
    if not names:
        return []
    span = np.ptp(points, axis=0)
    scaled = (points - points.min(axis=0)) / np.where(span > 0, span, 1)
    left = len(points) if most is None else most
    found: list[Name] = []
    for front in fronts(points):
        if any(names[index] not in left_out for index in front):
            spread = [names[index] for index in _spread(scaled, sorted(front), left)]
            found += [name for name in spread if name not in left_out]
        left -= len(front)
        if left <= 0:
            break
    return found


def _spread(points: np.ndarray, members: list[int], most: int) -> list[int]:
    """The first `most` members of one rank: best in the first objective, then the one farthest from those taken."""
    own = points[members]
    place = min(range(len(members)), key=lambda index: tuple(own[index]))
    nearest = np.full(len(members), np.inf)
    taken = []
    while True:
        taken.append(members[place])
        if len(taken) == min(most, len(members)):
            return taken
        nearest = np.minimum(nearest, np.linalg.norm(own - own[place], axis=1))
        nearest[place] = -1  # and stays so: it is the least
        place = int(np.argmax(nearest))
