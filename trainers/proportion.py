"""The interval of a share that was counted."""

from __future__ import annotations


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % score interval (Wilson 1927) of a share of which `hits` of `n` were seen."""
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
