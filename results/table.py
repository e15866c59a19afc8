"""The tables. That of evaluations is built from the fields of `Row`, so that row and table cannot drift apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import sqlalchemy as sa

from results.row import COLUMNS, Row

SCHEMA_VERSION = 5  # results.schema upgrades from older ones
METADATA = sa.MetaData()

_SQL_TYPES: dict[Any, type[sa.types.TypeEngine[Any]]] = {
    str: sa.Text,
    int: sa.BigInteger,
    float: sa.Double,
    list: sa.JSON,
    dict: sa.JSON,
}


def _column(name: str, hint: Any) -> sa.Column[Any]:
    nullable = NoneType in get_args(hint)
    plain = next(arg for arg in get_args(hint) if arg is not NoneType) if nullable else get_origin(hint) or hint
    return sa.Column(name, _SQL_TYPES[plain](), nullable=nullable)


EVALUATIONS = sa.Table(
    "evaluations",
    METADATA,
    sa.Column("identity", sa.String(32), primary_key=True),
    *(_column(name, hint) for name, hint in get_type_hints(Row).items()),
    # The order of commits, which no clock tells: 0 while running, or finished before the column was there.
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Index("evaluations_changes", "status", "seq"),
)
# What `results.lines` reads, that first by which it groups: SQLite reads and sorts no row then. An index row of
# PostgreSQL is too short for it.
_LINES = (
    *("status", "macs", "network_key", "recipe_hash", "data_hash", "split", "epochs", "schedule_epochs"),
    *("macs_convention", "precision", "hardware", "backbone", "image_size", "num_classes", "data", "recipe", "key"),
    *("design", "params", "loss", "latency_seconds", "peak_memory_bytes", "seconds", "accuracy"),
)
sa.Index("evaluations_lines", *(EVALUATIONS.c[name] for name in _LINES)).ddl_if(dialect="sqlite")
ROW_COLUMNS = tuple(EVALUATIONS.c[name] for name in COLUMNS)
"""The columns of `EVALUATIONS` that are fields of `Row`, and the identity."""
STUDIES = sa.Table(
    "studies",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("config_hash", sa.String(32), nullable=False),
    sa.Column("created", sa.Double, nullable=False),
)
LATENCIES = sa.Table(
    "latencies",
    METADATA,
    sa.Column("network_key", sa.Text, primary_key=True),
    sa.Column("hardware", sa.Text, primary_key=True),
    sa.Column("conditions", sa.Text, primary_key=True),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("seconds_iqr", sa.Double, nullable=False),
    sa.Column("n", sa.BigInteger, nullable=False),
    sa.Column("measured", sa.Double, nullable=False),
)
RECIPES = sa.Table(
    "recipes",
    METADATA,
    sa.Column("hash", sa.String(32), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
)
META = sa.Table(
    "meta",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)


def to_cells(row: Row) -> dict[str, Any]:
    """The row as values for every column of `ROW_COLUMNS`."""
    return {name: _storable(getattr(row, name)) for name in COLUMNS}


def from_cells(cells: Mapping[str, Any]) -> Row:
    """The row that a record of `ROW_COLUMNS` holds."""
    return Row(**{name: value for name, value in cells.items() if name != "identity"})


def _storable(value: Any) -> Any:
    """Make a value that both databases take and give back alike.

    SQLite stores NaN as NULL, PostgreSQL ranks it above every number and has none in JSON: what is not finite is
    missing in both. A traceback may hold surrogates or NUL, which no database takes as text.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
    if isinstance(value, Mapping):
        return {_storable(name): _storable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return value
