"""Rows as pandas frames: of one storage, or of several joined."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from results.columns import check_columns
from results.row import COLUMNS
from results.table import EVALUATIONS

if TYPE_CHECKING:
    import pandas as pd

    from results.store import Store

_c = EVALUATIONS.c
_AT_ONCE = 500  # rows: with 5,000 at once reading takes twice as long
_JOIN = ("identity", "status", "started")  # what is needed to join frames


def read_frame(
    connection: Connection,
    wanted: Sequence[sa.ColumnElement[bool]],
    columns: Sequence[str] | None,
    sort: Sequence[str] = (),
    limit: int | None = None,
) -> pd.DataFrame:
    """The frame of `Store.frame`."""
    names = list(COLUMNS) if columns is None else check_columns(columns, COLUMNS)
    check_columns([name.removeprefix("-") for name in sort], COLUMNS)
    order = [part for name in sort for part in _order(connection, name)]
    if order or limit is not None or "started" in names:
        order += [_c.started, _c.identity]
    return read_columns(
        connection, sa.select(*(_c[name] for name in names)).where(*wanted).order_by(*order).limit(limit)
    )


def _order(connection: Connection, name: str) -> list[sa.ColumnElement[Any]]:
    """By a column, from the top with a minus before its name: as pandas sorts, missing ones last and text by bytes."""
    column: sa.ColumnElement[Any] = _c[name.removeprefix("-")]
    missing = column.is_(None)
    if connection.dialect.name == "postgresql" and isinstance(column.type, sa.Text | sa.String):
        column = sa.collate(column, "C")
    return [missing, column.desc() if name.startswith("-") else column]


def sorted_frame(frame: pd.DataFrame, sort: Sequence[str], limit: int | None = None) -> pd.DataFrame:
    """As `Store.frame` sorts and cuts."""
    if sort:
        names = [name.removeprefix("-") for name in sort]
        ascending = [not name.startswith("-") for name in sort]
        frame = frame.sort_values(names, ascending=ascending, ignore_index=True, kind="stable")
    return frame if limit is None else frame.head(limit)


def read_columns(connection: Connection, statement: sa.Select[Any]) -> pd.DataFrame:
    """What a statement finds: text, numbers (a missing one is NaN) and JSON values, by the types of its columns."""
    chosen = list(statement.selected_columns)
    found = connection.execute(statement)
    import pandas as pd
    import pyarrow as pa

    make = [_maker(column) for column in chosen]
    parts: list[list[Any]] = [[] for _ in chosen]
    with _no_collection():
        for cells in _fetch(found, chosen):
            for array_of, part, values in zip(make, parts, cells, strict=True):
                part.append(array_of(values))
        made = {c.name: _whole(c, part) for c, part in zip(chosen, parts, strict=True)}
        frame = pa.table({name: array for name, array in made.items() if not isinstance(array, list)}).to_pandas()
        return frame if len(made) == frame.shape[1] else pd.DataFrame({n: frame.get(n, made[n]) for n in made})


def _fetch(found: sa.CursorResult[Any], chosen: Sequence[sa.ColumnElement[Any]]) -> Iterator[Any]:
    """Some hundred rows at a time: a tuple of values for each column.

    All at once would be a hundred megabytes of small objects; to get that memory takes longer than to read the rows.
    """
    # Only JSON has to be converted on its way from a driver: its own tuples are three times as fast
    has_json = any(isinstance(column.type, sa.JSON) for column in chosen)
    source: Any = found if has_json else found.cursor
    while rows := source.fetchmany(_AT_ONCE):
        yield zip(*rows, strict=True)
    found.close()


def _maker(column: sa.ColumnElement[Any]) -> Callable[[tuple[Any, ...]], Any]:
    """What makes an array of some values of the column."""
    import numpy as np
    import pyarrow as pa

    if isinstance(column.type, sa.JSON):
        return tuple
    if isinstance(column.type, sa.Double | sa.BigInteger):
        return partial(np.array, dtype=np.dtype(_number(column)))
    return partial(pa.array, type=pa.large_string())


def _whole(column: sa.ColumnElement[Any], parts: list[Any]) -> Any:
    """The parts of a column as one: a list of JSON values, else what Arrow takes."""
    import numpy as np
    import pyarrow as pa

    if isinstance(column.type, sa.JSON):
        return [value for part in parts for value in part]
    if isinstance(column.type, sa.Double | sa.BigInteger):
        return np.concatenate(parts or [np.array([], dtype=_number(column))])
    return pa.chunked_array(parts, pa.large_string())


def _number(column: sa.ColumnElement[Any]) -> str:
    """A missing number is NaN, so an integer that may be missing is a float."""
    is_whole = isinstance(column, sa.Column) and isinstance(column.type, sa.BigInteger) and not column.nullable
    return "int64" if is_whole else "float64"


@contextmanager
def _no_collection() -> Iterator[None]:
    """A million new objects, none of them garbage: the collector would look at all of them again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def frame_of(
    storages: str | Store | Iterable[str | Store],
    where: str | None = None,
    columns: Sequence[str] | None = None,
    sort: Sequence[str] = (),
    limit: int | None = None,
    **among: str | Collection[str],
) -> pd.DataFrame:
    """The rows of one storage or of several, joined: an evaluation counts once, as `Store.frame` returns them.

    `storages` are URLs or open stores; the rest is as in `Store.frame`. Of an evaluation that several hold, a measured
    one is taken before a failed one and that before a running one; of two alike that of the storage named first.

    Raises:
        StorageError: a URL cannot be opened.
        QueryError: `where` is not a query, or `among` names no column.
        ColumnError: no such column.
    """
    with opened(storages) as stores:
        if len(stores) == 1:
            return stores[0].frame(where, columns, sort, limit, **among)
        names = list(COLUMNS) if columns is None else check_columns(columns, COLUMNS)
        needed = list(dict.fromkeys([*names, *_JOIN, *(name.removeprefix("-") for name in sort)]))
        frames = [store.frame(where, needed, (), None, **among) for store in stores]
    return sorted_frame(_joined(frames), sort, limit)[names]


@contextmanager
def opened(storages: str | Store | Iterable[str | Store]) -> Iterator[list[Store]]:
    """Stores to read from; those named by a URL are closed again."""
    from results.store import Store, open_store

    named = [storages] if isinstance(storages, str | Store) else list(storages)
    assert named, "at least one storage is read"
    with ExitStack() as stack:
        yield [stack.enter_context(open_store(one, read_only=True)) if isinstance(one, str) else one for one in named]


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    rank = {"complete": 0, "stopped": 0, "failed": 1, "running": 2}
    every = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    best = every["status"].map(rank).sort_values(kind="stable").index  # within a status the first storage stays first
    once = every.loc[best].drop_duplicates("identity")
    return once.sort_values(["started", "identity"], ignore_index=True)
