"""Merging: what is imported is what was exported, nothing is doubled, what is ours stays.

Oracles: the rows that were exported; sets of identities.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from exports import OOM, RECIPE, changed, ended, forge
from test_results_row import a_row, running

from results import Store, exchange_merge, open_store
from results.exchange import ExchangeError
from results.exchange_merge import Merged, merge
from results.exchange_read import Directory, Storage
from results.lease import this_owner
from results.recipes import RecipeConflictError
from results.table import EVALUATIONS
from search.mirror import Mirror


@pytest.fixture
def store(storage_url: str) -> Iterator[Store]:
    with open_store(storage_url) as store:
        yield store


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


def test_text_that_could_steer_a_terminal_is_escaped_where_it_names_nothing(store: Store, exported: Path) -> None:
    forge(exported, "rows.jsonl", changed(hardware="\x1b[31mgpu", error="a\n\x07", data="a\0b"))
    merge(Directory(exported), store)
    assert ("\\x1b[31mgpu", "a\n\\x07", "a\\x00b") in {(row.hardware, row.error, row.data) for row in store.rows()}
