"""`results.retry`: real failures of real databases, waited out; and what no waiting mends, raised at once."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from postgres import Server
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError
from test_results_row import a_row, running

from results import Store, engine, open_store
from results.retry import persistently


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that were asked for; none of them is waited."""
    asked: list[float] = []
    monkeypatch.setattr("results.retry._sleep", lambda seconds, until: asked.append(seconds))
    return asked


def failing(times: int) -> Callable[[], str]:
    left = [OperationalError("UPDATE", {}, sqlite_error(sqlite3.SQLITE_BUSY)) for _ in range(times)]

    def action() -> str:
        if left:
            raise left.pop()
        return "done"

    return action


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("from sqlite")
    error.sqlite_errorcode = code
    return error


def test_waits_grow_to_half_a_minute_and_every_failure_is_logged(
    waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    assert persistently(failing(9), "writing the row") == "done"
    assert waits == [0.2, 0.5, 1, 2, 5, 10, 30, 30, 30]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 9
    assert "writing the row: from sqlite; trying again in 0.2 seconds" in caplog.text


def test_until_gives_up_with_the_last_failure(waits: list[float]) -> None:
    with pytest.raises(OperationalError):
        persistently(failing(9), "x", until=lambda: len(waits) == 3)
    assert len(waits) == 3
    with pytest.raises(OperationalError):
        persistently(failing(1), "x", until=lambda: True)
    assert persistently(failing(0), "x", until=lambda: True) == "done"


def test_what_no_waiting_mends_is_raised_at_once(storage_url: str, waits: list[float]) -> None:
    def run(store: Store, statement: str) -> None:
        with store.turn() as turn:
            turn.connection.exec_driver_sql(statement)

    with open_store(storage_url) as store:
        for statement, kinds in (
            ("SELECT * FROM no_such_table", (OperationalError, ProgrammingError)),  # SQLite, PostgreSQL
            ("SELEKT", (OperationalError, ProgrammingError)),
            ("INSERT INTO meta (name, value) VALUES ('last_seq', '1')", (IntegrityError,)),
        ):
            with pytest.raises(kinds):
                persistently(lambda statement=statement: run(store, statement), "x")
        with pytest.raises(ZeroDivisionError):
            persistently(lambda: 1 // 0, "x")
    assert waits == []


def test_a_locked_file_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_store(f"sqlite:///{tmp_path}/a.db") as store, closing(sqlite3.connect(tmp_path / "a.db")) as other:
        sa.event.listen(store.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout = 1"))
        store.engine.dispose()
        other.execute("BEGIN IMMEDIATE")
        finishing = in_background(lambda: persistently(lambda: store.finish(a_row()), "finishing"))
        wait_for(lambda: "database is locked" in caplog.text)
        other.rollback()
        finishing.join(20)
        assert len(store.rows()) == 1


def test_a_full_disk_is_waited_for_and_no_row_is_lost_or_torn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SQLite says SQLITE_FULL as well when a file may not grow beyond max_page_count."""
    with open_store(f"sqlite:///{tmp_path}/a.db") as store:
        room = [20]
        sa.event.listen(
            store.engine, "checkout", lambda connection, *_: connection.execute(f"PRAGMA max_page_count = {room[0]}")
        )

        def fill() -> None:
            for seed in range(200):
                persistently(lambda seed=seed: store.finish(a_row(seed=seed)), "finishing")

        filling = in_background(fill)
        wait_for(lambda: "full" in caplog.text)
        room[0] = 10_000
        filling.join(20)
        assert sorted(row.seed for row in store.rows()) == list(range(200))
        assert store.changes(-1)[1] == 200


def test_killed_connections_and_a_restarted_server_cost_nothing(
    postgres: Server, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(postgres_url) as store:
        row = running("me:1:1", started=1.0)
        with pytest.raises(DBAPIError) as caught, store.turn() as turn:  # in the midst of a transaction
            assert turn.claim(row) is None
            pid = turn.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            postgres.execute(f"SELECT pg_terminate_backend({pid})")
            turn.finish(a_row(seed=99))
        assert caught.value.connection_invalidated and store.rows() == []
        assert persistently(lambda: store.claim(row), "claiming") is None

        postgres.stop()
        finishing = in_background(lambda: persistently(lambda: store.finish(a_row()), "finishing"))
        try:
            wait_for(lambda: "finishing: " in caplog.text)
        finally:
            postgres.start()
        finishing.join(20)
        assert [(row.status, row.started) for row in store.rows()] == [("complete", 1.0)]


def test_a_connection_killed_while_a_storage_is_opened_is_made_again(
    postgres: Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = []

    def find_version(reader: sa.Engine, shown: str) -> int | None:
        with reader.connect() as connection:
            if not killed:
                killed.append(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar())
                postgres.execute(f"SELECT pg_terminate_backend({killed[0]})")
            connection.exec_driver_sql("SELECT 1")
        return real(reader, shown)

    open_store(postgres_url).close()
    real = engine.find_version
    monkeypatch.setattr(engine, "find_version", find_version)
    with open_store(postgres_url) as store:
        assert store.finish(a_row()) and len(killed) == 1


def test_a_holder_of_the_turn_whose_machine_falls_silent_is_put_out_by_the_server(postgres_url: str) -> None:
    with open_store(postgres_url) as store, store.turn() as turn:
        assert turn.connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "1min"


def test_who_has_waited_for_the_turn_sees_what_was_committed_meanwhile_however_the_server_is_set_up(
    postgres: Server, postgres_url: str
) -> None:
    name = sa.make_url(postgres_url).database
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    with open_store(postgres_url) as one, open_store(postgres_url) as other:
        with one.turn() as turn:
            turn.finish(a_row())
            found: list[object] = []
            waiting = in_background(lambda: found.append(other.claim(running("me:1:1"))))
            time.sleep(0.2)
            assert not found
        waiting.join(20)
        assert found == one.rows()


def in_background(action: Callable[[], object]) -> threading.Thread:
    """A thread that does not outlive a test that has failed."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
