"""A database that is away for a moment must not cost a training."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from itertools import chain, repeat
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

T = TypeVar("T")

_log = logging.getLogger(__name__)
_WAITS_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_LONGEST_WAIT_SECONDS = 30.0
_SQLITE_PASSES = {  # sqlite.org/rescode.html; SQLite also says OperationalError of a table that is not there
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}


def persistently(action: Callable[[], T], what: str, *, until: Callable[[], bool] | None = None) -> T:
    """What `action` returns, tried again for as long as the database is locked, full, restarting or out of reach.

    It waits 0.2 s first and 30 s at most, and logs each failure as a warning that begins with `what`. Before a wait
    `until()` is asked, and True gives up: the last failure is raised. What no waiting mends is raised at once.

    `action` may be run although an earlier run of it was committed (the answer can be lost): claims and finishes know
    their own.
    """
    for wait_seconds in chain(_WAITS_SECONDS, repeat(_LONGEST_WAIT_SECONDS)):
        try:
            return action()
        except DBAPIError as error:
            if not may_pass(error) or (until is not None and until()):
                raise
            _log.warning("%s: %s; trying again in %g seconds", what, _reason(error), wait_seconds)
        _sleep(wait_seconds, until)
    raise AssertionError("the waits never end")


def unless_lost(action: Callable[[], T]) -> T:
    """What `action` returns, tried four times again where its connection was lost; not where it got none."""
    for wait_seconds in _WAITS_SECONDS[:4]:
        try:
            return action()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        time.sleep(wait_seconds)
    return action()


def _sleep(seconds: float, until: Callable[[], bool] | None) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not (until is not None and until()):
        time.sleep(min(left, 0.2))


def may_pass(error: DBAPIError) -> bool:
    """Whether the same statement may succeed later: a lost connection, a lock, a full disk, a server that restarts."""
    if isinstance(error.orig, sqlite3.Error):
        code = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        return code & 0xFF in _SQLITE_PASSES  # the low byte is the primary code
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)


def _reason(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())
