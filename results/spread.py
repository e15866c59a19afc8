"""How much of the spread of a measurement is design, and how much is the luck of the seed.

The model is the one-way analysis of variance with random effects: a run measures the mean of all designs, plus what
its design adds (standard deviation `between`), plus the luck of its seed (`within`, the same for every design: pooled).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from results.student import quantile

LEVEL = 0.95
"""Of every confidence interval, unless another is asked for."""


def half_width(sd: ArrayLike, df: ArrayLike, n: ArrayLike, level: float = LEVEL) -> Any:
    """Of Student's confidence interval of a mean over `n`, by a deviation of `df` degrees of freedom; NaN with none."""
    kinds, which = np.unique(np.asarray(df), return_inverse=True)
    factors = np.array([quantile(0.5 + level / 2, int(one)) if one >= 1 else np.nan for one in kinds.tolist()])
    factor = factors[which].reshape(np.shape(df)) if len(factors) else np.full(np.shape(df), np.nan)
    return (factor * sd / np.sqrt(n))[()]


def interval(mean: ArrayLike, half: ArrayLike) -> tuple[Any, Any]:
    """The ends of the interval of a mean accuracy, cut where no accuracy can be: below 0 and above 1."""
    low, high = (np.clip(np.add(mean, sign * np.asarray(half)), 0.0, 1.0)[()] for sign in (-1, 1))
    return low, high


@dataclass(frozen=True, slots=True)
class Spread:
    """Variance components over `runs` of `designs`.

    `within` is the standard deviation between seeds of one design, pooled over designs, with `df` degrees of freedom;
    NaN where no design has a second seed, and then `between` is too. `between` is that of the designs themselves, the
    seeds' luck subtracted, at least 0. `mean` is that of all designs, each weighted by how surely it is known.
    `n` and `means` (both of shape [designs]) are the seeds of each design and its mean over them.
    """

    runs: int
    designs: int
    df: int
    within: float
    between: float
    mean: float
    n: NDArray[np.int64] = field(repr=False, compare=False)
    means: NDArray[np.float64] = field(repr=False, compare=False)

    @property
    def ratio(self) -> float:
        """Variance of designs over that of seeds."""
        if self.within:
            return (self.between / self.within) ** 2
        return float("inf") if self.between else 0.0

    @property
    def seeds(self) -> float:
        """Of a design, in harmonic mean: the variance of the luck of means is that of one seed, divided by this."""
        return float(1 / (1 / self.n).mean())

    def half_width(self, n: ArrayLike, level: float = LEVEL) -> Any:
        """Of the confidence interval of a mean over `n` seeds of one design; NaN where nothing is known of luck.

        Student's t with the pooled deviation: one seed has an interval too, once other designs have several.
        """
        return half_width(self.within, self.df, n, level)

    def expected(self, mean: ArrayLike, n: ArrayLike) -> Any:
        """What fresh seeds of a design are expected to give, when `n` of them gave `mean`.

        The best linear unbiased prediction of the random-effects model: the mean drawn towards that of all designs, the
        more the fewer its seeds. So a design that was lucky once does not lead. NaN where nothing is known of luck.
        """
        if self.df < 1:
            return np.full(np.shape(mean), np.nan)[()]
        return self.mean + self._weight(np.asarray(n)) * (np.asarray(mean) - self.mean)

    def _weight(self, n: NDArray[Any]) -> Any:
        own, luck = self.between**2, self.within**2 / n
        return np.divide(own, own + luck, out=np.ones_like(luck), where=own + luck > 0)


def spread(values: ArrayLike, designs: ArrayLike) -> Spread:
    """The components of `values` (shape [runs]), where `designs` (shape [runs]) says of which design each is.

    Designs of one seed count for the spread between designs. Unequal numbers of seeds: Searle, Linear Models (1971),
    section 11.2.
    """
    measured = np.asarray(values, dtype=float)
    _, codes = np.unique(np.asarray(designs), return_inverse=True)
    n = np.bincount(codes)
    means = np.bincount(codes, measured) / n
    return spread_of(n, means, float(((measured - means[codes]) ** 2).sum()))


def spread_of(n: NDArray[np.int64], means: NDArray[np.float64], squares: float) -> Spread:
    """As `spread`, of what it needs to know of the values: of each design how many and their mean (both of shape
    [designs]), and the sum of all squared differences from the mean of their design."""
    runs, number = int(n.sum()), len(n)
    df = runs - number
    if df < 1:
        mean = float(means.mean()) if number else float("nan")
        return Spread(runs, number, 0, float("nan"), float("nan"), mean, n, means)
    within = squares / df
    if number < 2:
        return Spread(runs, number, df, within**0.5, 0.0, float(means.mean()), n, means)
    square = float((n * (means - np.average(means, weights=n)) ** 2).sum() / (number - 1))
    effective = float((runs - (n**2).sum() / runs) / (number - 1))
    between = max(0.0, (square - within) / effective)  # the estimate without bias may be negative
    total = between + within
    weights = n * total / (n * between + within) if total > 0 else n  # total / (between + within / n): none overflows
    mean = float(np.average(means, weights=weights))
    return Spread(runs, number, df, within**0.5, between**0.5, mean, n, means)
