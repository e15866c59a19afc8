"""Rankings of what `Store.frame` returns, computed when asked and never stored.

Designs are ranked only inside one context (`results.row.CONTEXT`: data, backbone, recipe, fidelity); every result keeps
the context columns.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from results.row import CONTEXT, LABELS
from search_space.errors import UserError

METRICS = {"accuracy": False, "loss": True, "macs": True, "params": True, "seconds": True}
"""What designs may be ranked by, each with whether less is better."""

_CONTEXT = list(CONTEXT)
_GROUP = [*CONTEXT, "network_key"]
_SUMMARY = {
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
    "seconds": ("seconds", "mean"),
    "precision": ("precision", lambda names: "+".join(sorted(names.dropna().unique()))),
}


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """One line for each network in each context, over its complete rows.

    Columns: the context and its labels, network_key, key, design, n (distinct seeds), accuracy (mean), accuracy_sd
    (sample standard deviation, NaN for one seed), loss (mean), macs, macs_convention, params, seconds (mean), precision
    (several joined by +).

    Raises:
        UserError: the frame lacks columns of `Store.frame`.
    """
    needed = dict.fromkeys([*_GROUP, "status", "seed", *(source for source, _ in _SUMMARY.values())])
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise UserError(f"the frame lacks the columns {', '.join(missing)}; give the whole of store.frame()")
    complete = frame[frame["status"] == "complete"].drop_duplicates([*_GROUP, "seed"])
    return complete.groupby(_GROUP, as_index=False).agg(**_SUMMARY)


def top(frame: pd.DataFrame, n: int = 10, by: str = "accuracy") -> pd.DataFrame:
    """The `n` best summarised designs of each context, best first: most accurate, or least of any other metric.

    Raises:
        UserError: `by` is no metric, `n` is below 1, or MACs of different conventions would be compared.
    """
    _check_metric("by", by, METRICS)
    if n < 1:
        raise UserError(f"n = {n} designs were asked for; ask for 1 or more")
    summary = summarise(frame)
    _check_conventions(summary, [by])
    order = [True] * len(_CONTEXT) + [METRICS[by], True, True]
    keys = [*_CONTEXT, by, "seconds" if by == "loss" else "loss", "network_key"]  # equal accuracies: the lower loss
    ranked = summary.sort_values(keys, ascending=order, ignore_index=True)
    return ranked.groupby(_CONTEXT).head(n).reset_index(drop=True)


def pareto(frame: pd.DataFrame, maximise: str = "accuracy", minimise: str = "macs") -> pd.DataFrame:
    """The summarised designs of each context that no other dominates, sorted by what is minimised.

    A design is dominated by one that is at least as good in both and better in one; of designs equal in both each is
    kept. Designs that lack either number take no part.

    Raises:
        UserError: a name is no metric, both are the same, or MACs of different conventions would be compared.
    """
    _check_metric("maximise", maximise, METRICS)
    _check_metric("minimise", minimise, [name for name in METRICS if name != maximise])
    summary = summarise(frame).dropna(subset=[maximise, minimise])
    _check_conventions(summary, [maximise, minimise])
    order = [True] * len(_CONTEXT) + [True, False, True]
    ordered = summary.sort_values([*_CONTEXT, minimise, maximise, "network_key"], ascending=order, ignore_index=True)
    best_so_far = ordered.groupby(_CONTEXT)[maximise].cummax().rename("best_so_far")
    cheapest = ordered.groupby([*(ordered[name] for name in _CONTEXT), best_so_far])[minimise].transform("min")
    kept = (ordered[maximise] == best_so_far) & (ordered[minimise] == cheapest)
    return ordered[kept].reset_index(drop=True)


def _check_metric(argument: str, given: str, allowed: Collection[str]) -> None:
    if given not in allowed:
        raise UserError(f"{argument}={given!r} is not a metric to rank by; allowed: {', '.join(allowed)}")


def _check_conventions(summary: pd.DataFrame, metrics: list[str]) -> None:
    if "macs" not in metrics:
        return
    if (summary.groupby(_CONTEXT)["macs_convention"].nunique() > 1).any():
        conventions = ", ".join(sorted(summary["macs_convention"].unique()))
        raise UserError(
            f"MACs counted under different conventions ({conventions}) cannot be ranked together; "
            "select one: store.frame('macs_convention == \"...\"')"
        )
