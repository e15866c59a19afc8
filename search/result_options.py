"""The options that the questions to a storage share, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WHERE = Annotated[str | None, typer.Option(help="Only rows for which this holds, as \"backbone == 'resnet20'\".")]
SORT = Annotated[str | None, typer.Option(help="Columns to sort by, as squeeze,-accuracy: a minus is from the top.")]
COLUMNS = Annotated[str | None, typer.Option(help="Which columns, as design,squeeze,accuracy; `all` for every one.")]
LIMIT = Annotated[int | None, typer.Option("--limit", "-n", min=0, help="At most so many rows; 0: all.")]
RUNG = Annotated[
    int | None,
    typer.Option("--epochs", min=1, help="Rows measured at so many epochs: a rung of halving. Else complete ones."),
]
GROUP_BY = Annotated[
    str | None, typer.Option(help="Means over groups of designs, as squeeze,excitation; see `attnas results columns`.")
]
AXES = Annotated[
    str | None, typer.Option(help="Of effects: only these axes in the model, as squeeze,excitation; all unless given.")
]
JSON = Annotated[bool, typer.Option("--json", help="A JSON array of rows.")]
CSV = Annotated[bool, typer.Option("--csv", help="Comma-separated values.")]
MARKDOWN = Annotated[bool, typer.Option("--markdown", help="A table in Markdown.")]
PARQUET = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a Parquet file.")]
OUTPUT = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write --json, --csv or --markdown there.")
]


def names(given: str | None) -> list[str]:
    """What commas separate."""
    return [] if given is None else [name.strip() for name in given.split(",") if name.strip()]
