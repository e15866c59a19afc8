"""What `Store.frame` returns in one line a design: means over seeds, with how sure they are. Computed when asked.

Designs are compared only inside one context (`results.row.CONTEXT`: data, backbone, recipe, fidelity); every result
keeps the context columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from results.grouped import Grouped
from results.row import CONTEXT, LABELS
from results.spread import spread
from search_space.errors import UserError

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

GROUP = [*CONTEXT, "network_key"]
_MEANS = {
    "accuracy": "accuracy",
    "loss": "loss",
    "latency": "latency_seconds",
    "memory": "peak_memory_bytes",
    "seconds": "seconds",
}
_SAME = ("key", "design", "macs", "macs_convention", "params")
_JOINED = {"precision": "+", "hardware": " + "}
NEEDED = tuple(dict.fromkeys([*GROUP, *LABELS, "status", "seed", *_SAME, *_MEANS.values(), *_JOINED]))
"""The columns of `Store.frame` that a summary needs."""
SUMMARY = (
    *(*GROUP, *LABELS, "key", "design", "n", "accuracy", "accuracy_sd", "accuracy_low", "accuracy_high", "expected"),
    *("loss", "macs", "macs_convention", "params", "latency", "memory", "seconds", "precision", "hardware"),
)
"""The columns of a summary."""


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """One line for each network in each context, over its complete rows.

    Columns: the context and its labels, network_key, key, design, n (distinct seeds), accuracy (mean), accuracy_sd
    (sample standard deviation, NaN for one seed), accuracy_low and accuracy_high (95 % confidence interval of the mean,
    by the spread between seeds pooled over the designs of the context), expected (what fresh seeds would give; see
    `results.spread.Spread.expected`), loss (mean), macs, macs_convention, params, latency (seconds) and memory (bytes),
    both means, seconds (mean), precision and hardware (several joined by +). Interval and expectation are NaN in a
    context where no design has two seeds.

    Raises:
        UserError: the frame lacks columns of `Store.frame`.
    """
    networks = complete_networks(frame, NEEDED)
    lines = networks.first([*GROUP, *LABELS, *_SAME])
    lines["n"] = networks.size()
    lines["accuracy_sd"] = networks.sd("accuracy")
    for name, source in _MEANS.items():
        lines[name] = networks.mean(source)
    for name, sign in _JOINED.items():
        lines[name] = pd.Series(networks.joined(name, sign), dtype=object)
    return _with_intervals(lines, networks)[list(SUMMARY)]


def machines(summary: pd.DataFrame) -> list[str]:
    """The kinds of hardware that a summary's rows were measured on, in order."""
    return sorted({one for several in summary["hardware"].dropna().unique() for one in several.split(" + ")})


def complete_networks(frame: pd.DataFrame, needed: Sequence[str]) -> Grouped:
    """The complete rows by network and context, a seed once where frames were joined.

    Raises:
        UserError: the frame lacks one of the columns that are needed.
    """
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise UserError(f"the frame lacks the columns {', '.join(missing)}; give the whole of store.frame()")
    is_complete = frame["status"] == "complete"
    networks = Grouped(frame if is_complete.all() else frame[is_complete], GROUP)
    again = networks.repeats("seed")
    return Grouped(networks.rows[~again], GROUP) if again.any() else networks


def _with_intervals(lines: pd.DataFrame, networks: Grouped) -> pd.DataFrame:
    accuracy, n = lines["accuracy"].to_numpy(), lines["n"].to_numpy()
    half, expected = np.full(len(lines), np.nan), np.full(len(lines), np.nan)
    runs = networks.rows["accuracy"].to_numpy()
    context = Grouped(lines, CONTEXT).codes
    of_run = context[networks.codes]
    for here, runs_here in zip(_members(context), _members(of_run), strict=True):
        luck = spread(runs[runs_here], networks.codes[runs_here])
        half[here] = luck.half_width(n[here])
        expected[here] = luck.expected(accuracy[here], n[here])
    return lines.assign(accuracy_low=accuracy - half, accuracy_high=accuracy + half, expected=expected)


def _members(codes: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """The positions of each code from 0 on."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes))[:-1]) if len(codes) else []
