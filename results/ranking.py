"""Rankings of what `Store.frame` returns, computed when asked and never stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from results.grouped import Grouped
from results.ranks import fronts
from results.row import CONTEXT
from results.summary import MACHINE, METRICS, machines, summarise
from search_space.errors import UserError

_CONTEXT = list(CONTEXT)


def top(frame: pd.DataFrame, n: int = 10, by: str = "expected") -> pd.DataFrame:
    """The `n` best summarised designs of each context, best first: most accurate, or least of any other metric.

    By `expected`, what fresh seeds would give, a design that was lucky with one seed does not lead; where no design of
    a context has a second seed nothing tells luck, and the order is that of the means. Of designs that are expected to
    give the same, all of a context if they are not seen to differ, the higher mean comes first; of equal accuracies the
    lower loss.

    Raises:
        UserError: `by` is no metric, `n` is below 1, MACs of different conventions would be compared, or latency,
            memory or seconds of different hardware.
    """
    check_metric("by", by, METRICS)
    if n < 1:
        raise UserError(f"n = {n} designs were asked for; ask for 1 or more")
    summary = summarise(frame)
    _check_comparable(summary, [by])
    better = summary[by].fillna(summary["accuracy"]) if by == "expected" else summary[by]
    tied = "seconds" if by == "loss" else "loss"
    columns = {"_context": True, "_by": METRICS[by], "accuracy": False, tied: True, "network_key": True}
    if by != "expected":
        del columns["accuracy"]
    keys = summary.assign(_context=Grouped(summary, _CONTEXT).codes, _by=better)[list(columns)].reset_index(drop=True)
    ranked = keys.sort_values(list(columns), ascending=list(columns.values()))
    return summary.iloc[ranked.groupby("_context").head(n).index].reset_index(drop=True)


def criterion(best: pd.DataFrame) -> str:
    """By what `top` ordered these lines when it was asked for `expected`, in words."""
    return "expected accuracy" if best["expected"].notna().any() else "accuracy, of one seed each"


def pareto(
    frame: pd.DataFrame, maximise: str | Sequence[str] = "accuracy", minimise: str | Sequence[str] = "macs"
) -> pd.DataFrame:
    """The summarised designs of each context that no other dominates, sorted by what is minimised first.

    Each is one metric or several, or none: `maximise=(), minimise=("loss", "macs")`. Accuracies are maximised, all
    else is minimised. A design is dominated by one that is at least as good in all and better in one; of designs equal
    in all each is kept. Designs that lack a number take no part.

    Raises:
        UserError: a name is no metric, named twice or worse when it is so; fewer than two are named; MACs of different
            conventions would be compared, or latency, memory or seconds of different hardware.
    """
    gains, costs = ([names] if isinstance(names, str) else list(names) for names in (maximise, minimise))
    _check_directions(gains, costs)
    measures = [*costs, *gains]
    summary = summarise(frame).dropna(subset=measures)
    _check_comparable(summary, measures)
    points = summary[costs].assign(**{name: -summary[name] for name in gains})
    kept = [
        lines.index[next(fronts(points.loc[lines.index].to_numpy(dtype=float)))]
        for _, lines in summary.groupby(_CONTEXT)
    ]
    front = summary.loc[[index for part in kept for index in part]]
    order = [True] * (len(_CONTEXT) + len(costs)) + [False] * len(gains) + [True]
    return front.sort_values([*_CONTEXT, *measures, "network_key"], ascending=order, ignore_index=True)


def check_metric(argument: str, given: str, allowed: Collection[str]) -> None:
    """Raises `UserError` for what is no metric."""
    if given not in allowed:
        raise UserError(f"{argument}={given!r} is not a metric to rank by; allowed: {', '.join(allowed)}")


def _check_directions(gains: Sequence[str], costs: Sequence[str]) -> None:
    high, low = ([name for name, less in METRICS.items() if less is is_cost] for is_cost in (False, True))
    for argument, names, allowed, others, verb in (
        ("maximise", gains, high, low, "minimise"),
        ("minimise", costs, low, high, "maximise"),
    ):
        for number, name in enumerate(names):
            if name in others:
                better = "low" if argument == "maximise" else "high"
                raise UserError(f"{argument}={name!r}: {name} is better when it is {better}; {verb} it")
            check_metric(argument, name, [each for each in allowed if each not in names[:number]])
    if len(gains) + len(costs) < 2:
        raise UserError(
            f"a front needs two measures or more, and only {', '.join([*gains, *costs]) or 'none'} was given; "
            f"maximise {', '.join(high)}; minimise {', '.join(low)}"
        )


def _check_comparable(summary: pd.DataFrame, metrics: Sequence[str]) -> None:
    _check_conventions(summary, metrics)
    machine = [name for name in metrics if name in MACHINE]
    for _, lines in summary.dropna(subset=machine).groupby(_CONTEXT) if machine else ():
        kinds = machines(lines)
        if len(kinds) > 1:
            raise UserError(
                f"{' and '.join(machine)} measured on different hardware ({', '.join(kinds)}) cannot be ranked "
                f"together; select one: where \"hardware == '{kinds[0]}'\""
            )


def _check_conventions(summary: pd.DataFrame, metrics: Sequence[str]) -> None:
    if "macs" not in metrics:
        return
    if (summary.groupby(_CONTEXT)["macs_convention"].nunique() > 1).any():
        conventions = ", ".join(sorted(summary["macs_convention"].unique()))
        raise UserError(
            f"MACs counted under different conventions ({conventions}) cannot be ranked together; "
            "select one: store.frame('macs_convention == \"...\"')"
        )
