"""How many seeds tell two designs apart, and how well a ranking of so many seeds can agree with the truth.

SciPy is imported where its functions are used: it takes a tenth of a second, and a comparison of two needs none.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from results.spread import LEVEL, Spread
from results.student import beyond, quantile
from search_space.errors import UserError

POWER = 0.8
MOST_SEEDS = 100_000


def seeds_needed(gap: float, sd: float, level: float = LEVEL, power: float = POWER, *, paired: bool = False) -> int:
    """Seeds of each of two designs so that a true `gap` of their means is found with probability `power`.

    By Student's two-sided t test at 1 - `level`; exact, by the noncentral t. `sd` is the deviation between seeds of one
    design, or if the two are `paired` by seed that of their differences; in the unit of `gap`. At most `MOST_SEEDS`.

    Raises:
        UserError: the gap is not above 0.
    """
    if not gap > 0:
        raise UserError(f"gap: {gap:g} given; allowed: above 0")
    if sd == 0:
        return 2
    low, high = 1, 2
    while _found(high, gap / sd, level, paired) < power:
        if high > MOST_SEEDS:
            return MOST_SEEDS
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _found(middle, gap / sd, level, paired) >= power else (middle, high)
    return high


def seeds_in_words(seeds: float) -> str:
    return f"more than {MOST_SEEDS:,}" if seeds >= MOST_SEEDS else f"{seeds:,.0f}"


def _found(n: int, effect: float, level: float, paired: bool) -> float:
    df, shift = (n - 1, effect * n**0.5) if paired else (2 * (n - 1), effect * (n / 2) ** 0.5)
    return beyond(quantile(0.5 + level / 2, df), df, shift)


def within_interval(luck: Spread, level: float = LEVEL) -> tuple[float, float]:
    """Confidence interval of the deviation between seeds: df s^2 / sigma^2 is chi-square. NaN if nothing is known."""
    if luck.df < 1:
        return math.nan, math.nan
    from scipy.special import gammainccinv

    upper, lower = (2 * gammainccinv(luck.df / 2, tail) for tail in (0.5 - level / 2, 0.5 + level / 2))
    return luck.within * (luck.df / upper) ** 0.5, luck.within * (luck.df / lower) ** 0.5


def ratio_interval(luck: Spread, level: float = LEVEL) -> tuple[float, float]:
    """Confidence interval of the variance of designs over that of seeds, by the F distribution.

    Exact for unequal numbers of seeds too (Wald, Annals of Mathematical Statistics 11, 1940, 96): at the true ratio the
    means, weighted by how sure each is, have a mean square that over that of seeds is F. NaN where nothing is known.
    """
    if luck.designs < 2 or not luck.within > 0:
        return math.nan, math.nan
    from scipy.special import fdtri

    ends = (float(fdtri(luck.designs - 1, luck.df, quantile)) for quantile in (0.5 + level / 2, 0.5 - level / 2))
    low, high = (_ratio_where(end, luck) for end in ends)
    return low, high


def _ratio_where(f: float, luck: Spread) -> float:
    """The ratio at which the weighted mean square of designs is `f` times that of seeds; 0 if it is less everywhere."""
    from scipy.optimize import brentq

    def above(ratio: float) -> float:
        weights = luck.n / (1 + luck.n * ratio)
        squares = weights @ (luck.means - np.average(luck.means, weights=weights)) ** 2
        return float(squares / ((luck.designs - 1) * luck.within**2)) - f

    if above(0.0) <= 0:
        return 0.0
    most = float(luck.means.var(ddof=1)) / (f * luck.within**2)  # no weight is above 1 / ratio
    return float(brentq(above, 0.0, most * (1 + 1e-9), rtol=1e-10))


def reliability(ratio: ArrayLike, n: ArrayLike) -> Any:
    """The part of the variance of means over `n` seeds that is the designs' own.

    `ratio` is the variance of designs over that of seeds. The reliability is the correlation of two such measurements;
    its root is that of a measurement with the truth (Spearman 1910).
    """
    signal = np.asarray(ratio) * np.asarray(n)
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(signal), 1.0, signal / (1 + signal))[()]


def spearman_of(correlation: ArrayLike) -> Any:
    """Spearman's rho of two Gaussian variables of this Pearson correlation (Pearson 1907)."""
    return 6 / np.pi * np.arcsin(np.asarray(correlation) / 2)


def kendall_of(correlation: ArrayLike) -> Any:
    """Kendall's tau of two Gaussian variables of this Pearson correlation (Greiner 1909)."""
    return 2 / np.pi * np.arcsin(correlation)
