"""How well one measurement orders what another measures: Kendall, Spearman, top-k recall, with bootstrap intervals."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from results.spread import LEVEL

_Array = NDArray[np.float64]


class Agreement(NamedTuple):
    """Of `cheap` with `dear` over n designs; each with the ends of its percentile bootstrap interval over designs.

    Kendall's tau-b and Spearman's rho with mid-ranks; NaN where one of the two is constant. `recall` is the part of the
    k best by `dear` that are among the k best by `cheap`; one that knows nothing gives k / n. NaN unless n > k.
    """

    kendall: tuple[float, float, float]
    spearman: tuple[float, float, float]
    recall: tuple[float, float, float]


def agreement(cheap: ArrayLike, dear: ArrayLike, k: int, draws: int = 2000, seed: int = 0) -> Agreement:
    """Agreement of two measurements (both of shape [n], higher is better), with intervals over `draws` resamplings.

    The n designs are drawn again with replacement, so the intervals speak of other designs from where these came from.
    A design that is drawn twice is tied with itself. The same seed gives the same intervals.
    """
    x, y = np.asarray(cheap, dtype=float), np.asarray(dear, dtype=float)
    n = len(x)
    drawn = np.random.default_rng(seed).integers(0, n, (draws, n))
    weights = _counts(drawn, n)
    whole = np.ones((1, n))
    kendall, spearman = _kendall(x, y), _spearman(x, y)
    point = float(_recall(x, y, k)[0]) if n > k else float("nan")
    return Agreement(
        _with_interval(float(kendall(whole)[0]), kendall(weights)),
        _with_interval(float(spearman(whole)[0]), spearman(weights)),
        _with_interval(point, _recall(x[drawn], y[drawn], k) if n > k else np.array([np.nan])),
    )


def _counts(drawn: NDArray[np.int64], n: int) -> _Array:
    """How often each design was drawn: shape [draws, n]."""
    offset = n * np.arange(len(drawn))[:, None]
    return np.bincount((drawn + offset).ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)


def _with_interval(point: float, drawn: _Array) -> tuple[float, float, float]:
    known = drawn[np.isfinite(drawn)]
    if not len(known) or not np.isfinite(point):
        return point, float("nan"), float("nan")
    low, high = np.quantile(known, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return point, float(low), float(high)


def _kendall(x: _Array, y: _Array) -> Any:
    """Tau-b as a function of weights [draws, n]: of all pairs, each as often as its two designs were drawn."""
    signs = [np.sign(v[:, None] - v[None, :]) for v in (x, y)]
    both, of_x, of_y = signs[0] * signs[1], abs(signs[0]), abs(signs[1])

    def tau(weights: _Array) -> _Array:
        concordant, untied_x, untied_y = (((weights @ pairs) * weights).sum(1) for pairs in (both, of_x, of_y))
        return _ratio(concordant, np.sqrt(untied_x * untied_y))

    return tau


def _spearman(x: _Array, y: _Array) -> Any:
    """Rho as a function of weights [draws, n]: Pearson's of the mid-ranks within what was drawn."""
    below = [(np.sign(v[:, None] - v[None, :]) + 1) / 2 for v in (x, y)]

    def rho(weights: _Array) -> _Array:
        total = weights.sum(1, keepdims=True)
        ranks = [weights @ part.T for part in below]
        ranks = [rank - (weights * rank).sum(1, keepdims=True) / total for rank in ranks]
        product, of_x, of_y = ((weights * a * b).sum(1) for a, b in (ranks, ranks[:1] * 2, ranks[1:] * 2))
        return _ratio(product, np.sqrt(of_x * of_y))

    return rho


def _recall(x: _Array, y: _Array, k: int) -> _Array:
    """Of each line of x and y (shape [draws, n] or [n]); of equals the first counts as the better in both."""
    best_x, best_y = (np.zeros(np.atleast_2d(v).shape, dtype=bool) for v in (x, y))
    for best, values in ((best_x, x), (best_y, y)):
        order = np.argsort(-np.atleast_2d(values), axis=1, kind="stable")[:, :k]
        np.put_along_axis(best, order, True, axis=1)
    return (best_x & best_y).sum(1) / k


def _ratio(above: _Array, below: _Array) -> _Array:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
