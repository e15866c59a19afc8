"""The table of evaluations. The database's own transactions and unique constraint decide who trains what."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from results import query
from results.changes import Scope, changes
from results.engine import open_engine
from results.frames import read_frame
from results.latencies import Latencies
from results.lease import NOBODY, STALE_SECONDS, lease_is_dead
from results.lines import read_lines
from results.query_axes import Designs
from results.recipes import Recipes
from results.row import Row
from results.schema import WRITE, StorageError, lock, reading
from results.studies import Studies
from results.table import EVALUATIONS, ROW_COLUMNS, SCHEMA_VERSION, from_cells
from results.turn import Turn, get
from results.urls import without_password

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCHEMA_VERSION", "StorageError", "Store", "lease_is_dead", "open_store"]

_c = EVALUATIONS.c
_Change = TypeVar("_Change", sa.Update, sa.Delete)


def open_store(url: str, *, read_only: bool = False) -> Store:
    """Open the table of evaluations at `url`: sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/DATABASE.

    A file that does not exist is created with its tables, unless `read_only`.

    Raises:
        StorageError: the storage cannot be opened or was made by a newer attnas; the message says what to do.
    """
    return Store(open_engine(url, read_only=read_only), url=url, read_only=read_only)


class Store:
    """Evaluations, one durable commit each; made by `open_store`.

    Threads may share a store. Another process, a forked one too, opens its own with `open_store(store.url)`.
    """

    def __init__(self, engine: Engine, *, url: str, read_only: bool) -> None:
        self.engine = engine
        self.url = url
        self.read_only = read_only
        self._writer = engine.execution_options(**{WRITE: True})

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.engine.url!r})"  # hides the password

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @property
    def studies(self) -> Studies:
        """The named studies of this storage."""
        return Studies(self)

    @property
    def latencies(self) -> Latencies:
        """The latencies that were measured on some hardware."""
        return Latencies(self)

    @property
    def recipes(self) -> Recipes:
        """What the recipe hashes of rows stand for."""
        return Recipes(self)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """One write transaction, alone among the writers of the storage, committed when its block is left."""
        assert not self.read_only, "the store was opened read_only"
        with self._writer.begin() as connection:
            lock(connection)
            yield Turn(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read by. Raises `StorageError` for what a damaged or forged storage holds."""
        shown = without_password(self.engine.url.render_as_string(hide_password=True))
        with reading(shown), self.engine.connect() as connection:
            yield connection

    def changes(self, since: int, **scope: Scope | Collection[Scope]) -> tuple[list[Row], int]:
        """The rows that have finished after the cursor `since` (-1: all), every running row, and the new cursor.

        `scope` names columns with the value or the values that they may have. The finished rows come first, in order
        of commit, then the running ones by start. `curves`, `versions` and `error` are left empty.

        Raises:
            QueryError: no such column.
        """
        with self.engine.connect() as connection:
            return changes(connection, since, scope)

    def claim(self, row: Row, *, stale_seconds: float = STALE_SECONDS) -> Row | None:
        """Try to take a running `row` (with its owner) as ours to train.

        Returns None if it is ours now, else the row that is already there: finished, or running elsewhere. A running
        row whose lease is dead is taken over, as one attempt more: its heartbeat is older than `stale_seconds` (by this
        machine's clock), or its owner was a process of this host that no longer lives. A running row of the same owner
        and the same `started` is ours already: the answer to an earlier claim was lost.
        """
        with self.turn() as turn:
            return turn.claim(row, stale_seconds=stale_seconds)

    def beat(self, identity: str, owner: str, progress: float | None = None) -> bool:
        """Renew the heartbeat of our running row, and note the epochs done; False if the lease is no longer ours."""
        values = {"heartbeat": time.time()} | ({} if progress is None else {"progress": progress})
        with self.turn() as turn:
            return turn.connection.execute(_owned(sa.update(EVALUATIONS), identity, owner).values(values)).rowcount == 1

    def finish(self, row: Row) -> bool:
        """Write the final state of a row that has ended; the first result stays, a second returns False.

        A late result is accepted whoever holds the lease, and if the running row has vanished. `started` is kept from
        the claim and `finished` is now, where the row says neither; `study` and the number of attempts are those of the
        running row. Numbers that are not finite are stored as missing.
        """
        with self.turn() as turn:
            return turn.finish(row)

    def release(self, identity: str, owner: str) -> bool:
        """Give a claim back: delete the running row if it is ours."""
        with self.turn() as turn:
            return turn.connection.execute(_owned(sa.delete(EVALUATIONS), identity, owner)).rowcount == 1

    def abandon(self, identity: str, owner: str) -> bool:
        """Leave our running row to whoever claims it next, which is one attempt more: who trained it has died."""
        with self.turn() as turn:
            left = _owned(sa.update(EVALUATIONS), identity, owner).values(owner=NOBODY, heartbeat=0.0)
            return turn.connection.execute(left).rowcount == 1

    def revive(self, identities: Iterable[str]) -> int:
        """Make those of these rows that have failed running rows of nobody, free to claim again; returns how many."""
        blank = dict.fromkeys(("failure", "error", "accuracy", "loss", "settled", "seconds", "finished"))
        nobody = {"status": "running", "owner": NOBODY, "heartbeat": 0.0, "attempts": 1, "seq": 0, "curves": []}
        failed = sa.update(EVALUATIONS).where(_c.status == "failed", _c.identity == sa.bindparam("wanted"))
        with self.turn() as turn:
            execute = turn.connection.execute
            return sum(execute(failed.values(**blank, **nobody), {"wanted": name}).rowcount for name in identities)

    def get(self, identity: str) -> Row | None:
        """The row of this identity, if there is one."""
        with self.reading() as connection:
            return get(connection, identity)

    def rows(self, **equals: str | float | None) -> list[Row]:
        """The rows whose columns equal these values (None: is missing), ordered by start.

        Raises:
            QueryError: no such column.
        """
        wanted = [query.column(name) == value for name, value in equals.items()]
        statement = sa.select(*ROW_COLUMNS).where(*wanted).order_by(_c.started, _c.identity)
        with self.reading() as connection:
            return [from_cells(dict(found)) for found in connection.execute(statement).mappings()]

    def frame(
        self,
        where: str | None = None,
        columns: Sequence[str] | None = None,
        sort: Sequence[str] = (),
        limit: int | None = None,
        **among: str | Collection[str],
    ) -> pd.DataFrame:
        """Every row, or those that a query expression (see `results.query`) selects.

        The columns are `columns`, or else `results.row.COLUMNS`, in that order, on an empty table too. Missing numbers
        are NaN. The rows are ordered by `sort`, names of columns (a minus before one is from the top; what is missing
        comes last), and by start, if that is among the columns; `limit` gives the first of them. `curves`, `versions`
        and `error` are most of a row: name the columns if they are not needed. `among` names columns with the value or
        the values that they may have beside: `status="complete"`.

        Raises:
            QueryError: `where` is not a query, or `among` names no column; the message says why.
            ColumnError: no such column.
        """
        with self.reading() as connection:
            return read_frame(connection, _wanted(connection, where, among), columns, sort, limit)

    def lines(
        self,
        where: str | None = None,
        by: Sequence[str] = (),
        epochs: int | None = None,
        **among: str | Collection[str],
    ) -> pd.DataFrame:
        """One line a network in each context over its complete rows, or over all that were measured at `epochs`, as
        `results.lines.lines_of` makes them of a frame.

        The database puts them together. `where` and `among` as in `frame`; `by` names columns of rows that tell lines
        apart as well.

        Raises:
            QueryError, ColumnError: as `frame`.
        """
        with self.reading() as connection:
            return read_lines(connection, _wanted(connection, where, among), by, epochs)

    def distinct(self, *columns: str) -> list[tuple[Any, ...]]:
        """The values that these columns take together, each once, in order.

        Raises:
            QueryError: no such column.
        """
        chosen = [query.column(name) for name in columns]
        with self.reading() as connection:
            return [tuple(found) for found in connection.execute(sa.select(*chosen).distinct().order_by(*chosen))]


def _wanted(
    connection: Connection, where: str | None, among: Mapping[str, str | Collection[str]]
) -> list[sa.ColumnElement[bool]]:
    """The conditions of `Store.frame`."""
    wanted = [] if where is None else [query.parse(where, Designs(connection))]
    for name, values in among.items():
        wanted.append(query.column(name).in_([values] if isinstance(values, str) else values))
    return wanted


def _owned(change: _Change, identity: str, owner: str) -> _Change:
    return change.where(_c.identity == identity, _c.status == "running", _c.owner == owner)
