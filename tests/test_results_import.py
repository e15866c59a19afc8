"""Merging: what is imported is what was exported, nothing is doubled, what is ours stays, and strangers' files are
refused before a row of them is written.

Oracles: the rows that were exported; sets of identities; hashlib for the sums of files that are forged here.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_results_latencies import a_latency
from test_results_row import a_row, rows, running

from results import Row, Store, exchange_merge, exchange_read, exchange_write, open_store
from results.exchange import ExchangeError
from results.exchange_merge import Merged, check, merge
from results.exchange_read import Directory, Storage
from results.exchange_write import export
from results.lease import this_owner
from results.recipes import KeptRecipe, RecipeConflictError
from results.table import EVALUATIONS, RECIPES
from search.mirror import Mirror
from search_space.errors import UserError
from trainers.recipe import PROXY

RECIPE = KeptRecipe(hash="r0", kind="ByHand", name="proxy", content={"momentum": 0.9, "mirror": True})


@pytest.fixture
def store(storage_url: str) -> Iterator[Store]:
    with open_store(storage_url) as store:
        yield store


def fill(theirs: Store) -> Store:
    """Five rows, a study, a recipe, a latency, and something at work."""
    study = theirs.studies.begin({"data": "synthetic"}, "mine", "mine")
    for seed in range(5):
        theirs.finish(a_row(seed=seed, study=study.id, started=1.0, finished=10.0 - seed))
    theirs.claim(running("their-host:1:1", seed=9))
    theirs.recipes.keep(RECIPE)
    theirs.latencies.put(a_latency())
    return theirs


@pytest.fixture
def theirs() -> Iterator[Store]:
    """Another group's storage."""
    with open_store("sqlite://") as theirs:
        yield fill(theirs)


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a crash of the machine could tell, and no test makes one."""
    monkeypatch.setattr(exchange_write.os, "fsync", lambda _: None)


@pytest.fixture
def exported(theirs: Store, tmp_path: Path) -> Path:
    return export(theirs, tmp_path / "out").directory


def public(row: Row) -> Row:
    return replace(row, owner=None, heartbeat=None)


def ended(store: Store) -> dict[str, Row]:
    return {row.identity: public(row) for row in store.rows() if row.status != "running"}


printable = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=8)


@st.composite
def results(draw: st.DrawFn) -> Row:
    """Any result that attnas could have written, with paths in no text."""
    row = draw(rows().filter(lambda row: row.status != "running"))
    numbers = ("epochs_trained", "started", "finished", "seconds", "latency_seconds", "progress")
    changes: dict[str, Any] = {name: draw(st.none() | st.floats(0, 1e9)) for name in numbers}
    changes |= {name: draw(st.integers(0, 2**63 - 1)) for name in ("seed", "macs", "params")}
    changes |= {name: draw(st.integers(1, 2**63 - 1)) for name in ("image_size", "num_classes")}
    changes |= {
        "peak_memory_bytes": draw(st.none() | st.integers(0, 2**63 - 1)),
        "progress": draw(st.none() | st.just(1.5)),
    }
    changes["epochs"] = draw(st.integers(1, 2**61))
    changes["schedule_epochs"] = changes["epochs"] + draw(st.integers(int(row.status == "stopped"), 2**61))
    texts = (
        "network_key",
        "recipe_hash",
        "data_hash",
        "key",
        "design",
        "data",
        "backbone",
        "recipe",
        "macs_convention",
    )
    changes |= {name: draw(printable) for name in texts}
    optional = ("error", "precision", "hardware", "commit", "settled", "study")
    changes |= {name: draw(st.none() | printable.map(lambda text: text.replace("/", ""))) for name in optional}
    scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e300, 1e300) | printable
    changes["curves"] = draw(st.lists(st.dictionaries(printable, scalars, max_size=3), max_size=3))
    changes["versions"] = draw(st.dictionaries(printable, printable, max_size=3))
    if row.status == "failed":
        changes |= {"accuracy": draw(st.none() | st.floats(0, 1))}
    return replace(row, **changes)


def emptied(store: Store) -> Store:
    with store.turn() as turn:
        turn.connection.execute(EVALUATIONS.delete())
    return store


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(found=st.lists(results(), max_size=3, unique_by=lambda row: row.identity))
def test_what_was_exported_is_imported_as_it_was_but_for_its_owner(store: Store, found: list[Row]) -> None:
    """From the database into a directory, and into that database again."""
    emptied(store)
    for row in found:
        store.finish(row)
    before = ended(store)
    with tempfile.TemporaryDirectory() as folder:
        source = Directory(export(store, Path(folder, "out")).directory)
        merged = merge(source, emptied(store))
    assert (merged.rows, merged.new) == (len(found), len(found)) and ended(store) == before


def test_importing_twice_is_importing_once(store: Store, exported: Path) -> None:
    merge(Directory(exported), store)
    before = store.rows(), store.studies.list(), store.recipes.list(), store.changes(-1)
    again = merge(Directory(exported), store)
    assert again == Merged(str(exported), rows=5, there=5)
    assert (store.rows(), store.studies.list(), store.recipes.list(), store.changes(-1)) == before


@pytest.mark.parametrize("kind", ["directory", "storage"])
def test_studies_recipes_and_latencies_come_with_the_rows(
    store: Store, theirs: Store, exported: Path, kind: str
) -> None:
    source = Directory(exported) if kind == "directory" else Storage(theirs, "theirs")
    merged = merge(source, store)
    assert (merged.rows, merged.new, merged.studies, merged.recipes, merged.latencies) == (5, 5, 1, 1, 1)
    assert ended(store) == ended(theirs) and store.studies.list() == theirs.studies.list()
    assert store.recipes.list() == [RECIPE]
    assert store.latencies.get("n", "cpu", "b16") == theirs.latencies.get("n", "cpu", "b16")
    assert store.studies.begin({"data": "synthetic"}, None, "x") == theirs.studies.list()[0]  # found by what it asks


OOM = {"status": "failed", "failure": "oom", "accuracy": None, "loss": None}
statuses = st.dictionaries(st.integers(0, 9), st.sampled_from(["complete", "failed", "running"]))


@given(mine=statuses, yours=statuses)
@settings(max_examples=30, deadline=None)
def test_a_into_b_and_b_into_a_hold_the_same_evaluations_ended_alike(
    mine: dict[int, str], yours: dict[int, str]
) -> None:
    """Oracle: the order measured, failed, running. Running rows are alive, and do not travel."""

    def filled(seeds: dict[int, str], accuracy: float) -> Store:
        store = open_store("sqlite://")
        for seed, status in sorted(seeds.items()):
            if status == "running":
                store.claim(running(this_owner(), seed=seed))
            else:
                store.finish(a_row(seed=seed, **({"accuracy": accuracy} if status == "complete" else OOM)))
        return store

    def held(store: Store) -> dict[int, str]:
        return {row.seed: row.status for row in store.rows()}

    def joined(here: dict[int, str], there: dict[int, str]) -> dict[int, str]:
        comes = {seed: status for seed, status in there.items() if status != "running"}
        stays = {seed: s for seed, s in here.items() if s == "complete" or comes.get(seed) != "complete"}
        return comes | stays

    one, two, other, another = filled(mine, 0.25), filled(yours, 0.5), filled(mine, 0.25), filled(yours, 0.5)
    into, back = merge(Storage(one, "one"), two), merge(Storage(another, "another"), other)
    assert held(two) == joined(yours, mine) and held(other) == joined(mine, yours)
    both = {seed for seed in mine.keys() & yours.keys() if mine[seed] == yours[seed] == "complete"}
    measured = {found.seed for found in into.differing if found.ours[0] == found.theirs[0]}
    assert measured == {found.seed for found in back.differing if found.ours[0] == found.theirs[0]} == both
    for store in (one, two, other, another):
        store.close()


def test_a_result_of_ours_is_kept_and_where_theirs_differs_it_is_told(store: Store, exported: Path) -> None:
    store.finish(a_row(seed=0, accuracy=0.75, owner="me:1:1"))
    store.finish(a_row(seed=1, hardware="another"))
    before = store.rows()
    merged = merge(Directory(exported), store)
    assert (merged.new, merged.there, merged.ended) == (3, 2, 0)
    assert [(found.seed, found.ours, found.theirs) for found in merged.differing] == [
        (0, ("complete", 0.75, 1.25), ("complete", 0.5, 1.25))
    ]
    assert [row for row in store.rows() if row.seed < 2] == before


def test_what_is_running_here_ends_with_their_result_and_its_owner_is_told(store: Store, exported: Path) -> None:
    store.claim(running("me:1:1", seed=3, started=5.0, study="5"))
    merged = merge(Directory(exported), store)
    assert (merged.new, merged.ended, merged.there, merged.differing) == (4, 1, 0, [])
    there = store.get(a_row(seed=3).identity)
    assert there is not None and (there.status, there.accuracy, there.owner, there.study) == (
        "complete",
        0.5,
        None,
        "5",
    )
    assert not store.beat(there.identity, "me:1:1") and not store.finish(a_row(seed=3, accuracy=0.9))


def test_what_failed_here_takes_their_measurement_and_a_search_at_work_is_told(store: Store, exported: Path) -> None:
    store.finish(a_row(seed=2, study="5", attempts=3, error="no room", **OOM))
    mirror = Mirror(store, {"network_key": "n0"}, lambda row: row, 5)
    assert [row.status for row in mirror.sync()] == ["failed"]
    merged = merge(Directory(exported), store)
    assert (merged.new, merged.ended, merged.there, merged.differing) == (4, 1, 0, [])
    there = store.get(a_row(seed=2).identity)
    assert there is not None and (there.status, there.accuracy, there.failure, there.error) == (
        *("complete", 0.5),
        *(None, None),
    )
    assert (there.study, there.attempts) == ("5", 3)
    assert {(row.seed, row.status) for row in mirror.sync()} == {(seed, "complete") for seed in range(5)}
    assert not mirror.failures() and mirror.trials == len(mirror.finished) == 5 and mirror.measured[10] == ["n0"]
    assert mirror.epochs == 50 and mirror.sync() == []


@pytest.mark.parametrize("owner", [this_owner(), "their-host:1:1"], ids=["this process", "another host"])
def test_a_failure_of_theirs_ends_no_live_training_of_ours(store: Store, owner: str) -> None:
    with open_store("sqlite://") as theirs:
        theirs.finish(a_row(seed=3, **OOM))
        store.claim(running(owner, seed=3))
        merged = merge(Storage(theirs, "theirs"), store)
        assert (merged.there, merged.ended, merged.differing) == (1, 0, [])
        assert store.beat(a_row(seed=3).identity, owner) and store.finish(a_row(seed=3, accuracy=0.75))
        store.claim(running(f"{owner.partition(':')[0]}:999999:1", seed=4, started=1.0), stale_seconds=0)
        with store.turn() as turn:  # as if its machine had gone an hour ago
            turn.connection.execute(EVALUATIONS.update().where(EVALUATIONS.c.seed == 4).values(heartbeat=1.0))
        theirs.finish(a_row(seed=4, **OOM))
        assert merge(Storage(theirs, "theirs"), store).ended == 1
    assert {row.seed: row.status for row in store.rows()} == {3: "complete", 4: "failed"}


def test_a_search_at_work_sees_what_comes_in_once_and_what_comes_after(store: Store, exported: Path) -> None:
    store.finish(a_row(seed=100))
    _, cursor = store.changes(-1)
    merge(Directory(exported), store)
    seen, later = store.changes(cursor)
    assert {row.seed for row in seen} == set(range(5)) and store.changes(later) == ([], later)
    store.finish(a_row(seed=101))
    assert [row.seed for row in store.changes(later)[0]] == [101]


def test_an_import_that_was_cut_off_goes_on_where_it_was(
    store: Store, theirs: Store, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_merge, "_BATCH", 2)

    def interrupt(done: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge(Directory(exported), store, interrupt)
    assert len(store.rows()) == 4
    merged = merge(Directory(exported), store)
    assert (merged.rows, merged.new, merged.there) == (5, 1, 4) and ended(store) == ended(theirs)


def test_a_study_whose_name_is_taken_gets_a_number_and_keeps_its_id(
    store: Store, theirs: Store, exported: Path
) -> None:
    ours = store.studies.begin({"data": "cifar100"}, "mine", "mine")
    merged = merge(Directory(exported), store)
    assert merged.renamed == {"mine": "mine-2"} and store.studies.get("mine") == ours
    assert store.studies.get("mine-2").id == theirs.studies.get("mine").id
    assert merge(Directory(exported), store).renamed == {} and len(store.studies.list()) == 2


def test_a_recipe_that_we_know_otherwise_is_refused_and_nothing_is_written(store: Store, exported: Path) -> None:
    store.recipes.keep(replace(RECIPE, content={"momentum": 0.8, "mirror": True}))
    with pytest.raises(RecipeConflictError, match=r"proxy \(r0\).*momentum: given 0\.9, stored 0\.8"):
        merge(Directory(exported), store)
    assert store.rows() == [] and store.studies.list() == []


def test_a_study_that_was_changed_under_its_id_is_refused(store: Store, theirs: Store, exported: Path) -> None:
    merge(Directory(exported), store)
    forge(exported, "studies.json", lambda text: text.replace(b"synthetic", b"cifar100"))
    with pytest.raises(ExchangeError, match="asks for something else"):
        merge(Directory(exported), store)


def test_samplers_of_one_study_come_together_where_it_went_on_in_two_storages(store: Store, theirs: Store) -> None:
    study = theirs.studies.begin({"data": "cifar100"}, "ours", "ours", sampler="random")
    merge(Storage(theirs, "theirs"), store)
    theirs.studies.begin({"data": "cifar100"}, "ours", "ours", sampler="gp")
    merge(Storage(theirs, "theirs"), store)
    assert store.studies.get("ours").id == study.id
    assert store.studies.get("ours").config["samplers"] == ["random", "gp"]


def test_a_recipe_that_lacks_values_here_is_given_theirs(store: Store, exported: Path) -> None:
    store.recipes.keep(replace(RECIPE, content={"momentum": 0.9}))
    assert merge(Directory(exported), store).recipes == 0 and store.recipes.list() == [RECIPE]


@pytest.mark.parametrize("content", [{}, {"batch_size": "x"}, PROXY.content | {"momentum": 0.5}, {"later": 1}])
def test_a_recipe_that_has_another_hash_is_not_imported(attnas: Any, tmp_path: Path, content: dict[str, Any]) -> None:
    """Under the hash of our own it would stand in our way; the true content is taken."""
    with open_store(f"sqlite:///{tmp_path}/theirs.db") as theirs:
        theirs.recipes.keep(KeptRecipe(hash=PROXY.hash, kind="Recipe", name="proxy", content=content))
    words = ["results", "import", theirs.url, "--storage", f"sqlite:///{tmp_path}/ours.db"]
    done = attnas(*words)
    assert done.code == 2 and f"is stored as {PROXY.hash}, and has" in done.err and not (tmp_path / "ours.db").exists()
    with theirs.turn() as turn:
        turn.connection.execute(RECIPES.update().values(content=PROXY.content))
    assert attnas(*words).code == 0


# From here on: what strangers send. `forge` makes the sums right again, so that the checks behind them are met.


def summed(directory: Path) -> None:
    names = sorted(path.name for path in directory.iterdir() if path.name != "SHA256SUMS")
    sums = (f"{hashlib.sha256((directory / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (directory / "SHA256SUMS").write_text("".join(sums))


def forge(directory: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    (directory / name).write_bytes(change((directory / name).read_bytes()))
    summed(directory)


def refusal(directory: Path) -> str:
    with pytest.raises(ExchangeError) as caught:
        check(Directory(directory))
    assert isinstance(caught.value, UserError)
    return str(caught.value)


def test_a_changed_byte_in_any_file_is_found(exported: Path) -> None:
    for path in sorted(exported.iterdir()):
        if path.name == "SHA256SUMS":
            continue
        kept = path.read_bytes()
        path.write_bytes(kept[:-3] + bytes([kept[-3] ^ 1]) + kept[-2:])
        assert path.name in refusal(exported) and "get it again" in refusal(exported)
        path.write_bytes(kept)
    assert check(Directory(exported)) == 5


def test_a_missing_file_is_found(exported: Path) -> None:
    for name in ("rows.jsonl", "README.md", "SHA256SUMS"):
        kept = (exported / name).read_bytes()
        (exported / name).unlink()
        assert name in refusal(exported)
        (exported / name).write_bytes(kept)


@pytest.mark.parametrize(
    "name", ["../theirs.db", "/etc/passwd", "sub/rows.jsonl", "..", "rows.jsonl\0x", "x.py", "rows.jsonl", "r\\x"]
)
def test_the_sums_name_the_files_of_an_export_each_once_and_none_elsewhere(exported: Path, name: str) -> None:
    with (exported / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  {name}\n")
    assert "SHA256SUMS, line 10" in refusal(exported) and "names no file of an export" in refusal(exported)


@pytest.mark.parametrize("name", ["rows.jsonl", "studies.json"])
def test_a_file_that_is_replaced_after_its_sum_was_checked_is_found(exported: Path, store: Store, name: str) -> None:
    source = Directory(exported)
    (exported / name).write_bytes((exported / name).read_bytes().replace(b'"loss":1.25', b'"loss":1.75') + b"\n" * 9)
    (exported / "rows.jsonl").write_bytes((exported / "rows.jsonl").read_bytes().rstrip() + b"\n")
    with pytest.raises(ExchangeError, match=rf"{name} was changed while it was read"):
        check(source)


@pytest.mark.parametrize("name", ["rows.jsonl", "export.json", "SHA256SUMS"])
def test_links_pipes_and_folders_are_not_read(exported: Path, tmp_path: Path, name: str) -> None:
    path, real = exported / name, tmp_path / "elsewhere"
    path.rename(real)
    for make, undo in ((lambda: path.symlink_to(real), path.unlink), (lambda: os.mkfifo(path), path.unlink)):
        make()
        assert "regular file" in refusal(exported)
        undo()
    path.mkdir()
    assert "regular file" in refusal(exported)


def test_other_files_are_never_opened_and_told(exported: Path, tmp_path: Path, attnas: Any) -> None:
    (exported / "sitecustomize.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    os.mkfifo(exported / "pipe")  # to open it would wait for ever
    done = attnas("results", "import", exported, "--storage", f"sqlite:///{tmp_path}/ours.db")
    assert done.code == 0 and "not read, no part of the export: 'pipe', 'sitecustomize.py'" in done.out
    assert not (tmp_path / "ran").exists()


class Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.system, (f"touch {self.path}",))


@pytest.mark.parametrize("name", ["rows.jsonl", "studies.json", "export.json", "latencies.json"])
def test_a_pickle_under_another_name_is_no_json_and_is_not_run(exported: Path, tmp_path: Path, name: str) -> None:
    forge(exported, name, lambda _: pickle.dumps(Harmful(tmp_path / "ran")))
    assert "is no JSON" in refusal(exported) and name in refusal(exported)
    assert not (tmp_path / "ran").exists()


def changed(**values: Any) -> Callable[[bytes], bytes]:
    """Another second line, its identity made right unless it is given."""

    def change(text: bytes) -> bytes:
        lines = [json.loads(line) for line in text.splitlines()]
        cells = lines[1] | values
        lines[1] = {name: value for name, value in cells.items() if value is not ...}
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    return change


BAD_ROWS = {
    "an accuracy in per cent": (changed(accuracy=68.0), "accuracy: 68.0 given; allowed: 0 to 1"),
    "an accuracy as text": (changed(accuracy="0.5"), "accuracy is no finite number"),
    "a truth value": (changed(loss=True), "loss is no finite number"),
    "not a number": (changed(loss=float("nan")), "NaN is no number of JSON"),
    "an infinite loss": (changed(loss=float("-inf")), "-Infinity is no number of JSON"),
    "a number beyond floats": (
        lambda text: text.replace(b'"loss":1.25', b'"loss":1e999', 2),
        "loss is no finite number",
    ),
    "no accuracy": (changed(accuracy=None), "a complete row without accuracy or loss"),
    "seconds below zero": (changed(seconds=-1.0), "seconds: -1.0 given"),
    "a time that no calendar has": (changed(finished=1e300), "finished: 1e+300 given"),
    "another status": (changed(status="done"), "status 'done' given; allowed: complete, stopped, failed"),
    "a running row": (changed(status="running"), "still running"),
    "a row that stopped at its end": (changed(status="stopped", epochs=20), "stopped after 20 of 20 epochs"),
    "more epochs than there are": (changed(epochs=21), "after 21 of 20"),
    "a failure without a class": (changed(status="failed"), "failure"),
    "another split": (changed(split="train"), "split 'train' given; allowed: validation, test"),
    "a seed that is no whole number": (changed(seed=1.0), "seed is no whole number"),
    "a number of 65 bits": (changed(macs=2**64), "macs is beyond 64 bits"),
    "a number of 5,000 digits": (lambda text: text.replace(b"41000000", b"9" * 5000, 2), "is no JSON"),
    "the key of another design": (changed(key="none"), "key 'none' is not that of the design 'avg/mlp-r16'"),
    "a missing column": (changed(design=...), "column design is missing"),
    "a column that there is not": (changed(__class__="os.system"), "there is no column '__class__'"),
    "an owner": (changed(owner="me"), "there is no column 'owner'"),
    "curves that are none": (changed(curves={"epoch": 1}), "curves is no list of records"),
    "curves in curves": (changed(curves=[{"epoch": [1]}]), "a number in it is no value"),
    "versions that are numbers": (changed(versions={"torch": 2}), "torch is no text"),
    "half a character": (changed(data="\ud800"), "half a character"),
    "a key that steers a terminal": (changed(network_key="\x1b[2J"), "unprintable"),
    "an identity of something else": (changed(identity="0" * 32), "is not that of its fields"),
    "another seed under the same identity": (changed(seed=77), "is not that of its fields"),
    "a list for a row": (lambda text: text.replace(b"{", b"[{", 1).replace(b"}\n", b"}]\n", 1), "is no row"),
    "deep nesting": (lambda text: b"[" * 100_000 + b"\n" + text, "line 1: is no JSON"),
    "no UTF-8": (lambda text: b"\xff\xfe\n" + text, "line 1: is no JSON"),
    "the same row twice": (lambda text: text.splitlines(keepends=True)[0] + text, "line 2: identity"),
    "rows out of order": (lambda text: b"".join(text.splitlines(keepends=True)[::-1]), "twice, or out of order"),
    "a row less": (lambda text: b"".join(text.splitlines(keepends=True)[1:]), "has 4 rows, export.json says 5"),
    "an empty line": (lambda text: text + b"\n", "line 6: is no JSON"),
}


@pytest.mark.parametrize(("change", "told"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_row_that_attnas_would_not_write_is_refused_with_its_line(
    exported: Path, change: Callable[[bytes], bytes], told: str
) -> None:
    forge(exported, "rows.jsonl", change)
    said = refusal(exported)
    assert told in said and "rows.jsonl" in said and said.isprintable()


def test_a_line_without_end_is_not_read_whole(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_read, "LONGEST_LINE", 100)
    assert "line 1: is longer than 100 bytes" in refusal(exported)
    monkeypatch.undo()
    monkeypatch.setattr(exchange_read, "LARGEST_LIST", 10)
    assert "is larger than" in refusal(exported)


BAD_LISTS = {
    "a study without an id": ("studies.json", b'[{"name":"x","config":{},"created":1}]', "has the fields"),
    "a study with the id of a path": (
        *("studies.json", b'[{"id":"../x","name":"x","config":{},"created":1}]', "is no study's"),
    ),
    "a study that cannot be named so": (
        *("studies.json", b'[{"id":"a","name":" x","config":{},"created":1}]', "cannot name a study"),
    ),
    "a study of no time": ("studies.json", b'[{"id":"a","name":"x","config":{},"created":"now"}]', "created is no"),
    "a config without bottom": (
        *("studies.json", b'[{"id":"a","name":"x","created":1,"config":' + b'{"a":' * 30 + b"1" + b"}" * 31 + b"]"),
        "nested deeper",
    ),
    "a confirmation without a plan": (
        *("studies.json", b'[{"id":"a","name":"x","config":{"kind":"confirm","seeds":5},"created":1}]', "is no plan"),
    ),
    "a name twice in a record": (
        *("studies.json", b'[{"id":"a","name":"x","name":"y","config":{},"created":1}]', "there twice"),
    ),
    "a recipe that is a text": ("recipes.json", b'["r0"]', "entry 1: is no record"),
    "a recipe of an infinite rate": (
        *("recipes.json", b'[{"hash":"r","kind":"Recipe","name":"x","content":{"learning_rate":1e999}}]'),
        "a number in it is no",
    ),
    "a latency below zero": (
        "latencies.json",
        b'[{"network_key":"n","hardware":"h","conditions":"c","seconds":-1,"seconds_iqr":0,"n":1,"measured":1}]',
        "seconds: -1.0 given",
    ),
    "no list": ("latencies.json", b"{}", "is no list"),
    "a manifest of a list": ("export.json", b"[]", "are to be whole numbers"),
    "a format that is a text": ("export.json", b'{"format":"1","schema_version":4,"rows":5}', "whole numbers"),
    "a newer format": ("export.json", b'{"format":2,"schema_version":4,"rows":5}', "by a newer attnas: format 2"),
    "a newer schema": ("export.json", b'{"format":1,"schema_version":99,"rows":5}', "upgrade attnas"),
}


@pytest.mark.parametrize(("name", "text", "told"), BAD_LISTS.values(), ids=BAD_LISTS)
def test_what_explains_rows_is_checked_like_them(exported: Path, name: str, text: bytes, told: str) -> None:
    forge(exported, name, lambda _: text)
    said = refusal(exported)
    assert told in said and name.partition(".")[0] in said.replace(str(exported), "export")


def test_text_that_could_steer_a_terminal_is_escaped_where_it_names_nothing(store: Store, exported: Path) -> None:
    forge(exported, "rows.jsonl", changed(hardware="\x1b[31mgpu", error="a\n\x07", data="a\0b"))
    merge(Directory(exported), store)
    assert ("\\x1b[31mgpu", "a\n\\x07", "a\\x00b") in {(row.hardware, row.error, row.data) for row in store.rows()}


FORGED = {
    "a text for a number": ("UPDATE evaluations SET accuracy = 'high' WHERE seed = 0", "accuracy is no finite number"),
    "another identity": ("UPDATE evaluations SET identity = 'x' WHERE seed = 0", "row 'x': identity"),
    "a blob": ("UPDATE evaluations SET data = x'80045d' WHERE seed = 0", "data is no text"),
    "no JSON": ("UPDATE evaluations SET curves = 'oops' WHERE seed = 0", "cannot be read"),
    "no UTF-8": ("UPDATE evaluations SET data = CAST(x'ff' AS TEXT) WHERE seed = 0", "cannot be read"),
    "a config of no study": ("UPDATE studies SET config = '[]'", "config is no record"),
}


@pytest.mark.parametrize(("statement", "told"), FORGED.values(), ids=FORGED)
def test_a_storage_that_was_forged_is_refused_like_a_file(theirs: Store, statement: str, told: str) -> None:
    with theirs.turn() as turn:
        turn.connection.execute(sa.text(statement))
    with pytest.raises(ExchangeError) as caught:
        check(Storage(theirs, "theirs"))
    assert told in str(caught.value) and "theirs" in str(caught.value)


@pytest.fixture
def another(tmp_path: Path) -> str:
    """The same in a file."""
    with open_store(f"sqlite:///{tmp_path}/theirs.db") as theirs:
        fill(theirs)
    return theirs.url


def test_every_source_is_checked_before_a_row_of_any_is_written(
    attnas: Any, another: str, exported: Path, tmp_path: Path
) -> None:
    forge(exported, "rows.jsonl", changed(accuracy=2.0))
    done = attnas("results", "import", another, exported, "--storage", f"sqlite:///{tmp_path}/ours.db")
    assert done.code == 2 and "line 2: accuracy" in done.err and not (tmp_path / "ours.db").exists()


def test_the_command_line_imports_directories_and_storages_and_says_what_came(
    attnas: Any, another: str, exported: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/ours.db"
    with open_store(url) as ours:
        ours.finish(a_row(seed=0, accuracy=0.25))
    done = attnas("results", "import", exported, another, "--storage", url)
    assert done.code == 0
    assert f"{exported}: 5 rows: 4 new, 1 already there (1 differ, ours kept)" in done.out
    assert "differs: avg/mlp-r16, seed 0: ours complete 25.00%, theirs complete 50.00%" in done.out
    assert f"{another}: 5 rows: 0 new, 5 already there" in done.out
    told = json.loads(attnas("results", "import", exported, "--storage", url, "--json").out)
    assert [(one["rows"], one["new"], len(one["differing"])) for one in told] == [(5, 0, 1)]
    assert told[0]["content_hash"] == Directory(exported).content_hash
    several = attnas("results", "import", exported.parent, "--storage", url)
    assert several.code == 2 and f"give the exports in it: {exported}" in several.err
    for missing in (tmp_path / "nowhere", exported / "rows.jsonl"):
        refused = attnas("results", "import", missing, "--storage", url)
        assert refused.code == 2 and "give a directory that `attnas results export` wrote" in refused.err
