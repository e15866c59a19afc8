"""One line a design: means over seeds, with how sure they are. Computed when asked.

Designs are compared only inside one context (`results.row.CONTEXT`: data, backbone, recipe, fidelity); every result
keeps the context columns.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from results.grouped import Grouped
from results.lines import SUMMARY, lines_of
from results.row import CONTEXT
from results.spread import Spread, interval, spread_of

METRICS = {
    "accuracy": False,
    "expected": False,
    "loss": True,
    "macs": True,
    "params": True,
    "latency": True,
    "memory": True,
    "seconds": True,
}
"""What designs may be ranked by, each with whether less is better."""

MACHINE = ("latency", "memory", "seconds")
"""Metrics that depend on the machine: comparable on the same hardware only."""


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """One line for each network in each context, over its complete rows, from what `Store.frame` or `Store.lines` give.

    Columns: the context and its labels, network_key, key, design, n (distinct seeds), accuracy (mean), accuracy_sd
    (sample standard deviation, NaN for one seed), accuracy_low and accuracy_high (95 % confidence interval of the mean,
    by the spread between seeds pooled over the designs of the context, cut at 0 and 1), expected (what fresh seeds
    would give; see `results.spread.Spread.expected`), loss (mean), macs, macs_convention, params, latency (seconds) and
    memory (bytes), both means, seconds (mean), precision and hardware (several joined by +). Interval and expectation
    are NaN in a context where no design has two seeds.

    Raises:
        UserError: the frame lacks columns of `Store.frame`.
    """
    lines = lines_of(rows).copy()
    accuracy, n = lines["accuracy"].to_numpy(), lines["n"].to_numpy()
    half, expected = np.full(len(lines), np.nan), np.full(len(lines), np.nan)
    for here, luck in spreads(lines):
        half[here] = luck.half_width(n[here])
        expected[here] = luck.expected(accuracy[here], n[here])
    lines["accuracy_sd"] = deviation(lines)
    lines["accuracy_low"], lines["accuracy_high"] = interval(accuracy, half)
    lines["expected"] = expected
    return lines[list(SUMMARY)]


def deviation(lines: pd.DataFrame) -> NDArray[np.float64]:
    """The sample standard deviation between the seeds of each line, NaN for one seed."""
    n = lines["n"].to_numpy()
    return np.sqrt(np.divide(lines["squares"], n - 1, out=np.full(len(lines), np.nan), where=n > 1))


def spreads(lines: pd.DataFrame) -> Iterator[tuple[NDArray[np.intp], Spread]]:
    """The positions of the lines of each context, and the spread of its runs."""
    n, accuracy, squares = (lines[name].to_numpy() for name in ("n", "accuracy", "squares"))
    for here in members(Grouped(lines, CONTEXT).codes):
        yield here, spread_of(n[here], accuracy[here], float(squares[here].sum()))


def machines(summary: pd.DataFrame) -> list[str]:
    """The kinds of hardware that a summary's rows were measured on, in order."""
    return sorted({one for several in summary["hardware"].dropna().unique() for one in several.split(" + ")})


def members(codes: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """The positions of each code from 0 on."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes))[:-1]) if len(codes) else []
