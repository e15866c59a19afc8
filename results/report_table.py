"""The table of all designs, as what the page's script sorts and filters."""

from __future__ import annotations

from typing import Any

import pandas as pd

from results.figure_front import published


def designs_table(lines: pd.DataFrame) -> dict[str, Any]:
    """Every complete design as JSON values, for the table that sorts and filters; numbers in the units of their titles.

    Accuracies are in per cent. `digits` is how many decimals a column shows, missing for text.
    """
    names = published(lines)
    columns: list[tuple[str, str, int, float]] = [
        ("n", "n", 0, 1),
        ("mean", "accuracy", 2, 100),
        ("low", "accuracy_low", 2, 100),
        ("high", "accuracy_high", 2, 100),
        ("expected", "expected", 2, 100),
        ("macs", "macs", 3, 1e-6),
        ("params", "params", 0, 1),
        ("latency", "latency", 3, 1e3),
        ("seconds", "seconds", 1, 1),
    ]
    titles = {"mean": "mean %", "low": "95 % from", "high": "to", "expected": "expected %", "macs": "MACs (M)"}
    titles |= {"latency": "latency (ms)"}
    shown = [column for column in columns if lines[column[1]].notna().any()]
    ordered = lines.assign(_by=lines["expected"].fillna(lines["accuracy"])).sort_values("_by", ascending=False)
    texts = zip(ordered["design"], ordered["network_key"], ordered["key"], strict=True)
    numbers = [[_value(value, digits, factor) for value in ordered[source]] for _, source, digits, factor in shown]
    return {
        "columns": [
            *({"name": name, "title": name} for name in ("design", "published")),
            *({"name": name, "title": titles.get(name, name), "digits": digits} for name, _, digits, _ in shown),
            {"name": "key", "title": "key"},
        ],
        "rows": [
            [design, names.get(network, ""), *values, key]
            for (design, network, key), *values in zip(texts, *numbers, strict=True)
        ],
        "sorted": {"column": 2 + [name for name, *_ in shown].index("expected" if _known(lines) else "mean")},
    }


def _known(lines: pd.DataFrame) -> bool:
    return bool(lines["expected"].notna().any())


def _value(value: Any, digits: int, factor: float) -> float | int | None:
    if pd.isna(value):
        return None
    return round(float(value) * factor, digits) if digits else round(float(value) * factor)
