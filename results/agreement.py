"""How well one measurement orders what another measures: Kendall, Spearman, top-k recall, with bootstrap intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from results.spread import LEVEL

_Array = NDArray[np.float64]

_CELLS = 2_000_000
"""Numbers in one array at most, whatever the designs and the resamplings are: some 16 MB."""


class Agreement(NamedTuple):
    """Of `cheap` with `dear` over n designs; each with the ends of its percentile bootstrap interval over designs.

    Kendall's tau-b and Spearman's rho with mid-ranks; NaN where one of the two is constant. `recall` is the part of the
    k best by `dear` that are among the k best by `cheap`; one that knows nothing gives k / n. Where equals compete for
    the last of the k places it is the part to be expected when they are drawn by lot. NaN unless n > k.
    """

    kendall: tuple[float, float, float]
    spearman: tuple[float, float, float]
    recall: tuple[float, float, float]


def agreement(cheap: ArrayLike, dear: ArrayLike, k: int, draws: int = 2000, seed: int = 0) -> Agreement:
    """Agreement of two measurements (both of shape [n], higher is better), with intervals over `draws` resamplings.

    The n designs are drawn again with replacement, so the intervals speak of other designs from where these came from.
    A design that is drawn twice is tied with itself. The same seed gives the same intervals. Time grows with draws
    times n^2, memory does not.
    """
    x, y = _Ordered(cheap), _Ordered(dear)
    n = len(x.codes)
    point = _measures(np.ones((1, n)), x, y, k)[:, 0]
    random = np.random.default_rng(seed)
    most = max(1, _CELLS // n)
    sizes = [min(most, draws - done) for done in range(0, draws, most)]
    drawn = np.concatenate([_measures(_counts(random.integers(0, n, (size, n))), x, y, k) for size in sizes], axis=1)
    return Agreement(*(_with_interval(float(value), each) for value, each in zip(point, drawn, strict=True)))


class _Ordered:
    """Values from the highest down, equal ones as one group: `codes` (shape [n]) is the group of each."""

    def __init__(self, values: ArrayLike) -> None:
        down = -np.asarray(values, dtype=float)
        _, self.codes = np.unique(down, return_inverse=True)
        self._order = np.argsort(down, kind="stable")
        self._starts = np.flatnonzero(np.diff(self.codes[self._order], prepend=-1))

    def grouped(self, weights: _Array) -> _Array:
        """The sum of weights (shape [draws, n]) in each group: shape [draws, groups]."""
        return np.add.reduceat(weights[:, self._order], self._starts, axis=1)


def _measures(weights: _Array, x: _Ordered, y: _Ordered, k: int) -> _Array:
    """Shape [3, draws]: Kendall's tau, Spearman's rho and recall, each design counted as often as it was drawn."""
    recall = _recall(weights, x, y, k) if len(x.codes) > k else np.full(len(weights), np.nan)
    return np.stack([_kendall(weights, x, y), _spearman(weights, x, y), recall])


def _counts(drawn: NDArray[np.int64]) -> _Array:
    """How often each design was drawn: shape [draws, n], as `drawn`."""
    offset = drawn.shape[1] * np.arange(len(drawn))[:, None]
    return np.bincount((drawn + offset).ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)


def _with_interval(point: float, drawn: _Array) -> tuple[float, float, float]:
    known = drawn[np.isfinite(drawn)]
    if not len(known) or not np.isfinite(point):
        return point, float("nan"), float("nan")
    low, high = np.quantile(known, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return point, float(low), float(high)


def _kendall(weights: _Array, x: _Ordered, y: _Ordered) -> _Array:
    """Tau-b: of all ordered pairs, each as often as its two designs were drawn."""
    n = weights.shape[1]
    small = weights.astype(np.float32)  # whole numbers up to n, exact
    concordant = np.zeros(len(weights))
    for few in np.array_split(np.arange(n), 1 + n * n // _CELLS):
        signs = np.ones((), dtype=np.float32)
        for codes in (x.codes, y.codes):
            signs = signs * np.sign(codes[:, None] - codes[None, few]).astype(np.float32)
        concordant += ((small @ signs) * weights[:, few]).sum(1)
    untied = [n * n - (each.grouped(weights) ** 2).sum(1) for each in (x, y)]
    return _ratio(concordant, np.sqrt(untied[0] * untied[1]))


def _spearman(weights: _Array, x: _Ordered, y: _Ordered) -> _Array:
    """Rho: Pearson's of the mid-ranks within what was drawn."""
    ranks = []
    for each in (x, y):
        size = each.grouped(weights)
        middle = size.cumsum(1) - size / 2 - weights.shape[1] / 2  # 0 on average
        ranks.append(middle[:, each.codes])
    product, of_x, of_y = ((weights * a * b).sum(1) for a, b in (ranks, ranks[:1] * 2, ranks[1:] * 2))
    return _ratio(product, np.sqrt(of_x * of_y))


def _recall(weights: _Array, x: _Ordered, y: _Ordered, k: int) -> _Array:
    """Of the k first of each draw. Where a group has more than the places that are left each of its designs is in with
    the same part, independently in x and y; the copies of one design that fill them alone are the same in both."""
    parts, alone = [], []
    for each in (x, y):
        size = each.grouped(weights)
        taken = np.clip(k - (size.cumsum(1) - size), 0, size)
        parts.append(np.divide(taken, size, out=np.zeros_like(size), where=size > 0)[:, each.codes])
        alone.append((each.grouped((weights > 0).astype(float)) == 1)[:, each.codes])
    shared = np.where(alone[0] & alone[1], np.minimum(*parts), parts[0] * parts[1])
    found: _Array = (weights * shared).sum(1) / k
    return found


def _ratio(above: _Array, below: _Array) -> _Array:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
