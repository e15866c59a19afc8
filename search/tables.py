"""Tables on the screen, in Markdown, as JSON, CSV or Parquet. Accuracy is a fraction in the data, per cent to read."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.columns import GROUPS, MEANS, ROWS
from results.counted import counted
from results.exchange import readable
from results.files import check_folder, write_whole
from search.wording import moment
from search_space.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

MOST_ON_SCREEN = 1000
"""Rows of a table on a terminal, unless more are asked for."""


@dataclass(frozen=True)
class Output:
    """Where an answer goes, and as what: a table to read, unless one format is given."""

    as_json: bool = False
    as_csv: bool = False
    as_markdown: bool = False
    parquet: Path | None = None
    file: Path | None = None

    def __post_init__(self) -> None:
        given = {
            "--json": self.as_json,
            "--csv": self.as_csv,
            "--markdown": self.as_markdown,
            "--parquet": self.parquet,
        }
        named = [name for name, is_given in given.items() if is_given]
        if len(named) > 1:
            raise UserError(f"{' and '.join(named)} were given; one answer has one format")
        if self.file is not None and not (self.as_json or self.as_csv or self.as_markdown):
            raise UserError(f"--output {self.file} needs a format beside it: --json, --csv or --markdown")
        for path in (self.file, self.parquet):
            if path is not None:
                check_folder(path)
                if path.is_dir():
                    raise UserError(f"{str(path)!r} is a folder; name a file in it")

    @property
    def is_data(self) -> bool:
        """For a program, not for people."""
        return self.as_json or self.as_csv or self.parquet is not None

    def say(self, text: str) -> None:
        """Print a text, or make it the file."""
        if self.file is None:
            print(text)
            return
        write_whole(self.file, (text + "\n").encode())
        print(f"wrote {self.file}", file=sys.stderr)


def emit(frame: pd.DataFrame, *, as_json: bool, as_csv: bool, columns: list[str]) -> None:
    """Print a frame: all of it as a JSON array or CSV, or `columns` of it as a table."""
    deliver(frame, Output(as_json=as_json, as_csv=as_csv), columns)


def deliver(frame: pd.DataFrame, output: Output, columns: Sequence[str]) -> None:
    """All of a frame as data, or `columns` of it as a table."""
    if output.as_json:
        output.say(as_json_text(records(frame)))
    elif output.as_csv:
        output.say(_flat(frame).to_csv(index=False).rstrip("\n"))
    elif output.parquet is not None:
        write_parquet(frame, output.parquet)
    elif output.as_markdown:
        output.say(markdown(records(frame[with_interval(frame, columns)]), columns))
    else:
        table(records(frame[with_interval(frame, columns)]), columns)


def as_json_text(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, indent=1, allow_nan=False)


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """The frame as a Parquet file, whole or not at all; nested values as JSON text, as in CSV."""
    import pyarrow as pa
    from pyarrow import parquet

    sink = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pandas(_flat(frame), preserve_index=False), sink)
    write_whole(path, sink.getvalue())
    print(f"wrote {counted(len(frame), 'row')} to {path}", file=sys.stderr)


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    nested = {name: frame[name].map(json.dumps) for name in ("curves", "versions") if name in frame}
    return frame.assign(**nested, **{n: _whole(frame[n]) for n in frame.columns if _is_whole(frame[n])})


def _is_whole(column: pd.Series[Any]) -> bool:
    """Whole numbers that are floats only because some are missing."""
    known = {**ROWS, **MEANS, **GROUPS}.get(str(column.name))
    return known is not None and known.kind == "integer" and column.dtype.kind == "f"


def _whole(column: pd.Series[Any]) -> pd.Series[Any]:
    return column.astype("Int64") if (column.isna() | (column % 1 == 0)).all() else column


# -- records -----------------------------------------------------------------------------------------------------------


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON values: a missing number is None, a whole number is no float."""
    names = [str(name) for name in frame.columns]
    columns = [_values(frame.iloc[:, number]) for number in range(len(names))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: pd.Series[Any]) -> list[Any]:
    if _is_whole(column):
        column = _whole(column)
    if column.dtype.kind == "f":
        return [value if math.isfinite(value) else None for value in column.tolist()]
    return [_plain(value) for value in column.astype(object).where(column.notna(), None).tolist()]


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


# -- to read -----------------------------------------------------------------------------------------------------------

_TEXTS: tuple[str, ...] = (
    "design",
    "preset",
    "network",
    "status",
    "recipe",
    "data",
    "split",
    "backbone",
    "settled",
    "hardware",
    "key",
    "a",
    "b",
)
_TEXTS += ("squeeze", "wavelet", "frequencies", "bands", "selection", "statistic", "excitation", "placement")
_TEXTS += ("method", "column", "meaning")
_PER_CENT = ("accuracy", "accuracy_sd", "accuracy_low", "accuracy_high", "expected", "accuracy_a", "accuracy_b")


INTERVAL = ("accuracy_low", "accuracy_high")


def with_interval(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """`columns`, and the interval where a mean is among them: it is drawn beside the mean."""
    beside = INTERVAL if "accuracy" in columns and "accuracy_low" in frame.columns else ()
    return list(dict.fromkeys([*columns, *beside]))


def table(rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    """A table as wide as it needs to be when it is piped, folded to the screen when it is read."""
    cells = [[_cell(name, row) for name in columns] for row in rows]
    heads = _heads(columns)
    if sys.stdout.isatty():
        _fold(cells, heads, columns)
        return
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    sides = [str.ljust if name in _TEXTS else str.rjust for name in columns]
    for line in (heads, *cells):
        print("  ".join(side(cell, width) for side, cell, width in zip(sides, line, widths, strict=True)).rstrip())


def _fold(cells: list[list[str]], heads: list[str], columns: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for head, name in zip(heads, columns, strict=True):
        drawn.add_column(head, justify="left" if name in _TEXTS else "right", overflow="fold")
    for line in cells:
        drawn.add_row(*line)
    Console(highlight=False, markup=False).print(drawn)


def markdown(rows: list[dict[str, Any]], columns: Sequence[str]) -> str:
    """The table in GitHub's Markdown."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    rules = [":---" if name in _TEXTS else "---:" for name in columns]
    heads = _heads(columns)
    return "\n".join([line(heads), line(rules), *(line([_cell(name, row) for name in columns]) for row in rows)])


HEADINGS = {
    "accuracy": "accuracy %",
    "accuracy_sd": "sd",
    "accuracy_low": "low %",
    "accuracy_high": "high %",
    "expected": "expected %",
    "macs": "MACs (M)",
    "params": "params",
    "latency": "latency ms",
    "latency_seconds": "latency ms",
    "memory": "memory MiB",
    "peak_memory_bytes": "memory MiB",
    "seconds": "seconds",
}


_WRITTEN: dict[str, Callable[[float], str]] = {
    **dict.fromkeys(_PER_CENT, lambda value: f"{100 * value:.2f}"),
    **dict.fromkeys(("latency", "latency_seconds"), lambda value: f"{1e3 * value:.3f}"),
    **dict.fromkeys(("memory", "peak_memory_bytes"), lambda value: f"{value / 2**20:,.0f}"),
    **dict.fromkeys(("started", "finished", "heartbeat"), lambda value: moment(value, "%H:%M:%S")),
    "macs": lambda value: f"{value / 1e6:,.3f}",
    "params": lambda value: f"{value:,.0f}",
}


def _heads(columns: Sequence[str]) -> list[str]:
    return [readable(HEADINGS.get(name, name)) for name in columns]


def _cell(name: str, row: dict[str, Any]) -> str:
    value = row[name]
    if value is None:
        return "-"
    low, high = (row.get(end) for end in INTERVAL)
    if name == "accuracy" and low is not None and high is not None:
        return _with_ends(value, low, high)
    if name in _WRITTEN and isinstance(value, int | float):
        return _WRITTEN[name](value)
    return f"{value:.4g}" if isinstance(value, float) else readable(str(value))


def _with_ends(mean: float, low: float, high: float) -> str:
    """`20.20 ± 1.03`, or `31.64 (0.00 to 83.24)` where 0 or 100 % cuts the interval off."""
    if math.isclose(mean - low, high - mean, abs_tol=1e-9):
        return f"{100 * mean:.2f} ± {100 * (mean - low):.2f}"
    return f"{100 * mean:.2f} ({100 * low:.2f} to {100 * high:.2f})"


def context_line(row: dict[str, Any]) -> str:
    """What a ranked table speaks of, above it."""
    return readable(
        f"{row['data']} at {row['image_size']} px, {row['split']} split, {row['backbone']}, "
        f"recipe {row['recipe']} ({row['recipe_hash']}), {row['epochs']} of "
        f"{counted(row['schedule_epochs'], 'epoch')}"
    )
