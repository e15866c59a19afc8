"""The table of evaluations. The database's own transactions and unique constraint decide who trains what."""

from __future__ import annotations

import time
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from results import query
from results.engine import open_engine
from results.lease import owner_is_dead
from results.row import COLUMNS, Row
from results.schema import WRITE, StorageError, insert
from results.table import EVALUATIONS, SCHEMA_VERSION, from_cells, to_cells

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCHEMA_VERSION", "StorageError", "Store", "open_store"]

_c = EVALUATIONS.c


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

    def claim(self, row: Row, *, stale_seconds: float = 120.0) -> Row | None:
        """Try to take a running `row` (with its owner) as ours to train.

        Returns None if it is ours now, else the row that is already there: complete, failed, or running elsewhere. A
        running row whose lease is dead is taken over: its heartbeat is older than `stale_seconds` (by this machine's
        clock), or its owner was a process of this host that no longer lives.
        """
        assert row.status == "running" and row.owner is not None, "claim takes a running row with its owner"
        with self._write() as connection:
            while True:  # goes round only when another process has changed the row in between
                now = time.time()
                mine = replace(row, heartbeat=now, started=now if row.started is None else row.started)
                fresh = insert(EVALUATIONS, self.engine).values(to_cells(mine)).on_conflict_do_nothing()
                if connection.execute(fresh.returning(_c.identity)).first() is not None:
                    return None
                there = _get(connection, row.identity)
                if there is None:
                    continue
                if not lease_is_dead(there, stale_seconds=stale_seconds):
                    return there
                as_seen = (_c.owner == there.owner, _c.heartbeat == there.heartbeat)
                take_over = _running(row.identity).where(*as_seen).values(to_cells(mine))
                if connection.execute(take_over).rowcount == 1:
                    return None

    def beat(self, identity: str, owner: str) -> bool:
        """Renew the heartbeat of our running row; False if the lease is no longer ours."""
        with self._write() as connection:
            renew = _running(identity).where(_c.owner == owner).values(heartbeat=time.time())
            return connection.execute(renew).rowcount == 1

    def finish(self, row: Row) -> bool:
        """Write the final state of a complete or failed row; the first result stays, a second returns False.

        A late result is accepted whoever holds the lease, and if the running row has vanished. `started` is kept from
        the claim and `finished` is now, where the row says neither. Numbers that are not finite are stored as missing.
        """
        assert row.status != "running", "finish takes a complete or failed row"
        final = replace(row, finished=time.time() if row.finished is None else row.finished)
        fresh = insert(EVALUATIONS, self.engine).values(to_cells(final))
        changes = {name: fresh.excluded[name] for name in COLUMNS if name != "identity"}
        changes["started"] = sa.func.coalesce(fresh.excluded.started, _c.started)
        write = fresh.on_conflict_do_update(index_elements=["identity"], set_=changes, where=_c.status == "running")
        with self._write() as connection:
            return connection.execute(write.returning(_c.identity)).first() is not None

    def release(self, identity: str, owner: str) -> bool:
        """Give a claim back: delete the running row if it is ours."""
        ours = (_c.identity == identity, _c.status == "running", _c.owner == owner)
        with self._write() as connection:
            return connection.execute(sa.delete(EVALUATIONS).where(*ours)).rowcount == 1

    def get(self, identity: str) -> Row | None:
        """The row of this identity, if there is one."""
        with self.engine.connect() as connection:
            return _get(connection, identity)

    def rows(self, **equals: str | float | None) -> list[Row]:
        """The rows whose columns equal these values (None: is missing), ordered by start.

        Raises:
            QueryError: no such column.
        """
        wanted = [query.column(name) == value for name, value in equals.items()]
        return [from_cells(cells) for cells in self._select(*wanted)]

    def frame(self, where: str | None = None) -> pd.DataFrame:
        """Every row, or those that a query expression (see `results.query`) selects, ordered by start.

        The columns are `results.row.COLUMNS`, in that order, on an empty table too. Missing numbers are NaN.

        Raises:
            QueryError: `where` is not a query; the message says why.
        """
        import pandas as pd

        found = self._select(*([] if where is None else [query.parse(where)]))
        # Without this a column of missing numbers would hold objects.
        numbers = {c.name: "float64" for c in _c if isinstance(c.type, sa.Double) or (c.nullable and _is_integer(c))}
        numbers |= {c.name: "int64" for c in _c if not c.nullable and _is_integer(c)}
        return pd.DataFrame([tuple(cells.values()) for cells in found], columns=list(COLUMNS)).astype(numbers)

    def _select(self, *wanted: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
        statement = sa.select(EVALUATIONS).where(*wanted).order_by(_c.started, _c.identity)
        with self.engine.connect() as connection:
            return [dict(found) for found in connection.execute(statement).mappings()]

    def _write(self) -> Any:
        assert not self.read_only, "the store was opened read_only"
        return self._writer.begin()


def _is_integer(column: sa.Column[Any]) -> bool:
    return isinstance(column.type, sa.BigInteger)


def _get(connection: Connection, identity: str) -> Row | None:
    found = connection.execute(sa.select(EVALUATIONS).where(_c.identity == identity)).mappings().first()
    return None if found is None else from_cells(dict(found))


def _running(identity: str) -> sa.Update:
    return sa.update(EVALUATIONS).where(_c.identity == identity, _c.status == "running")


def lease_is_dead(row: Row, *, stale_seconds: float = 120.0) -> bool:
    """Whether a running row's process is gone: killed on this host, or silent for `stale_seconds` anywhere."""
    if row.status != "running":
        return False
    assert row.owner is not None and row.heartbeat is not None, "every running row was claimed"
    return time.time() - row.heartbeat > stale_seconds or owner_is_dead(row.owner)
