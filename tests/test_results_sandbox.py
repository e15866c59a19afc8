"""SQL on a copy: what it may, what it may not. The oracles are SQLite itself on the file, and the file's bytes."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_results_row import a_row, running

from results import open_store, sql
from results.axes import axes_of
from results.recipes import KeptRecipe
from results.sandbox import SqlError, select

TEXTS = ["none", "avg/mlp-r16", "dct-top16/mlp-r4", "haar-d2-all-each/conv1d"]


@pytest.fixture
def url(storage_url: str) -> str:
    fill(storage_url)
    return storage_url


def fill(url: str) -> None:
    with open_store(url) as store:
        for number, text in enumerate(TEXTS):
            curves = [{"epoch": 1, "loss": number / 4}]
            store.finish(a_row(design=text, key=text, network_key=text, accuracy=number / 4, curves=curves))


def test_rows_are_the_evaluations_with_the_axes_of_their_designs(url: str) -> None:
    found = sql(url, 'SELECT design, squeeze, depth, reduction, "each", accuracy FROM rows ORDER BY accuracy')
    assert list(found["design"]) == TEXTS and list(found["accuracy"]) == [0, 0.25, 0.5, 0.75]
    for line in found.to_dict("records"):
        axes = axes_of(line["design"])
        assert line["squeeze"] == axes["squeeze"] and (line["each"] == "true") == bool(axes["each"])
    assert select(url, "SELECT depth FROM rows WHERE depth IS NOT NULL").rows == [(2,)]


def test_json_of_curves_can_be_taken_apart(url: str) -> None:
    asked = "SELECT design, json_extract(curves, '$[0].loss') AS loss FROM rows ORDER BY loss DESC LIMIT 1"
    assert select(url, asked).rows == [("haar-d2-all-each/conv1d", 0.75)]
    each = "SELECT count(*) AS n, sum(json_extract(value, '$.loss')) AS s FROM rows, json_each(rows.curves)"
    assert select(url, each).rows == [(4, 1.5)]


def test_several_storages_are_joined_as_frames_are(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in "ab"]
    with open_store(urls[0]) as a, open_store(urls[1]) as b:
        a.claim(running("me:1:1", seed=1))
        b.finish(a_row(seed=1, accuracy=0.1))
        a.finish(a_row(seed=2, accuracy=0.2))
        b.finish(a_row(seed=2, accuracy=0.9))
        b.finish(a_row(seed=3, accuracy=0.3))
    for order in (urls, [urls[0], urls[1], urls[0]]):
        assert select(order, "SELECT seed, accuracy FROM rows ORDER BY seed").rows == [(1, 0.1), (2, 0.2), (3, 0.3)]


HOSTILE = {
    "INSERT INTO evaluations SELECT * FROM evaluations": "INSERT",
    "UPDATE evaluations SET accuracy = 1": "UPDATE",
    "DELETE FROM evaluations": "DELETE is refused: `attnas results sql` only reads",
    "delete from rows": "DELETE is refused: `attnas results sql` only reads",
    "DROP TABLE evaluations": "DROP is refused",
    "CREATE TABLE t (x)": "refused",
    "CREATE TEMP TABLE t (x)": "refused",
    "CREATE VIEW v AS SELECT 1": "refused",
    "CREATE TRIGGER t AFTER INSERT ON evaluations BEGIN SELECT 1; END": "refused",
    "CREATE VIRTUAL TABLE t USING fts5(x)": "refused",
    "ALTER TABLE evaluations RENAME TO x": "refused",
    "ATTACH 'other.db' AS other": "ATTACH",
    "ATTACH ':memory:' AS other": "ATTACH",
    "DETACH main": "DETACH",
    "VACUUM INTO 'copy.db'": "refused",
    "VACUUM": "refused",
    "REINDEX": "REINDEX",
    "ANALYZE": "refused",
    "PRAGMA journal_mode = DELETE": "PRAGMA",
    "PRAGMA query_only = OFF": "PRAGMA",
    "PRAGMA database_list": "PRAGMA",
    "SELECT * FROM pragma_database_list": "refused",
    "SELECT * FROM dbstat": "refused",
    "BEGIN": "BEGIN is refused",
    "SAVEPOINT s": "SAVEPOINT",
    "SELECT load_extension('evil.so')": "load_extension",
    "SELECT load_extension('evil.so', 'entry')": "load_extension",
    "SELECT writefile('other.db', 'x')": "writefile",
    "SELECT readfile('/etc/passwd')": "readfile",
    "SELECT randomblob(1000000000)": "randomblob",
    "SELECT zeroblob(1000000000)": "zeroblob",
    "SELECT fts3_tokenizer('simple')": "fts3_tokenizer",
    "SELECT sqlite_compileoption_get(0)": "sqlite_compileoption_get",
    "SELECT 1; DROP TABLE evaluations": "one statement",
    "SELECT 1; SELECT 2": "one statement",
    "": "returns nothing",
    " ; ": "returns nothing",
    "-- nothing": "returns nothing",
    "SELEC 1": "syntax error",
    "SELECT nonesuch FROM rows": "there are: identity, network_key",
    "SELECT r.Acuracy FROM rows AS r": "did you mean accuracy?",
    "SELECT squeez FROM rows": "did you mean squeeze?",
    "SELECT 1 FROM nonesuch": "no such table: nonesuch; there are: rows, evaluations, studies",
    "SELECT hash FROM recipe": "did you mean recipes?",
    "SELECT mean(loss) FROM rows": "no such function: mean; there are: ->",
    "SELECT design, design FROM rows": "name each with AS",
    "SELECT \0": "null character",
    "SELECT '\ud800'": "surrogates",
    "SELECT " + "1 +" * 10_000 + " 1": "characters",
    "SELECT CAST(x'ff' AS TEXT)": "decode",
}


@pytest.mark.parametrize(
    "statement", HOSTILE, ids=lambda text: text[:40].encode("ascii", "replace").decode() or "empty"
)
def test_whatever_is_no_single_select_of_safe_functions_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    monkeypatch.chdir(tmp_path)
    fill(f"sqlite:///{tmp_path}/a.db")
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}
    with pytest.raises(SqlError) as caught:
        select(f"sqlite:///{tmp_path}/a.db", statement)
    assert HOSTILE[statement] in str(caught.value)
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()} == before


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "


def test_a_statement_without_end_is_stopped_and_one_that_fills_the_memory_too(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("results.sandbox._MOST", 2**24)
    with pytest.raises(SqlError, match="took too long"):
        select(store, ENDLESS + "SELECT max(x) FROM c", max_steps=3_000_000)
    with pytest.raises(SqlError, match="1 GiB of text"):
        select(store, ENDLESS + "SELECT printf('%.*c', 300000, 'x') AS x FROM c")
    assert select(store, ENDLESS.replace("FROM c)", "FROM c LIMIT 100)") + "SELECT sum(x) AS s FROM c").rows == [
        (5050,)
    ]


def test_a_hostile_file_runs_nothing_of_its_own(tmp_path: Path) -> None:
    """A view of the file's own may call no function that a statement may not; one named rows is not asked."""
    fill(f"sqlite:///{tmp_path}/a.db")
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute("CREATE VIEW rows AS SELECT 'evil' AS design")
        connection.execute("CREATE VIEW evil AS SELECT load_extension('evil.so') AS seconds")
    url = f"sqlite:///{tmp_path}/a.db"
    assert [design for (design,) in select(url, "SELECT design FROM rows ORDER BY accuracy").rows] == TEXTS
    with pytest.raises(SqlError, match="load_extension"):
        select(url, "SELECT seconds FROM evil")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT x FROM (SELECT printf('%.*c', 300000, 'x') AS x, row_number() OVER () AS n FROM c) ORDER BY x, n",
        "SELECT x, printf('%.*c', 300000, 'x') AS y FROM c ORDER BY y || x DESC",
    ],
)
def test_a_sort_that_would_fill_the_memory_is_stopped(
    store: Any, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    monkeypatch.setattr("results.sandbox._MEMORY", 2**28)
    with pytest.raises(SqlError, match="GiB and was stopped"):
        select(store, ENDLESS + statement)


def test_names_are_looked_at_before_rows_and_cells_are_counted(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SqlError, match="name each with AS"):
        select(store, ENDLESS + "SELECT x, x FROM c")
    monkeypatch.setattr("results.sandbox.MAX_CELLS", 1000)
    with pytest.raises(SqlError, match="more than 250 rows"):
        select(store, ENDLESS + "SELECT x AS a, x AS b, x AS c, x AS d FROM c")


def test_a_clock_stops_what_takes_few_steps(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("results.sandbox.MAX_SECONDS", 0.2)
    with pytest.raises(SqlError, match="took too long"):
        select(store, ENDLESS + "SELECT max(instr(printf('%.*c', 20000, 'a'), 'aab')) FROM c")


def test_a_copy_holds_the_studies_and_recipes_of_every_storage_and_nothing_of_its_making(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in "ab"]
    for number, url in enumerate(urls):
        with open_store(url) as store:
            store.studies.begin({"data": number}, "mine", "mine")
            store.recipes.keep(KeptRecipe(hash=f"r{number}", kind="Recipe", name="proxy", content={}))
    assert select(urls, "SELECT name FROM studies").rows == [("mine",), ("mine",)]
    assert select(urls, "SELECT hash FROM recipes ORDER BY hash").rows == [("r0",), ("r1",)]
    assert select([*urls, urls[0]], "SELECT count(*) AS n FROM studies").rows == [(2,)]
    for asked in (urls, urls[0]):
        with pytest.raises(SqlError, match="no such table"):
            select(asked, "SELECT * FROM meta")


_WORDS = (
    "SELECT * FROM rows evaluations ( ) , design accuracy 1 'a' WHERE ATTACH AS INSERT INTO PRAGMA json_each = é ; x"
)
_words = st.sampled_from([*_WORDS.split(), "load_extension", "WITH", "RECURSIVE", "UNION", "\0"])


@pytest.fixture(scope="module")
def module_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('sql')}/a.db"
    fill(url)
    return url


@settings(max_examples=100, deadline=None)
@given(st.lists(_words, max_size=10).map(" ".join) | st.text(max_size=30))
def test_no_text_raises_anything_but_a_sql_error(module_url: str, statement: str) -> None:
    try:
        answer = select(module_url, statement, max_steps=1_000_000)
    except SqlError:
        return
    json.dumps(answer.records(), allow_nan=False)
