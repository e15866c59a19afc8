"""What has changed in the table since somebody last looked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from results import query
from results.row import STATUSES, Row
from results.table import EVALUATIONS, ROW_COLUMNS, from_cells

Scope = str | float | None

_c = EVALUATIONS.c
_HEAVY = ("curves", "versions", "error")
_LIGHT = [column for column in ROW_COLUMNS if column.name not in _HEAVY]
_FINISHED = [status for status in STATUSES if status != "running"]
_SINCE = "after_seq"  # the name of no column
_LONGEST_IN = 500  # a database binds only so many parameters to a statement (SQLite 32,766; older ones 999)


def changes(
    connection: Connection, since: int, scope: Mapping[str, Scope | Collection[Scope]]
) -> tuple[list[Row], int]:
    """The rows of `Store.changes`, and the cursor to ask with next time."""
    allowed = {name: _allowed(value) for name, value in scope.items()}
    long = {name: values for name, values in allowed.items() if len(values) > _LONGEST_IN}
    short = {name: values for name, values in allowed.items() if name not in long}
    for name in long:
        query.column(name)  # refuses what is none
    statement = _statement(tuple((name, None in values) for name, values in short.items()))
    given = {name: [value for value in values if value is not None] for name, values in short.items()}
    rows = []
    for cells in map(dict, connection.execute(statement, given | {_SINCE: since}).mappings()):
        seq = cells.pop("seq")
        row = from_cells(cells)
        if all(getattr(row, name) in values for name, values in long.items()):
            rows.append((seq, row))
    rows.sort(key=_order)
    return [row for _, row in rows], max([since, *(seq for seq, row in rows if row.status != "running")])


def _order(numbered: tuple[int, Row]) -> tuple[bool, int, float, str]:
    seq, row = numbered
    return row.status == "running", seq, row.started or 0.0, row.identity


def _allowed(value: Scope | Collection[Scope]) -> Collection[Any]:
    return [value] if value is None or isinstance(value, str | int | float) else frozenset(value)


# Built once: a search asks the same at every turn, and to build it takes longer than SQLite takes to answer.
@lru_cache
def _statement(scope: tuple[tuple[str, bool], ...]) -> sa.Select[Any]:
    """What has changed, where each named column has one of the values that are bound to its name, or none if so said.

    One statement, so that a row which finishes meanwhile is seen running or finished, and not neither.
    """
    changed = sa.or_(sa.and_(_c.status.in_(_FINISHED), _c.seq > sa.bindparam(_SINCE)), _c.status == "running")
    conditions = []
    for name, may_be_missing in scope:
        column = query.column(name)
        inside = column.in_(sa.bindparam(name, expanding=True))
        conditions.append(sa.or_(inside, column.is_(None)) if may_be_missing else inside)
    return sa.select(*_LIGHT, _c.seq).where(changed, *conditions)
