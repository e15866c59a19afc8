"""The tables of a storage: whether they are there and of which version, made, brought up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from results.retry import may_pass
from results.table import EVALUATIONS, META, METADATA, SCHEMA_VERSION
from search_space.errors import UserError

WRITE = "attnas_write"
"""Execution option of a connection that will write: SQLite then takes the write lock when its transaction begins."""

LAST_SEQ = "last_seq"
"""The name in `META` of the last number that a finished row was given: one that is deleted is never given again."""

_LOCK = 0x61747472  # any number, the same in every process
_TAKE_LOCK = sa.select(
    sa.func.set_config("idle_in_transaction_session_timeout", "60s", True), sa.func.pg_advisory_xact_lock(_LOCK)
)
_VERSION = META.c.name == "schema_version"
_COMPUTING = sa.text(
    "SELECT count(*) FROM sqlite_master AS m WHERE lower(m.tbl_name) IN :names AND (m.type IN ('view', 'trigger') "
    "OR m.sql LIKE 'CREATE VIRTUAL%' "
    "OR m.type = 'table' AND EXISTS (SELECT 1 FROM pragma_table_xinfo(m.name) WHERE hidden <> 0))"  # generated
).bindparams(sa.bindparam("names", expanding=True))
_UPGRADES = {
    1: ("ALTER TABLE evaluations ADD COLUMN settled TEXT",),
    2: (
        "ALTER TABLE evaluations ADD COLUMN study TEXT",
        "ALTER TABLE evaluations ADD COLUMN attempts BIGINT NOT NULL DEFAULT 1",
        "ALTER TABLE evaluations ADD COLUMN latency_seconds DOUBLE PRECISION",
        "ALTER TABLE evaluations ADD COLUMN epochs_trained DOUBLE PRECISION",
        "ALTER TABLE evaluations ADD COLUMN progress DOUBLE PRECISION",
        "ALTER TABLE evaluations ADD COLUMN seq BIGINT NOT NULL DEFAULT 0",
        "CREATE INDEX evaluations_changes ON evaluations (status, seq)",
        "CREATE TABLE studies (id VARCHAR(32) NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, config JSON NOT NULL, "
        "config_hash VARCHAR(32) NOT NULL, created DOUBLE PRECISION NOT NULL)",
        "CREATE TABLE latencies (network_key TEXT NOT NULL, hardware TEXT NOT NULL, conditions TEXT NOT NULL, "
        "seconds DOUBLE PRECISION NOT NULL, seconds_iqr DOUBLE PRECISION NOT NULL, n BIGINT NOT NULL, "
        "measured DOUBLE PRECISION NOT NULL, PRIMARY KEY (network_key, hardware, conditions))",
        "INSERT INTO meta (name, value) VALUES ('last_seq', '0')",
    ),
    3: (
        "CREATE TABLE recipes (hash VARCHAR(32) NOT NULL PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, "
        "content JSON NOT NULL)",
    ),
    4: (),  # an index more
}
"""What makes of each older version the next one; indexes that are not there yet are made of the tables themselves."""


class StorageError(UserError):
    """A storage that cannot be opened or read: what was given, what is allowed, what to do next."""


@contextmanager
def reading(shown: str) -> Iterator[None]:
    """Within it a storage is read: what a damaged or forged one makes of that is the user's error.

    A database that is locked or away is not: `results.retry` knows what to do then.
    """
    try:
        yield
    except UserError:
        raise
    except (DBAPIError, sqlite3.Error, ValueError, TypeError, OverflowError, AssertionError) as error:
        if isinstance(error, DBAPIError) and may_pass(error):
            raise
        reason = " ".join(str(getattr(error, "orig", error)).split())
        raise StorageError(
            f"storage {shown} holds what no attnas wrote, or is damaged: {reason[:300]}; mend it, or leave it out"
        ) from error


def insert(table: sa.Table, dialect: str) -> Any:
    """An INSERT that can say ON CONFLICT, in the dialect of that name."""
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # a twentieth of a second, for those who use it

    return postgresql.insert(table)


def find_version(engine: Engine, shown: str) -> int | None:
    """The schema version of our tables, None if there are none; changes nothing.

    Raises:
        StorageError: the tables are not ours, or of a version that we don't know.
    """
    inspector = sa.inspect(engine)
    tables = inspector.get_table_names()
    if _has_views(engine, inspector):
        raise _foreign(shown)
    if META.name not in tables and EVALUATIONS.name not in tables:
        if METADATA.tables.keys() & set(tables):  # Optuna, too, keeps "studies"
            raise _foreign(shown)
        return None
    if META.name not in tables or {c["name"] for c in inspector.get_columns(META.name)} != set(META.c.keys()):
        raise _foreign(shown)
    with engine.connect() as connection:
        return _read_version(connection, shown)


def _has_views(engine: Engine, inspector: Any) -> bool:
    """Whether a name of ours is something that computes: a view may do so for ever, a trigger at each of our writes."""
    if engine.dialect.name != "sqlite":  # there somebody was given the rights of the owner
        return bool(METADATA.tables.keys() & set(inspector.get_view_names()))
    with engine.connect() as connection:
        return bool(connection.scalar(_COMPUTING, {"names": list(METADATA.tables)}))


def create_tables(engine: Engine) -> None:
    with engine.execution_options(**{WRITE: True}).begin() as connection:
        lock(connection)
        METADATA.create_all(connection)
        facts = {"schema_version": str(SCHEMA_VERSION), LAST_SEQ: "0"}
        values = [{"name": name, "value": value} for name, value in facts.items()]
        connection.execute(insert(META, engine.dialect.name).values(values).on_conflict_do_nothing())


def upgrade(engine: Engine, shown: str) -> None:
    """Bring the tables to this version in one transaction. Of several processes at once one does it.

    Raises:
        StorageError: we may not, or another process has made them newer than we know.
    """
    try:
        with engine.execution_options(**{WRITE: True}).begin() as connection:
            lock(connection)
            for version in range(_read_version(connection, shown), SCHEMA_VERSION):  # another may have been first
                for statement in _UPGRADES[version]:
                    connection.exec_driver_sql(statement)
            for index in EVALUATIONS.indexes:
                index.create(connection, checkfirst=True)
            connection.execute(sa.update(META).where(_VERSION).values(value=str(SCHEMA_VERSION)))
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise StorageError(
            f"storage {shown} was made by an older attnas and cannot be brought up to schema version {SCHEMA_VERSION}: "
            f"{reason}; let a user who may write to it open it once: attnas results top --storage {shown}"
        ) from error


def lock(connection: Connection) -> None:
    """Keep other writers of this storage waiting until the transaction ends; a SQLite writer does so already.

    A holder whose machine has vanished is put out by the server after a minute of silence: without that it would
    keep everybody waiting until TCP gave it up, which takes hours.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_TAKE_LOCK)


def _read_version(connection: Connection, shown: str) -> int:
    value = str(connection.scalar(sa.select(META.c.value).where(_VERSION)))
    if not value.isdecimal() or len(value) > 9 or int(value) < 1:
        raise _foreign(shown)
    if int(value) > SCHEMA_VERSION:
        raise StorageError(
            f"storage {shown} was made by a newer attnas: its schema version is {value}, this attnas knows up to "
            f"{SCHEMA_VERSION}; upgrade attnas, or name another storage"
        )
    return int(value)


def _foreign(shown: str) -> StorageError:
    return StorageError(
        f"storage {shown}: its tables {', '.join(map(repr, METADATA.tables))} were not made by attnas; name another"
    )
