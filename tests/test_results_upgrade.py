"""A storage of an older schema version is brought up to date where it lies, once, and keeps its rows."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from test_results_row import a_row, running

from results import StorageError, open_store
from results.recipes import KeptRecipe
from results.row import COLUMNS
from results.table import SCHEMA_VERSION

# what attnas 0.1.0 made (commit d9ebf0c), as SQLAlchemy wrote its results/table.py out
VERSION_1 = """
CREATE TABLE evaluations (
    identity VARCHAR(32) NOT NULL, network_key TEXT NOT NULL, recipe_hash TEXT NOT NULL, data_hash TEXT NOT NULL,
    split TEXT NOT NULL, epochs BIGINT NOT NULL, schedule_epochs BIGINT NOT NULL, seed BIGINT NOT NULL,
    "key" TEXT NOT NULL, design TEXT NOT NULL, data TEXT NOT NULL, backbone TEXT NOT NULL, image_size BIGINT NOT NULL,
    num_classes BIGINT NOT NULL, recipe TEXT NOT NULL, status TEXT NOT NULL, failure TEXT, error TEXT,
    accuracy DOUBLE PRECISION, loss DOUBLE PRECISION, curves JSON NOT NULL, macs BIGINT NOT NULL,
    macs_convention TEXT NOT NULL, params BIGINT NOT NULL, seconds DOUBLE PRECISION, peak_memory_bytes BIGINT,
    precision TEXT, hardware TEXT, versions JSON NOT NULL, "commit" TEXT, owner TEXT, heartbeat DOUBLE PRECISION,
    started DOUBLE PRECISION, finished DOUBLE PRECISION, PRIMARY KEY (identity)
);
CREATE TABLE meta (name VARCHAR(64) NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name));
INSERT INTO meta VALUES ('schema_version', '1');
INSERT INTO evaluations VALUES (
    'c79f45bc1e4102c89dc74e70f1b0a1f2', 'n0', 'r0', 'd0', 'validation', 10, 20, 3, 'avg/mlp-r16', 'avg/mlp-r16',
    'synthetic', 'resnet8', 32, 100, 'proxy', 'complete', NULL, NULL, 0.5, 1.25, '[{"loss": 1.25}]', 41000000,
    'conv+linear', 270000, 2.5, NULL, NULL, NULL, '{"torch": "2"}', NULL, NULL, NULL, 1.0, 2.0
);
"""
# the same at commit a4a7206, which added what a training settles
VERSION_2 = """
CREATE TABLE evaluations (
    identity VARCHAR(32) NOT NULL, network_key TEXT NOT NULL, recipe_hash TEXT NOT NULL, data_hash TEXT NOT NULL,
    split TEXT NOT NULL, epochs BIGINT NOT NULL, schedule_epochs BIGINT NOT NULL, seed BIGINT NOT NULL,
    "key" TEXT NOT NULL, design TEXT NOT NULL, data TEXT NOT NULL, backbone TEXT NOT NULL, image_size BIGINT NOT NULL,
    num_classes BIGINT NOT NULL, recipe TEXT NOT NULL, status TEXT NOT NULL, failure TEXT, error TEXT,
    accuracy DOUBLE PRECISION, loss DOUBLE PRECISION, settled TEXT, curves JSON NOT NULL, macs BIGINT NOT NULL,
    macs_convention TEXT NOT NULL, params BIGINT NOT NULL, seconds DOUBLE PRECISION, peak_memory_bytes BIGINT,
    precision TEXT, hardware TEXT, versions JSON NOT NULL, "commit" TEXT, owner TEXT, heartbeat DOUBLE PRECISION,
    started DOUBLE PRECISION, finished DOUBLE PRECISION, PRIMARY KEY (identity)
);
CREATE TABLE meta (name VARCHAR(64) NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name));
INSERT INTO meta VALUES ('schema_version', '2');
INSERT INTO evaluations VALUES (
    'c79f45bc1e4102c89dc74e70f1b0a1f2', 'n0', 'r0', 'd0', 'validation', 10, 20, 3, 'avg/mlp-r16', 'avg/mlp-r16',
    'synthetic', 'resnet8', 32, 100, 'proxy', 'complete', NULL, NULL, 0.5, 1.25, NULL, '[{"loss": 1.25}]', 41000000,
    'conv+linear', 270000, 2.5, NULL, NULL, NULL, '{"torch": "2"}', NULL, NULL, NULL, 1.0, 2.0
);
"""
# the same at commit eaa5da9, which had studies, latencies and an order of commits
VERSION_3 = """
CREATE TABLE evaluations (
    identity VARCHAR(32) NOT NULL, network_key TEXT NOT NULL, recipe_hash TEXT NOT NULL, data_hash TEXT NOT NULL,
    split TEXT NOT NULL, epochs BIGINT NOT NULL, schedule_epochs BIGINT NOT NULL, seed BIGINT NOT NULL,
    "key" TEXT NOT NULL, design TEXT NOT NULL, data TEXT NOT NULL, backbone TEXT NOT NULL, image_size BIGINT NOT NULL,
    num_classes BIGINT NOT NULL, recipe TEXT NOT NULL, status TEXT NOT NULL, failure TEXT, error TEXT,
    accuracy DOUBLE PRECISION, loss DOUBLE PRECISION, settled TEXT, curves JSON NOT NULL, macs BIGINT NOT NULL,
    macs_convention TEXT NOT NULL, params BIGINT NOT NULL, seconds DOUBLE PRECISION, peak_memory_bytes BIGINT,
    precision TEXT, hardware TEXT, versions JSON NOT NULL, "commit" TEXT, owner TEXT, heartbeat DOUBLE PRECISION,
    started DOUBLE PRECISION, finished DOUBLE PRECISION, study TEXT, attempts BIGINT NOT NULL,
    latency_seconds DOUBLE PRECISION, epochs_trained DOUBLE PRECISION, progress DOUBLE PRECISION, seq BIGINT NOT NULL,
    PRIMARY KEY (identity)
);
CREATE INDEX evaluations_changes ON evaluations (status, seq);
CREATE TABLE studies (id VARCHAR(32) NOT NULL, name TEXT NOT NULL, config JSON NOT NULL,
    config_hash VARCHAR(32) NOT NULL, created DOUBLE PRECISION NOT NULL, PRIMARY KEY (id), UNIQUE (name));
CREATE TABLE latencies (network_key TEXT NOT NULL, hardware TEXT NOT NULL, conditions TEXT NOT NULL,
    seconds DOUBLE PRECISION NOT NULL, seconds_iqr DOUBLE PRECISION NOT NULL, n BIGINT NOT NULL,
    measured DOUBLE PRECISION NOT NULL, PRIMARY KEY (network_key, hardware, conditions));
CREATE TABLE meta (name VARCHAR(64) NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name));
INSERT INTO meta VALUES ('schema_version', '3');
INSERT INTO meta VALUES ('last_seq', '1');
INSERT INTO evaluations VALUES (
    'c79f45bc1e4102c89dc74e70f1b0a1f2', 'n0', 'r0', 'd0', 'validation', 10, 20, 3, 'avg/mlp-r16', 'avg/mlp-r16',
    'synthetic', 'resnet8', 32, 100, 'proxy', 'complete', NULL, NULL, 0.5, 1.25, NULL, '[{"loss": 1.25}]', 41000000,
    'conv+linear', 270000, 2.5, NULL, NULL, NULL, '{"torch": "2"}', NULL, NULL, NULL, 1.0, 2.0, NULL, 1, NULL, NULL,
    NULL, 1
);
"""
# the same at commit 6e777f7, which kept recipes
VERSION_4 = (
    VERSION_3.replace("'schema_version', '3'", "'schema_version', '4'")
    + """
CREATE TABLE recipes (hash VARCHAR(32) NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, content JSON NOT NULL,
    PRIMARY KEY (hash));
"""
)
OLD = {"version 1": VERSION_1, "version 2": VERSION_2, "version 3": VERSION_3, "version 4": VERSION_4}
ROW = a_row(curves=[{"loss": 1.25}], versions={"torch": "2"}, seconds=2.5, started=1.0, finished=2.0)


def execute(url: str, script: str) -> None:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        for statement in script.split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture(params=OLD)
def old(request: pytest.FixtureRequest, storage_url: str) -> str:
    """The URL of a storage of an older version with one row."""
    execute(storage_url, OLD[request.param])
    return storage_url


def version_of(url: str) -> str:
    with open_store(url) as store, store.engine.connect() as connection:
        return str(connection.exec_driver_sql("SELECT value FROM meta WHERE name = 'schema_version'").scalar())


@pytest.mark.parametrize("read_only", [False, True])
def test_an_old_storage_is_upgraded_where_it_lies_and_keeps_its_rows(old: str, read_only: bool) -> None:
    with open_store(old, read_only=read_only) as store:
        assert store.rows() == [ROW] and (ROW.settled, ROW.study, ROW.attempts) == (None, None, 1)
        assert tuple(store.frame().columns) == COLUMNS
    assert version_of(old) == str(SCHEMA_VERSION)


def test_an_upgraded_storage_keeps_and_finds_what_training_settled(old: str) -> None:
    with open_store(old) as store:
        assert store.finish(a_row(seed=9, settled="dct-at01/mlp-r4", started=3.0))
    with open_store(old, read_only=True) as store:
        assert [row.settled for row in store.rows()] == [None, "dct-at01/mlp-r4"]
        assert list(store.frame("settled is not None")["seed"]) == [9]


def test_an_upgraded_storage_knows_no_recipe_until_one_is_kept(old: str) -> None:
    recipe = KeptRecipe(hash="r0", kind="Recipe", name="proxy", content={"momentum": 0.9})
    with open_store(old) as store:
        assert store.recipes.get("r0") is None and store.recipes.list() == []
        store.recipes.keep(recipe)
        assert store.recipes.list() == [recipe]


def test_an_upgraded_storage_tells_of_old_results_once_and_of_new_ones_after_them(old: str) -> None:
    with open_store(old) as store:
        rows, cursor = store.changes(-1)
        assert [row.seed for row in rows] == [3] and store.changes(cursor) == ([], cursor)
        store.claim(running("me:1:1", seed=8))
        store.finish(a_row(seed=9))
        assert [row.seed for row in store.changes(cursor)[0]] == [9, 8]


def tables_of(url: str) -> dict[str, Any]:
    """Names, types, keys and indexes, as the database itself tells them.

    SQLite keeps DOUBLE, as SQLAlchemy writes it, and DOUBLE PRECISION, as we do, alike (sqlite.org/datatype3).
    """
    with open_store(url) as store:
        look = sa.inspect(store.engine)
        return {
            table: (
                {
                    column["name"]: (str(column["type"]).replace("DOUBLE", "REAL"), column["nullable"])
                    for column in look.get_columns(table)
                },
                look.get_pk_constraint(table)["constrained_columns"],
                sorted((index["column_names"], index["unique"]) for index in look.get_indexes(table)),
                sorted(unique["column_names"] for unique in look.get_unique_constraints(table)),
            )
            for table in look.get_table_names()
        }


@pytest.mark.parametrize("version", OLD)
def test_an_upgraded_storage_has_the_tables_of_a_new_one(storage_url: str, version: str) -> None:
    new = tables_of(storage_url)
    execute(storage_url, "".join(f"DROP TABLE {table};" for table in new) + OLD[version])
    assert tables_of(storage_url) == new and set(new) == {"evaluations", "meta", "studies", "latencies", "recipes"}


@pytest.mark.parametrize("script", [None, *OLD.values()], ids=["new", *OLD])
def test_sqlite_puts_lines_together_from_an_index_alone_and_sorts_nothing(tmp_path: Path, script: str | None) -> None:
    url = f"sqlite:///{tmp_path}/some.db"
    if script is not None:
        execute(url, script)
    asked: list[Any] = []
    with open_store(url) as store:
        sa.event.listen(store.engine, "before_cursor_execute", lambda *said: asked.append(said[2:4]))
        store.lines()
        statement, parameters = asked[-1]
        with store.engine.connect() as connection:
            plan = [step[-1] for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert any("COVERING INDEX evaluations_lines (status=?)" in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


def open_at_once(url: str, read_only: bool, barrier: Barrier, found: Queue[Any]) -> None:
    barrier.wait(timeout=60)
    try:
        with open_store(url, read_only=read_only) as store:
            found.put(store.rows())
    except Exception as error:
        found.put(repr(error))


def test_of_processes_that_open_an_old_storage_at_once_one_upgrades_it_and_all_read_it(storage_url: str) -> None:
    execute(storage_url, VERSION_1)
    context = multiprocessing.get_context("spawn")
    barrier, found = context.Barrier(4), context.Queue()
    processes = [
        context.Process(target=open_at_once, args=(storage_url, number % 2 == 1, barrier, found), daemon=True)
        for number in range(4)
    ]
    for process in processes:
        process.start()
    assert [found.get(timeout=60) for _ in processes] == [[ROW]] * 4
    for process in processes:
        process.join(timeout=60)
    assert version_of(storage_url) == str(SCHEMA_VERSION)


def test_an_upgrade_that_another_process_has_made_meanwhile_is_not_made_again(
    old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a collision comes down to: a look at version 1, then somebody else's upgrade, then ours."""
    from results import engine

    upgrade = engine.upgrade

    def late(*arguments: Any) -> None:
        monkeypatch.setattr(engine, "upgrade", upgrade)
        open_store(old).close()
        upgrade(*arguments)

    monkeypatch.setattr(engine, "upgrade", late)
    with open_store(old) as store:
        assert store.rows() == [ROW]
    assert version_of(old) == str(SCHEMA_VERSION)


def test_an_upgrade_that_fails_leaves_the_storage_as_it_was(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns and version go together: after a broken last statement the first ones are undone."""
    from results import schema

    last = max(schema._UPGRADES)
    broken = (*schema._UPGRADES[last], "ALTER TABLE no_such_table ADD COLUMN x TEXT")
    monkeypatch.setitem(schema._UPGRADES, last, broken)
    with pytest.raises(StorageError, match="no_such_table"):
        open_store(old)
    monkeypatch.undo()
    with open_store(old) as store:
        assert store.rows() == [ROW]


@contextmanager
def another_user() -> Iterator[None]:
    """Nobody, if the tests run as root, whom no permission stops."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_an_old_storage_that_may_only_be_read_is_refused_with_what_to_do_and_unchanged() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "old.db")
        execute(f"sqlite:///{path}", VERSION_1)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # as attnas leaves its files
        path.chmod(0o444)
        Path(folder).chmod(0o777)  # readers of such a file need room for its index
        before = path.read_bytes()
        with another_user(), pytest.raises(StorageError) as caught:
            open_store(f"sqlite:///{path}", read_only=True)
        said = str(caught.value)
        assert "made by an older attnas" in said and f"schema version {SCHEMA_VERSION}" in said and "readonly" in said
        assert "let a user who may write to it open it once" in said and f"--storage sqlite:///{path}" in said
        assert path.read_bytes() == before


@pytest.mark.parametrize("version", ["0", "-1", "x"])
def test_a_version_that_never_was_is_refused(tmp_path: Path, version: str) -> None:
    execute(f"sqlite:///{tmp_path}/old.db", VERSION_1)
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection, connection:
        connection.execute("UPDATE meta SET value = ?", (version,))
    with pytest.raises(StorageError, match="not made by attnas"):
        open_store(f"sqlite:///{tmp_path}/old.db")
