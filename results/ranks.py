"""Non-dominated ranks: the order of measurements when several numbers count at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


def nondominated_ranks(values: Sequence[Sequence[float]]) -> list[int]:
    """The front each of n points lies in, 0 being what no other dominates; every number is minimised.

    A point is dominated by one that is no larger anywhere and smaller somewhere, so equal points share a rank. Rank r
    is the front once all ranks below r are taken away (Goldberg's sorting, as in NSGA-II). NaN is worse than every
    number (as infinity). 10,000 points take well under a second.
    """
    ranks = [0] * len(values)
    for rank, front in enumerate(fronts(values)):
        for index in front:
            ranks[index] = rank
    return ranks


def fronts(values: Sequence[Sequence[float]] | NDArray[np.float64]) -> Iterator[list[int]]:
    """The fronts of `nondominated_ranks`, best first, each as indices ordered by the first number, then the next."""
    if not len(values):
        return
    points = np.asarray(values, dtype=np.float64)
    assert points.ndim == 2 and points.shape[1] > 0, f"points of one length are needed, got shape {points.shape}"
    points = np.where(np.isnan(points), np.inf, points)
    unique, belongs = np.unique(points, axis=0, return_inverse=True)  # in lexicographic order
    belongs = belongs.reshape(-1)  # numpy 2.0 gave it a second axis
    order = np.argsort(belongs, kind="stable").tolist()
    ends = np.cumsum(np.bincount(belongs)).tolist()
    for front in _of_pairs(unique) if points.shape[1] == 2 else _of_many(unique):
        yield [index for point in front for index in order[ends[point - 1] if point else 0 : ends[point]]]


def _of_pairs(unique: NDArray[np.float64]) -> list[list[int]]:
    """The fronts of distinct points of two numbers in lexicographic order, in n log n steps.

    What comes earlier is no larger in the first number, so a point lies behind every front that has got down to its
    second number; the lowest second numbers of the fronts ascend (Jensen, IEEE Trans. Evol. Comp. 7, 2003).
    """
    found: list[list[int]] = []
    lowest: list[float] = []
    for point, second in enumerate(unique[:, 1].tolist()):
        rank = bisect_right(lowest, second)
        if rank == len(found):
            found.append([])
            lowest.append(second)
        found[rank].append(point)
        lowest[rank] = second
    return found


def _of_many(unique: NDArray[np.float64]) -> Iterator[list[int]]:
    """The fronts of distinct points in lexicographic order."""
    left = np.arange(len(unique))
    while left.size:
        front, left = _peel(unique, left)
        yield front


def _peel(unique: NDArray[np.float64], left: NDArray[np.intp]) -> tuple[list[int], NDArray[np.intp]]:
    """The front of the distinct points `left` (lexicographic order), and what is not in it, in that order."""
    front: list[int] = []
    dominated: list[NDArray[np.intp]] = []
    while left.size:
        # what comes earlier in the order is no larger in the first number: nothing later dominates the first left
        pivot, rest = left[0], left[1:]
        front.append(int(pivot))
        worse = np.all(unique[rest, 1:] >= unique[pivot, 1:], axis=1)
        dominated.append(rest[worse])
        left = rest[~worse]
    return front, np.sort(np.concatenate(dominated))
