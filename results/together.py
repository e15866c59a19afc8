"""Which pairs of axes act together: what `Explained.interactions` tells, in order and in words."""

from __future__ import annotations

import pandas as pd

from results.counted import counted

LUCK = 0.05
"""A p of Holm below this stands out beyond luck."""
BY_ITSELF = "Each pair is tested by itself: a weak one may echo a strong one."


def pairs(cells: pd.DataFrame) -> pd.DataFrame:
    """A line for each pair of axes, the most sure first."""
    return cells.drop_duplicates(["axis", "other_axis"]).sort_values("p_holm", kind="stable")


def beyond_luck(cells: pd.DataFrame) -> pd.DataFrame:
    """Those of `pairs` that act together beyond luck."""
    found = pairs(cells)
    return found[found["p_holm"] < LUCK]


def cells_of(cells: pd.DataFrame, axis: str, other_axis: str) -> pd.DataFrame:
    """The cells of one pair, the most sure first: by how many half-widths an interval leaves 0 behind."""
    mine = cells[(cells["axis"] == axis) & (cells["other_axis"] == other_axis)].dropna(subset="effect")
    sureness = (mine["effect"] / (mine["high"] - mine["effect"])).abs()
    return mine.loc[sureness.sort_values(ascending=False, kind="stable").index]


def stand_out(cells: pd.DataFrame) -> pd.Series[bool]:
    """Whether a cell's interval leaves out 0."""
    return (cells["low"] > 0) | (cells["high"] < 0)


def sentence(cells: pd.DataFrame) -> str:
    number, found = int(pairs(cells)["p"].notna().sum()), beyond_luck(cells)
    if number == 0:
        return "Interactions: no pair of axes has designs enough to be tested."
    tested = counted(number, "pair")
    if found.empty:
        return f"No pair of axes acts together beyond luck ({tested} tested)."
    named = ", ".join(f"{a} x {b}" for a, b in zip(found["axis"], found["other_axis"], strict=True))
    told = f"{len(found)} of {tested} of axes act together beyond luck (their effects don't simply add up): {named}."
    return told if len(found) == 1 else f"{told} {BY_ITSELF}"


def p_in_words(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
