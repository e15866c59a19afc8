"""What `Store.frame` returns in one line a design: means over seeds, with how sure they are. Computed when asked.

Designs are compared only inside one context (`results.row.CONTEXT`: data, backbone, recipe, fidelity); every result
keeps the context columns.
"""

from __future__ import annotations

import pandas as pd

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

GROUP = [*CONTEXT, "network_key"]
_COLUMNS = {
    **{name: (name, "first") for name in LABELS},
    "key": ("key", "first"),
    "design": ("design", "first"),
    "n": ("seed", "size"),
    "accuracy": ("accuracy", "mean"),
    "accuracy_sd": ("accuracy", "std"),
    "loss": ("loss", "mean"),
    "macs": ("macs", "first"),
    "macs_convention": ("macs_convention", "first"),
    "params": ("params", "first"),
    "latency": ("latency_seconds", "mean"),
    "memory": ("peak_memory_bytes", "mean"),
    "seconds": ("seconds", "mean"),
}


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """One line for each network in each context, over its complete rows.

    Columns: the context and its labels, network_key, key, design, n (distinct seeds), accuracy (mean), accuracy_sd
    (sample standard deviation, NaN for one seed), accuracy_low and accuracy_high (95 % confidence interval of the mean,
    by the spread between seeds pooled over the designs of the context), expected (what fresh seeds would give; see
    `results.spread.Spread.expected`), loss (mean), macs, macs_convention, params, latency (seconds) and memory (bytes),
    both means, seconds (mean), precision (several joined by +). Interval and expectation are NaN in a context where no
    design has two seeds.

    Raises:
        UserError: the frame lacks columns of `Store.frame`.
    """
    needed = dict.fromkeys([*GROUP, "status", "seed", "precision", *(source for source, _ in _COLUMNS.values())])
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise UserError(f"the frame lacks the columns {', '.join(missing)}; give the whole of store.frame()")
    complete = frame[frame["status"] == "complete"].drop_duplicates([*GROUP, "seed"])
    summary = complete.groupby(GROUP, as_index=False).agg(**_COLUMNS)
    summary = summary.merge(_precisions(complete), on=GROUP, how="left")
    return _with_intervals(summary, complete)


def _precisions(complete: pd.DataFrame) -> pd.DataFrame:
    known = complete[[*GROUP, "precision"]].dropna(subset="precision").drop_duplicates().sort_values("precision")
    return known.groupby(GROUP, as_index=False).agg(precision=("precision", "+".join))


def _with_intervals(summary: pd.DataFrame, complete: pd.DataFrame) -> pd.DataFrame:
    found = summary.assign(accuracy_low=float("nan"), accuracy_high=float("nan"), expected=float("nan"))
    runs = complete.groupby(list(CONTEXT), sort=False)
    for context, lines in found.groupby(list(CONTEXT), sort=False):
        rows = runs.get_group(context)
        luck = spread(rows["accuracy"], rows["network_key"])
        half = luck.half_width(lines["n"])
        found.loc[lines.index, "accuracy_low"] = lines["accuracy"] - half
        found.loc[lines.index, "accuracy_high"] = lines["accuracy"] + half
        found.loc[lines.index, "expected"] = luck.expected(lines["accuracy"], lines["n"])
    order = list(summary.columns)
    after = order.index("accuracy_sd") + 1
    return found[[*order[:after], "accuracy_low", "accuracy_high", "expected", *order[after:]]]
