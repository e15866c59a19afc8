"""Rankings of what `Store.frame` returns, computed when asked and never stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from results.ranks import fronts
from results.row import CONTEXT
from results.summary import METRICS, summarise
from search_space.errors import UserError

_CONTEXT = list(CONTEXT)


def top(frame: pd.DataFrame, n: int = 10, by: str = "accuracy") -> pd.DataFrame:
    """The `n` best summarised designs of each context, best first: most accurate, or least of any other metric.

    By `expected`, what fresh seeds would give, a design that was lucky with one seed does not lead; where no design of
    a context has a second seed nothing tells luck, and the order is that of the means.

    Raises:
        UserError: `by` is no metric, `n` is below 1, or MACs of different conventions would be compared.
    """
    _check_metric("by", by, METRICS)
    if n < 1:
        raise UserError(f"n = {n} designs were asked for; ask for 1 or more")
    summary = summarise(frame)
    _check_conventions(summary, [by])
    better = summary[by].fillna(summary["accuracy"]) if by == "expected" else summary[by]
    tied = "seconds" if by == "loss" else "loss"  # equal accuracies: the lower loss
    order = [True] * len(_CONTEXT) + [METRICS[by], True, True]
    ranked = summary.assign(_by=better).sort_values(
        [*_CONTEXT, "_by", tied, "network_key"], ascending=order, ignore_index=True
    )
    return ranked.groupby(_CONTEXT).head(n).reset_index(drop=True).drop(columns="_by")


def pareto(frame: pd.DataFrame, maximise: str = "accuracy", minimise: str | Sequence[str] = "macs") -> pd.DataFrame:
    """The summarised designs of each context that no other dominates, sorted by what is minimised first.

    `minimise` is one metric or several. A design is dominated by one that is at least as good in all and better in one;
    of designs equal in all each is kept. Designs that lack a number take no part.

    Raises:
        UserError: a name is no metric or named twice, or MACs of different conventions would be compared.
    """
    costs = [minimise] if isinstance(minimise, str) else list(minimise)
    _check_metric("maximise", maximise, METRICS)
    for number, name in enumerate(costs):
        _check_metric("minimise", name, [each for each in METRICS if each not in (maximise, *costs[:number])])
    summary = summarise(frame).dropna(subset=[maximise, *costs])
    _check_conventions(summary, [maximise, *costs])
    kept = [
        lines.index[next(fronts(lines[costs].assign(_quality=-lines[maximise]).to_numpy(dtype=float)))]
        for _, lines in summary.groupby(_CONTEXT)
    ]
    front = summary.loc[[index for part in kept for index in part]]
    order = [True] * (len(_CONTEXT) + len(costs)) + [False, True]
    return front.sort_values([*_CONTEXT, *costs, maximise, "network_key"], ascending=order, ignore_index=True)


def _check_metric(argument: str, given: str, allowed: Collection[str]) -> None:
    if given not in allowed:
        raise UserError(f"{argument}={given!r} is not a metric to rank by; allowed: {', '.join(allowed)}")


def _check_conventions(summary: pd.DataFrame, metrics: Sequence[str]) -> None:
    if "macs" not in metrics:
        return
    if (summary.groupby(_CONTEXT)["macs_convention"].nunique() > 1).any():
        conventions = ", ".join(sorted(summary["macs_convention"].unique()))
        raise UserError(
            f"MACs counted under different conventions ({conventions}) cannot be ranked together; "
            "select one: store.frame('macs_convention == \"...\"')"
        )
