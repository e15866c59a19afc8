"""Tables on the screen, as JSON, or as CSV. Accuracy is a fraction in the data, per cent on the screen."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def emit(frame: pd.DataFrame, *, as_json: bool, as_csv: bool, columns: list[str]) -> None:
    """Print a frame: all of it as a JSON array or CSV, or `columns` of it as a table."""
    if as_json:
        print(json.dumps(records(frame), indent=1, allow_nan=False))
    elif as_csv:
        nested = {name: frame[name].map(json.dumps) for name in ("curves", "versions") if name in frame}
        frame.assign(**nested).to_csv(sys.stdout, index=False)
    else:
        table(records(frame[columns]), columns)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON values: a missing number is None, a whole number is no float."""
    return [{str(key): _plain(value) for key, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(rows: list[dict[str, Any]], columns: list[str]) -> None:
    """A table as wide as it needs to be when it is piped, folded to the screen when it is read."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        text = name in ("design", "network", "status", "recipe", "data", "split", "backbone", "settled")
        drawn.add_column(HEADINGS.get(name, name), justify="left" if text else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*(_cell(name, row[name]) for name in columns))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 100_000  # a design for each of 54 places is long
    console.print(drawn)


HEADINGS = {
    "accuracy": "accuracy %",
    "accuracy_sd": "sd",
    "macs": "MACs (M)",
    "params": "params",
    "seconds": "seconds",
}


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in ("accuracy", "accuracy_sd"):
        return f"{100 * value:.2f}"
    if name == "macs":
        return f"{value / 1e6:,.3f}"
    if name == "params":
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def context_line(row: dict[str, Any]) -> str:
    """What a ranked table speaks of, above it."""
    return (
        f"{row['data']} at {row['image_size']} px, {row['split']} split, {row['backbone']}, "
        f"recipe {row['recipe']} ({row['recipe_hash']}), {row['epochs']} of {row['schedule_epochs']} epochs"
    )
