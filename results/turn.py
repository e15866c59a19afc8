"""One write transaction on the table of evaluations, alone among the writers of its storage."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from results.changes import Scope, changes
from results.lease import STALE_SECONDS, lease_is_dead
from results.row import COLUMNS, MEASURED, Row
from results.schema import LAST_SEQ, insert
from results.studies import Study, free_name, select
from results.studies import insert as insert_study
from results.table import EVALUATIONS, META, ROW_COLUMNS, from_cells, to_cells

_c = EVALUATIONS.c
_IDENTITY = _c.identity == sa.bindparam("wanted")
_GET = sa.select(*ROW_COLUMNS).where(_IDENTITY)
_TAKE_OVER = sa.update(EVALUATIONS).where(_IDENTITY)
_NEXT_SEQ = (
    sa.update(META)
    .where(META.c.name == LAST_SEQ)
    .values(value=sa.cast(sa.cast(META.c.value, sa.BigInteger) + sa.bindparam("count", 1), sa.Text))
    .returning(META.c.value)
)


class Turn:
    """What a writer sees and does while no other writer of the storage is at work; made by `Store.turn`.

    Keep it short: everybody else waits. An exception undoes all of it.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def changes(self, since: int, **scope: Scope | Collection[Scope]) -> tuple[list[Row], int]:
        """As `Store.changes`, and nothing can change until the turn ends."""
        return changes(self.connection, since, scope)

    def studies(self) -> list[Study]:
        """As `Studies.list`, and none can be added until the turn ends."""
        return select(self.connection)

    def begin_study(self, config: Mapping[str, Any], default_name: str) -> Study:
        """A new study, called `default_name`, or that with -2, -3..., whatever others ask."""
        return insert_study(self.connection, config, free_name(self.connection, default_name))

    def claim(self, row: Row, *, stale_seconds: float = STALE_SECONDS) -> Row | None:
        """As `Store.claim`."""
        assert row.status == "running" and row.owner is not None, "claim takes a running row with its owner"
        now = time.time()
        mine = replace(row, heartbeat=now, started=now if row.started is None else row.started)
        if self.connection.execute(_claim(self._dialect), to_cells(mine) | {"seq": 0}).first() is not None:
            return None
        there = get(self.connection, row.identity)
        assert there is not None, "a row cannot go while we have the turn"
        ours = there.status == "running" and (there.owner, there.started) == (row.owner, row.started)
        if not ours and not lease_is_dead(there, stale_seconds=stale_seconds):
            return there
        mine = replace(mine, attempts=there.attempts + (not ours))
        self.connection.execute(_TAKE_OVER, to_cells(mine) | {"wanted": row.identity})
        return None

    def finish(self, row: Row) -> bool:
        """As `Store.finish`."""
        return self._end(row, ("running",))

    def supersede(self, row: Row) -> bool:
        """As `finish`, over a failed row too: somebody else has measured what failed here."""
        assert row.status in MEASURED, "a failure takes no row's place"
        return self._end(row, ("running", "failed"))

    def _end(self, row: Row, gives_way: tuple[str, ...]) -> bool:
        assert row.status != "running", "finish takes a row that has ended"
        final = replace(row, finished=time.time() if row.finished is None else row.finished)
        seq = int(self.connection.execute(_NEXT_SEQ).scalar_one())
        write = _finish(self._dialect, gives_way)
        return self.connection.execute(write, to_cells(final) | {"seq": seq}).first() is not None

    def insert(self, ended: Sequence[Row]) -> None:
        """Write rows that have ended, of which the table holds none, as if they had finished now in this order.

        Their values are such as both databases take: `results.exchange_check` has seen to it.
        """
        assert all(row.status != "running" for row in ended), "insert takes rows that have ended"
        last = int(self.connection.execute(_NEXT_SEQ, {"count": len(ended)}).scalar_one())
        cells = [
            {name: getattr(row, name) for name in COLUMNS} | {"seq": seq}
            for seq, row in enumerate(ended, start=last - len(ended) + 1)
        ]
        self.connection.execute(sa.insert(EVALUATIONS), cells)

    @property
    def _dialect(self) -> str:
        return self.connection.dialect.name


def get(connection: Connection, identity: str) -> Row | None:
    found = connection.execute(_GET, {"wanted": identity}).mappings().first()
    return None if found is None else from_cells(dict(found))


# Built once: to build and look up a statement of forty columns takes longer than SQLite takes to run it.
@cache
def _claim(dialect: str) -> Any:
    return insert(EVALUATIONS, dialect).on_conflict_do_nothing().returning(_c.identity)


@cache
def _finish(dialect: str, gives_way: tuple[str, ...]) -> Any:
    """Write an ended row where there is none, or one whose status is among `gives_way`."""
    fresh = insert(EVALUATIONS, dialect)
    new = fresh.excluded
    values = {name: new[name] for name in (*COLUMNS, "seq") if name != "identity"}
    values["started"] = sa.func.coalesce(new.started, _c.started)
    values["study"] = sa.func.coalesce(_c.study, new.study)
    values["attempts"] = sa.case((_c.attempts > new.attempts, _c.attempts), else_=new.attempts)
    write = fresh.on_conflict_do_update(index_elements=["identity"], set_=values, where=_c.status.in_(gives_way))
    return write.returning(_c.identity)
