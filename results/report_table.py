"""The table of all designs, as what the page's script sorts and filters."""

from __future__ import annotations

from typing import Any

import pandas as pd

from results.contexts import with_rungs
from results.published import published
from results.summary import summarise

_COLUMNS: list[tuple[str, str, str, int, float]] = [
    ("epochs", "epochs", "epochs", 0, 1),
    ("n", "n", "n", 0, 1),
    ("mean", "mean %", "accuracy", 2, 100),
    ("low", "95 % from", "accuracy_low", 2, 100),
    ("high", "to", "accuracy_high", 2, 100),
    ("expected", "expected %", "expected", 2, 100),
    ("macs", "MACs (M)", "macs", 3, 1e-6),
    ("params", "params", "params", 0, 1),
    ("latency", "latency (ms)", "latency", 3, 1e3),
    ("seconds", "seconds", "seconds", 1, 1),
]
"""What the filter calls it, heading, column of a summary, decimals that are shown, factor."""


def stopped_designs(rows: pd.DataFrame, everything: pd.DataFrame) -> pd.DataFrame:
    """A line, as of `summarise`, for each design that went no further than a rung below these rows of one context: at
    the furthest that it reached, with the spread between seeds and the expectation of that rung."""
    rungs = with_rungs(rows, everything)
    lines = summarise(rungs[rungs["status"] == "stopped"].assign(status="complete"))
    ended = rows.loc[rows["status"] == "complete", "network_key"]
    lines = lines[~lines["network_key"].isin(ended)].sort_values("epochs", ascending=False, kind="stable")
    return lines.drop_duplicates("network_key")


def designs_table(lines: pd.DataFrame, stopped: pd.DataFrame) -> dict[str, Any]:
    """Every design as JSON values, for the table that sorts and filters; numbers in the units of their titles.

    Accuracies are in per cent. `digits` is how many decimals a column shows, missing for text. `groups` are what may be
    compared: [title, words for the filter, first row], those trained to the end first; a column of epochs stands in
    the table where there are several.
    """
    parts = [lines, *[part for _, part in stopped.groupby("epochs")][::-1]]
    ordered = [_ordered(part) for part in parts]
    whole = pd.concat(ordered, ignore_index=True) if len(ordered) > 1 else ordered[0]
    names = published(whole)
    columns: list[tuple[dict[str, Any], list[Any]]] = [({"name": "design", "title": "design"}, list(whole["design"]))]
    if names:
        told = [names.get(network) for network in whole["network_key"]]
        columns.append(({"name": "published", "title": "published"}, told))
    for name, title, source, digits, factor in _COLUMNS:
        if len(parts) > 1 if name == "epochs" else whole[source].notna().any():
            values = [_value(value, digits, factor) for value in whole[source]]
            columns.append(({"name": name, "title": title, "digits": digits}, values))
    by = "expected" if lines["expected"].notna().any() else "mean"
    return {
        "columns": [column for column, _ in columns],
        "rows": list(zip(*(values for _, values in columns), strict=True)),
        "groups": _groups(ordered),
        "sorted": {"column": [column["name"] for column, _ in columns].index(by)},
    }


def _ordered(lines: pd.DataFrame) -> pd.DataFrame:
    by = lines["expected"].fillna(lines["accuracy"])
    return lines.assign(_by=by).sort_values("_by", ascending=False, kind="stable")


def _groups(parts: list[pd.DataFrame]) -> list[tuple[str, str, int]]:
    first, found = 0, []
    for part in parts:
        epochs, end = part[["epochs", "schedule_epochs"]].iloc[0]
        kind = "complete" if epochs == end else "stopped"
        title = f"Trained to the end, {end} epochs" if kind == "complete" else f"Stopped after {epochs} of {end} epochs"
        found.append((title, kind, first))
        first += len(part)
    return found


def _value(value: Any, digits: int, factor: float) -> float | int | None:
    if pd.isna(value):
        return None
    return round(float(value) * factor, digits) if digits else round(float(value) * factor)
