"""A copy of storages in memory, for questions that must not touch them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import sqlalchemy as sa

from results.axes import axes_of
from results.columns import AXES
from results.frames import opened
from results.query_axes import axis_value
from results.row import COLUMNS
from results.schema import reading
from results.store import Store
from results.table import EVALUATIONS, LATENCIES, META, RECIPES, STUDIES
from results.urls import without_password


@contextmanager
def copy_of(storages: str | Store | Iterable[str | Store]) -> Iterator[sqlite3.Connection]:
    """A database in memory with the tables of a storage, or of several joined as `results.frames` joins them.

    It has a view `rows` as well: the columns of an evaluation, with the axes of its design.
    """
    with opened(storages) as stores, closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")  # a file may come from anywhere, with views of its own
        connection.execute("PRAGMA temp_store = MEMORY")
        with reading(", ".join(without_password(store.url) for store in stores)):
            if len(stores) == 1 and stores[0].engine.dialect.name == "sqlite":
                _copy_pages(stores[0], connection)
            else:
                _copy_rows(stores, connection)
            _add_axes(connection)
        yield connection


def _copy_pages(store: Store, connection: sqlite3.Connection) -> None:
    raw = store.engine.raw_connection()
    try:
        source: Any = raw.driver_connection
        source.backup(connection)
        connection.execute(f"DROP TABLE {META.name}")
    finally:
        raw.close()


def _copy_rows(stores: list[Store], connection: sqlite3.Connection) -> None:
    memory = sa.create_engine("sqlite://", creator=lambda: connection, poolclass=sa.StaticPool)
    copied = sa.MetaData()
    for table in _COPIED:
        made = table.to_metadata(copied)
        made.constraints = {one for one in made.constraints if not isinstance(one, sa.UniqueConstraint)}
    copied.create_all(memory)
    for store in stores:
        for table in _COPIED:
            names = ", ".join(f'"{column.name}"' for column in table.c)
            marks = ", ".join("?" * len(table.c))
            texts = [sa.cast(c, sa.Text) if isinstance(c.type, sa.JSON) else c for c in table.c]
            with store.engine.connect() as source:
                found = source.execute(sa.select(*texts))
                rows = found.cursor.fetchall()
                found.close()
            last = _ON_TWIN if table is EVALUATIONS else "ON CONFLICT DO NOTHING"
            connection.execute("BEGIN")
            connection.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({marks}) {last}", rows)
            connection.execute("COMMIT")


_COPIED = (EVALUATIONS, STUDIES, LATENCIES, RECIPES)
"""Two storages may have studies of one name: in a copy only the id tells them apart."""


def _rank(status: str) -> str:
    return f"CASE {status} WHEN 'running' THEN 2 WHEN 'failed' THEN 1 ELSE 0 END"


# the rule of `results.frames`: measured before failed before running, and of two alike the first
_ON_TWIN = (
    "ON CONFLICT (identity) DO UPDATE SET "
    + ", ".join(f'"{c.name}" = excluded."{c.name}"' for c in EVALUATIONS.c if c.name != "identity")
    + f" WHERE {_rank('excluded.status')} < {_rank('evaluations.status')}"
)


def _add_axes(connection: sqlite3.Connection) -> None:
    """The view `rows`; among what is temporary, which goes before a file's own table of that name."""
    names = ", ".join(AXES)
    connection.execute(f"CREATE TEMP TABLE axes (design TEXT PRIMARY KEY, {names}) WITHOUT ROWID")
    texts = [text for (text,) in connection.execute("SELECT DISTINCT design FROM evaluations")]
    values = [(text, *(axis_value(axes_of(text), axis) for axis in AXES)) for text in texts]
    connection.executemany(f"INSERT INTO axes VALUES ({', '.join('?' * (1 + len(AXES)))})", values)
    columns = ", ".join(f'evaluations."{name}"' for name in COLUMNS)
    connection.execute(
        f"CREATE TEMP VIEW rows AS SELECT {columns}, {names} FROM main.evaluations LEFT JOIN temp.axes USING (design)"
    )
