"""Open the database that a URL names, or say in the user's words why that cannot be done."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import QueuePool

from results.file_systems import network_file_system
from results.retry import unless_lost
from results.schema import WRITE, StorageError, create_tables, find_version, upgrade
from results.table import SCHEMA_VERSION
from results.urls import without_password

BUSY_MILLISECONDS = 30_000

_ALLOWED = "allowed: sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/DATABASE"
_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",  # the default driver differs between SQLAlchemy 2.0 and 2.1
    "postgresql+psycopg": "postgresql+psycopg",
    "postgresql+psycopg2": "postgresql+psycopg2",
}
_POSTGRESQL_OPTIONS = {
    "pool_pre_ping": True,
    # What is read after the lock of `schema.lock` must be what the one before us has committed; a server may be set up
    # to give every transaction a picture from its beginning instead, which is before the wait.
    "isolation_level": "READ COMMITTED",
    # Notice in a minute that the server's machine has vanished; the default of TCP is two hours.
    "connect_args": {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3},
}
_PACKAGES = {"postgresql+psycopg": "psycopg[binary]", "postgresql+psycopg2": "psycopg2-binary"}


def open_engine(url: str, *, read_only: bool) -> Engine:
    """Connect to the storage at `url`; a new one is given its tables unless `read_only`.

    A storage of an older version is brought up to date first, when `read_only` too.

    Raises:
        StorageError: the URL, its file or server, or the storage found there cannot be used.
    """
    parsed = _parse(url)
    shown = without_password(parsed.render_as_string(hide_password=True))
    is_new = parsed.get_backend_name() == "sqlite" and _is_new_file(parsed, read_only)
    if is_new and read_only:
        raise StorageError(_missing(shown, "does not exist"))
    with _explained(shown):
        return unless_lost(lambda: _open(parsed, shown, is_new=is_new, read_only=read_only))


def _open(parsed: URL, shown: str, *, is_new: bool, read_only: bool) -> Engine:
    version = None
    if not is_new:
        # Asked through a connection that cannot write: a storage that is refused must stay as it was.
        version = _version(parsed, shown)
    if version is None and read_only:
        raise StorageError(_missing(shown, "holds no results"))
    is_old = version is not None and version < SCHEMA_VERSION
    if is_old or not read_only:
        _refuse_network_file(parsed, shown)
    if is_old:
        with _connected(parsed, read_only=False) as writer:
            upgrade(writer, shown)
    engine = _connect(parsed, read_only=read_only)
    if version is None:
        create_tables(engine)
    return engine


def check_openable(url: str) -> int | None:
    """The schema version of the storage at `url`, None if it is still to be made; changes nothing.

    Raises:
        StorageError: `open_engine` could not open it for writing.
    """
    parsed = _parse(url)
    shown = without_password(parsed.render_as_string(hide_password=True))
    is_new = parsed.get_backend_name() == "sqlite" and _is_new_file(parsed, False)
    _refuse_network_file(parsed, shown)
    if is_new:
        return None
    with _explained(shown):
        return unless_lost(lambda: _version(parsed, shown))


def _version(parsed: URL, shown: str) -> int | None:
    with _connected(parsed, read_only=True) as reader:
        return find_version(reader, shown)


def _parse(url: str) -> URL:
    shown = re.sub(r"://[^/]*@", "://***@", without_password(url))  # one that cannot be parsed may still hold one
    if "://" not in url:
        hint = f"; did you mean sqlite:///{url}?" if url.strip() else ""
        raise StorageError(f"storage {shown!r} is not a URL{hint} ({_ALLOWED})")
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StorageError(f"storage {shown!r} is not a well-formed URL; {_ALLOWED}") from error
    if parsed.drivername not in _DRIVERS:
        raise StorageError(f"storage {shown!r}: unknown kind of database {parsed.drivername!r}; {_ALLOWED}")
    if parsed.get_backend_name() == "sqlite" and parsed.host:
        raise StorageError(f"storage {shown!r}: a SQLite URL has three slashes before the file; {_ALLOWED}")
    return parsed.set(drivername=_DRIVERS[parsed.drivername])


def _in_memory(url: URL) -> bool:
    return url.database in (None, "", ":memory:")


def _is_new_file(url: URL, read_only: bool) -> bool:
    """Whether a SQLite file is still to be made; raises StorageError if it could not be."""
    if _in_memory(url):
        return True
    assert url.database is not None
    path = Path(url.database)
    if path.is_dir():
        raise StorageError(f"storage {url}: {path} is a directory; name a file in it: sqlite:///{path / 'attnas.db'}")
    if read_only:
        return not path.exists()
    if not path.parent.is_dir():
        what = "is not a directory" if path.parent.exists() else "does not exist"
        raise StorageError(f"storage {url}: the directory {path.parent} {what}; make it, or name a file elsewhere")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise StorageError(f"storage {url}: no permission to write there; mend it, or name a file elsewhere")
    return not path.exists()


def _refuse_network_file(url: URL, shown: str) -> None:
    """SQLite's log needs locks and shared memory that processes on several machines do not share (sqlite.org/wal)."""
    if url.get_backend_name() != "sqlite" or _in_memory(url):
        return
    kind = network_file_system(str(url.database))
    if kind is not None:
        raise StorageError(
            f"storage {shown} lies on a network file system ({kind}), where SQLite cannot keep two machines from "
            "damaging the file; use a PostgreSQL database (postgresql://USER:PASSWORD@HOST/DATABASE), which several "
            "machines may share, or name a file on a disk of this machine"
        )


def _missing(shown: str, what: str) -> str:
    return f"storage {shown} {what}; a search makes one: attnas search --storage {shown}"


@contextmanager
def _explained(shown: str) -> Iterator[None]:
    """Turn what the database says while a storage is opened into the user's error."""
    try:
        yield
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        if shown.startswith("postgresql"):
            advice = "check that the server runs, that the database exists and that user and password are right"
        else:
            advice = "name a file that attnas made, or a new one, in a directory that can be written"
        raise StorageError(f"storage {shown} cannot be opened: {reason}; {advice}") from error


@contextmanager
def _connected(url: URL, *, read_only: bool) -> Iterator[Engine]:
    engine = _connect(url, read_only=read_only)
    try:
        yield engine
    finally:
        engine.dispose()


def _connect(url: URL, *, read_only: bool) -> Engine:
    is_sqlite = url.get_backend_name() == "sqlite"
    options: dict[str, Any] = {} if is_sqlite else dict(_POSTGRESQL_OPTIONS)
    if is_sqlite and _in_memory(url):
        # One connection that threads take in turn: with a connection each they would each see a database of its own.
        options = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
        options["connect_args"] = {"check_same_thread": False}
    try:
        engine = sa.create_engine(url, **options)
    except ModuleNotFoundError as error:
        package = _PACKAGES[url.drivername]
        shown = without_password(url.render_as_string(hide_password=True))
        raise StorageError(f"storage {shown} needs a driver: pip install '{package}'") from error
    if is_sqlite:
        _prepare_sqlite(engine, read_only=read_only)
        return engine
    return engine.execution_options(postgresql_readonly=True) if read_only else engine


def _prepare_sqlite(engine: Engine, *, read_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # sqlite3 begins no transaction by itself, `begin` below does
        connection.execute("PRAGMA trusted_schema = OFF")  # the file may come from anywhere
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA mmap_size = {2**30}")  # a scan of a large file without a copy of each page
        else:
            _switch_to_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Taking the write lock at once waits for other writers; taking it after a read would fail instead.
        writes = connection.get_execution_options().get(WRITE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Set the journal mode; SQLite does not wait out its busy_timeout there when several processes open a new file."""
    deadline = time.monotonic() + BUSY_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
