"""How much of the variance a factor explains, with an interval: the noncentral F distribution, inverted."""

from __future__ import annotations

import math

from scipy.special import ncfdtr  # not ncfdtrinc, its inverse, which stops at 10,000

from results.spread import LEVEL


def partial_share(F: float, df: int, df_left: int, n: int, level: float = LEVEL) -> tuple[float, float, float]:
    """Partial omega squared of an F test over n observations, and the ends of its confidence interval.

    The share that the factor explains of the variance which the other factors leave. The estimate is freed of what luck
    alone would explain: df (F - 1) / (df (F - 1) + n), at least 0 (Olejnik and Algina 2003). The interval are the
    shares whose noncentral F distribution puts the observed F into its middle `level` (Steiger 2004, section on
    noncentrality intervals).
    """
    if not math.isfinite(F):
        return 1.0, 1.0, 1.0
    gained = max(0.0, df * (F - 1))
    tail = (1 - level) / 2
    low, high = (noncentrality(F, df, df_left, p) for p in (1 - tail, tail))
    return gained / (gained + n), low / (low + n), high / (high + n)


def noncentrality(F: float, df: int, df_left: int, p: float) -> float:
    """The noncentrality at which an F statistic is at most F with probability p; 0 if it is below p at 0 already."""
    if ncfdtr(df, df_left, 0.0, F) <= p:
        return 0.0
    below, above = 0.0, df * F + 10.0
    while ncfdtr(df, df_left, above, F) > p:
        below, above = above, 2 * above
    while above - below > 1e-9 * above:
        middle = (below + above) / 2
        below, above = (middle, above) if ncfdtr(df, df_left, middle, F) > p else (below, middle)
    return above
