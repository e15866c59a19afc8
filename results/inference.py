"""Effects with intervals and F tests, as the linear model of `results.factorial` tells them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc, stdtrit

from results.noncentral import partial_share
from results.spread import LEVEL

NONE_LEFT = "no design is left over to tell the spread from"


@dataclass(frozen=True)
class Effect:
    """Of a level or of a cell, with its simultaneous interval; NaN, and a `note`, where the designs can't tell."""

    effect: float
    low: float
    high: float
    note: str


@dataclass(frozen=True)
class FTest:
    """An F test with its share of variance (partial omega squared) and the 95 % interval of that."""

    df: int
    F: float
    p: float
    share: float
    share_low: float
    share_high: float
    note: str = ""


def untested(note: str, df: int = 0) -> FTest:
    nan = float("nan")
    return FTest(df, nan, nan, nan, nan, nan, note)


def f_test(explained: float, df: int, rss: float, df_left: int, designs: int) -> FTest:
    if df < 1:
        return untested("can't be told from the other axes")
    if df_left < 1:
        return untested(NONE_LEFT, df)
    if rss == explained == 0:
        return untested("all designs are equal", df)
    F = explained / df / (rss / df_left) if rss > 0 else float("inf")
    share, low, high = partial_share(F, df, df_left, designs)
    return FTest(df, F, float(fdtrc(df, df_left, F)), share, low, high)


def rounded(square: float, rounding: float) -> float:
    return square if square > rounding else 0.0


def quantile(df: int, contrasts: int) -> float:
    """Student's t for so many two-sided intervals at once."""
    return float(stdtrit(df, 1 - (1 - LEVEL) / 2 / contrasts)) if df > 0 else float("nan")


def untold(note: str) -> Effect:
    return Effect(float("nan"), float("nan"), float("nan"), note)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p values; what is NaN was not tested and counts for nothing."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")[: int(np.isfinite(values).sum())]
    stepped = values[order] * np.arange(len(order), 0, -1)
    adjusted = np.full(len(values), np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return [float(value) for value in adjusted]
