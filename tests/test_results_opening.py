"""Opening a storage: every way in which it can go wrong is told in the user's words, and changes nothing."""

from __future__ import annotations

import hashlib
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from test_results_row import a_row, running

from results import StorageError, open_store
from results.engine import _switch_to_wal
from results.store import SCHEMA_VERSION
from search_space.errors import UserError


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def refusal(url: str, *, read_only: bool = False) -> str:
    with pytest.raises(StorageError) as caught:
        open_store(url, read_only=read_only)
    assert isinstance(caught.value, UserError)
    return str(caught.value)


def digest(directory: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in directory.iterdir()}


def test_a_file_is_in_wal_mode_and_durable_at_each_commit(tmp_path: Path) -> None:
    with open_store(url_of(tmp_path / "a.db")) as store, store.engine.connect() as connection:
        asked = [connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "synchronous")]
        assert asked == ["wal", 2]  # sqlite.org/pragma.html: 2 is FULL
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchall() == [
            (str(SCHEMA_VERSION),)
        ]


class Busy(sqlite3.Connection):
    """A connection that fails as SQLite does, now and then, when several processes open one new file."""

    def __init__(self, codes: list[int]) -> None:
        super().__init__(":memory:")
        self.codes = codes

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if self.codes:
            error = sqlite3.OperationalError("from sqlite")
            error.sqlite_errorcode = self.codes.pop(0)
            raise error
        return super().execute(sql, parameters)


def test_the_switch_to_wal_waits_while_the_file_is_busy_and_for_nothing_else() -> None:
    with closing(Busy([sqlite3.SQLITE_BUSY] * 3)) as connection:
        _switch_to_wal(connection)
        assert connection.codes == []
    with closing(Busy([sqlite3.SQLITE_IOERR])) as connection, pytest.raises(sqlite3.OperationalError):
        _switch_to_wal(connection)


def test_a_storage_is_found_again_with_its_rows(tmp_path: Path) -> None:
    for seed in range(3):
        with open_store(url_of(tmp_path / "a.db")) as store:
            assert store.finish(a_row(seed=seed))
            assert len(store.rows()) == seed + 1


def test_read_only_reads_and_never_writes(tmp_path: Path) -> None:
    with open_store(url_of(tmp_path / "a.db")) as store:
        store.finish(a_row())
    before = digest(tmp_path)
    with open_store(url_of(tmp_path / "a.db"), read_only=True) as store:
        assert len(store.frame()) == 1
        with pytest.raises(AssertionError, match="read_only"):
            store.finish(a_row(seed=9))
        with pytest.raises(AssertionError, match="read_only"):
            store.claim(running("me:1:1", seed=9))
        with store.engine.connect() as connection, pytest.raises(sa.exc.OperationalError, match="readonly"):
            connection.exec_driver_sql("DELETE FROM evaluations")
    assert digest(tmp_path) == before


def test_read_only_makes_no_file_and_says_which_command_does(tmp_path: Path) -> None:
    url = url_of(tmp_path / "none.db")
    said = refusal(url, read_only=True)
    assert f"{url} does not exist" in said and f"attnas search --storage {url}" in said
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "none.db").touch()
    assert "holds no results" in refusal(url, read_only=True)
    assert (tmp_path / "none.db").stat().st_size == 0


@pytest.mark.parametrize("read_only", [False, True])
def test_a_storage_made_by_a_newer_attnas_is_refused_and_its_bytes_are_unchanged(
    tmp_path: Path, read_only: bool
) -> None:
    newer = SCHEMA_VERSION + 1
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT)")
        connection.execute("INSERT INTO meta VALUES ('schema_version', ?)", (str(newer),))
        connection.execute("CREATE TABLE evaluations (unknown TEXT)")
    before = digest(tmp_path)
    said = refusal(url_of(tmp_path / "a.db"), read_only=read_only)
    assert f"schema version is {newer}" in said and f"up to {SCHEMA_VERSION}" in said and "upgrade attnas" in said
    assert digest(tmp_path) == before


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE evaluations (x)",
        "CREATE TABLE meta (x)",
        "CREATE TABLE meta (name, value)",
        "CREATE TABLE meta (name, value); INSERT INTO meta VALUES ('schema_version', 'one')",
        f"CREATE TABLE meta (name, value); INSERT INTO meta VALUES ('schema_version', '{'9' * 5000}')",
    ],
)
def test_tables_of_our_names_that_are_not_ours_are_refused_and_unchanged(tmp_path: Path, schema: str) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.executescript(schema)
    before = digest(tmp_path)
    assert "were not made by attnas" in refusal(url_of(tmp_path / "a.db"))
    assert digest(tmp_path) == before


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"


@pytest.mark.parametrize(
    "schema",
    [
        f"DROP TABLE evaluations; CREATE VIEW evaluations AS {ENDLESS}",
        f"DROP TABLE evaluations; CREATE VIEW EVALUATIONS AS {ENDLESS}",
        f"DROP TABLE meta; CREATE VIEW meta AS SELECT 'schema_version' AS name, x AS value FROM ({ENDLESS})",
        f"DROP TABLE studies; CREATE VIEW studies AS {ENDLESS}",
        "CREATE TRIGGER t AFTER INSERT ON evaluations BEGIN DELETE FROM studies; END",
        "DROP TABLE latencies; CREATE VIRTUAL TABLE latencies USING rtree(id, a, b)",
        "ALTER TABLE evaluations ADD COLUMN more TEXT AS (instr(hex(zeroblob(1000000)), 'x'))",
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_a_storage_that_computes_where_it_should_hold_is_refused_and_unchanged(
    tmp_path: Path, schema: str, read_only: bool
) -> None:
    open_store(url_of(tmp_path / "a.db")).close()
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.executescript(schema)
    before = digest(tmp_path)
    assert "were not made by attnas" in refusal(url_of(tmp_path / "a.db"), read_only=read_only)
    assert digest(tmp_path) == before


def test_a_file_that_is_no_database_is_refused_and_unchanged(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("epoch,accuracy\n" * 100)
    before = digest(tmp_path)
    for read_only in (False, True):
        said = refusal(url_of(tmp_path / "a.db"), read_only=read_only)
        assert "file is not a database" in said and "name a file that attnas made" in said
    assert digest(tmp_path) == before


def test_a_truncated_storage_is_refused(tmp_path: Path) -> None:
    with open_store(url_of(tmp_path / "a.db")) as store:
        store.finish(a_row())
    (tmp_path / "a.db").write_bytes((tmp_path / "a.db").read_bytes()[:4500])
    assert "cannot be opened" in refusal(url_of(tmp_path / "a.db"))


def test_places_where_no_file_can_be_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert f"the directory {tmp_path / 'no'} does not exist" in refusal(url_of(tmp_path / "no" / "a.db"))
    assert f"{tmp_path / 'file'} is not a directory" in refusal(url_of(tmp_path / "file" / "a.db"))
    assert f"{tmp_path} is a directory; name a file in it" in refusal(url_of(tmp_path))
    for path in (tmp_path / "no" / "a.db", tmp_path / "file" / "a.db", tmp_path):
        refusal(url_of(path), read_only=True)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("results/a.db", "did you mean sqlite:///results/a.db?"),
        ("", "is not a URL (allowed:"),
        ("://", "not a well-formed URL"),
        ("postgresql://me:secret@host:port/db", "not a well-formed URL"),
        ("mysql://me:secret@host/db", "unknown kind of database 'mysql'"),
        ("postgres://me:secret@host/db", "unknown kind of database 'postgres'"),
        ("sqlite+aiosqlite:///a.db", "unknown kind of database 'sqlite+aiosqlite'"),
        ("sqlite://a.db", "three slashes"),
    ],
)
def test_a_url_that_names_no_storage_is_refused_with_what_is_allowed(url: str, named: str) -> None:
    said = refusal(url)
    assert named in said and "sqlite:///FILE" in said and "postgresql://" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("url", "module", "package"),
    [
        ("postgresql://me:secret@localhost/db", "psycopg", "pip install 'psycopg[binary]'"),
        ("postgresql+psycopg2://me:secret@localhost/db", "psycopg2", "pip install 'psycopg2-binary'"),
    ],
)
def test_a_missing_driver_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, url: str, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # Python's own way to make an import fail
    said = refusal(url)
    assert package in said and "secret" not in said


def test_a_server_that_does_not_answer_is_told_without_the_password() -> None:
    pytest.importorskip("psycopg")
    said = refusal("postgresql://me:secret@localhost:1/db")
    assert "check that the server runs" in said and "secret" not in said


def test_an_in_memory_storage_is_shared_by_the_threads_of_a_store_and_by_no_other_store() -> None:
    with open_store("sqlite:///:memory:") as one, open_store("sqlite://") as other:
        one.finish(a_row())
        assert len(one.rows()) == 1 and other.rows() == []
