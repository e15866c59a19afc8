"""How a search ends: by signals, time, failures; what it gives back and what it keeps."""

import os
import signal
import sqlite3
import time
from collections import Counter
from dataclasses import replace

import pytest
from searches import FACTS, RECIPE, SPACE, run
from sqlalchemy.exc import OperationalError

from results.lease import this_owner
from search import objective as objective_module
from search.budget import Budget, Stop
from search.lookout import SearchError
from search.objective import Setting
from search.request import make_request
from search.study import MOST_KILLS
from search_space import PRESETS
from trainers.outcome import Outcome


@pytest.fixture
def training(monkeypatch):
    """`training(act)`: instead of training, `act(number, on_step)` gives the fields of the outcome that differ."""
    designs = []

    def use(act):
        def pretend(design, *_, on_step, **__):
            designs.append(design)
            fields = {"status": "complete", "accuracy": 0.5, "loss": 1.0, "seconds": 0.1, "epochs_trained": 1.0}
            return Outcome(**FACTS, **fields | (act(len(designs), on_step) or {}))

        monkeypatch.setattr(objective_module, "train", pretend)
        return designs

    return use


def study_of(store, blobs):
    request = make_request(
        SPACE,
        **{"data": blobs, "backbone": "resnet8", "recipe": RECIPE, "epochs": None, "seed": 0, "replicates": 1},
        **{"objectives": "accuracy,macs", "halving": False, "factor": 3, "shortest": 1, "bracket": 0},
        **{"warm_start_from": "presets", "sampler": "random", "precision": "float32"},
    )
    study = request.study(request.setting(), store)
    study.sync()
    return study


def failed(failure):
    return {"status": "failed", "failure": failure, "error": f"Traceback\nValueError: a {failure}"}


def steps(seconds, on_step):
    """Steps of a millisecond for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        on_step()
        time.sleep(0.001)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_a_signal_the_training_in_hand_is_finished_and_no_other_begun(store, blobs, training, number):
    def act(count, on_step):
        if count == 2:
            os.kill(os.getpid(), number)
        steps(0.05, on_step)

    designs = training(act)
    stop = Stop(grace_seconds=30)
    rows = run(store, blobs, trials=50, stop=stop)
    assert len(rows) == len(designs) == 2 and stop.signal == number
    assert set(store.frame()["status"]) == {"complete"}


def test_handed_back_work_is_done_by_the_same_call_and_its_row_is_the_only_one(store, blobs, training):
    def act(count, on_step):
        if count == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            steps(60, on_step)

    designs = training(act)
    assert len(run(store, blobs, trials=3, stop=Stop(grace_seconds=0.2))) == 1
    assert [row.status for row in store.rows()] == ["complete"], "no row says running when nobody runs"
    rows = run(store, blobs, trials=3)
    assert len(rows) == 3 and designs[1] == designs[2], "what was handed back comes first, and once"


def test_when_the_time_is_up_nothing_is_begun_and_what_runs_is_handed_back(store, blobs, training):
    designs = training(lambda count, on_step: steps(0.3, on_step) if count < 3 else steps(60, on_step))
    begun = time.monotonic()
    rows = run(store, blobs, trials=100, seconds=3)
    assert time.monotonic() - begun < 15
    assert len(rows) == 2 and len(designs) == 3 and set(store.frame()["status"]) == {"complete"}


def test_no_training_is_begun_that_would_not_end_in_time(store, blobs, training):
    """The first takes a second of the budget's one and a half; what would take another is not begun."""
    designs = training(lambda _, on_step: steps(1.0, on_step))
    rows = run(store, blobs, trials=100, seconds=1.5)
    assert len(rows) == len(designs) == 1 and set(store.frame()["status"]) == {"complete"}


@pytest.mark.parametrize(("failure", "tries"), [("nan", 1), ("bug", 1), ("timeout", 1), ("oom", 2), ("infra", 3)])
def test_each_class_of_failure_is_tried_as_often_as_it_deserves(store, blobs, training, failure, tries, monkeypatch):
    monkeypatch.setattr("search.failures.time.sleep", lambda _: None)
    designs = training(lambda *_: failed(failure))
    rows = run(store, blobs, trials=1)
    assert len(designs) == tries and [row.failure for row in rows] == [failure] and rows[0].attempts == tries
    assert "ValueError: a" in rows[0].error


def test_a_failure_that_passes_leaves_a_complete_row(store, blobs, training, monkeypatch):
    monkeypatch.setattr("search.failures.time.sleep", lambda _: None)
    training(lambda count, _: failed("infra") if count < 3 else None)
    rows = run(store, blobs, trials=1)
    assert [(row.status, row.attempts) for row in rows] == [("complete", 3)]


def test_a_search_that_only_fails_stops_and_prints_the_first_cause(store, blobs, training):
    training(lambda count, _: {**failed("bug"), "error": f"Traceback\nValueError: cause {count}"})
    with pytest.raises(SearchError, match=r"ValueError: cause 1 .*--retry-failed"):
        run(store, blobs, trials=100)
    assert len(store.rows()) == 3


def test_failures_among_successes_do_not_stop_a_search(store, blobs, training):
    training(lambda count, _: failed("bug") if count % 3 else None)
    assert Counter(row.status for row in run(store, blobs, trials=9)) == {"failed": 6, "complete": 3}


def test_failed_rows_are_trained_again_when_asked_and_complete_ones_are_not(store, blobs, training):
    designs = training(lambda count, _: failed("nan") if count in (2, 3) else None)
    before = run(store, blobs, trials=5)
    again = run(store, blobs, trials=5, retry_failed=True)
    assert {row.status for row in again} == {"complete"} and len(again) == 5
    assert {row.identity for row in before} == {row.identity for row in again}
    assert Counter(map(str, designs)).most_common(2)[1][1] == 2 and len(designs) == 7


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
def test_what_failed_is_begun_again_even_where_the_sampler_proposed_it(store, blobs, training, sampler):
    designs = training(lambda count, _: failed("nan") if count in (8, 9) else None)
    before = run(store, blobs, trials=9, sampler=sampler)
    after = run(store, blobs, trials=9, sampler=sampler, retry_failed=True)
    assert {row.identity for row in before} == {row.identity for row in after} and len(designs) == 11
    assert {row.status for row in after} == {"complete"}


def test_a_live_search_forgets_what_another_has_set_free(store, blobs, training):
    """Two studies of the same rows in one process: what the first does with --retry-failed, the second sees."""
    training(lambda count, _: failed("nan") if count == 2 else None)
    run(store, blobs, trials=3)
    mine, theirs = (study_of(store, blobs) for _ in range(2))
    assert mine.mirror.failures() == theirs.mirror.failures() == {"nan": 1}
    theirs.retry_failed()
    assert mine.sync() == [] and not mine.mirror.failures() and len(mine.mirror.running) == 1
    run(store, blobs, trials=3)
    assert [row.status for row in mine.sync()] == ["complete"] and len(mine.mirror.finished) == 3
    assert mine.mirror.epochs == 3 and not mine.mirror.failures()


def test_the_epochs_of_every_try_count(store, blobs, training, monkeypatch):
    monkeypatch.setattr("search.failures.time.sleep", lambda _: None)
    training(lambda count, _: failed("oom") if count == 1 else None)
    assert [row.epochs_trained for row in run(store, blobs, trials=1)] == [2.0]


def test_dead_work_that_the_budget_has_no_room_for_is_given_back_and_the_search_ends(store, blobs, training):
    training(lambda *_: None)
    host = this_owner().rsplit(":", 2)[0]
    row = replace(Setting(blobs, "resnet8", RECIPE).row(PRESETS["eca"], 0), owner=f"{host}:999999999:1")
    assert store.claim(row) is None
    assert run(store, blobs, trials=None, epochs_total=0.5) == [] and store.rows() == []


def test_a_row_that_no_change_has_shown_is_seen_when_it_is_in_the_way(store, blobs, training):
    """A process of an older version writes no place in the order of changes; this search had looked before."""
    training(lambda *_: None)
    study = study_of(store, blobs)
    row = Setting(blobs, "resnet8", RECIPE).row(PRESETS["none"], 0)
    store.finish(replace(row, status="complete", accuracy=0.5, loss=1.0, finished=1.0))
    study.mirror._cursor = 10**6
    job = study.begin(Budget(trials=2))
    assert job is not None and job.row.identity != row.identity and row.identity in study.mirror.finished


def test_a_storage_that_is_away_while_the_search_stops_is_an_error_of_the_user(store, blobs, training, monkeypatch):
    def act(count, on_step):
        os.kill(os.getpid(), signal.SIGTERM)

        def away(*_, **__):
            locked = sqlite3.OperationalError("database is locked")
            locked.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise OperationalError("SELECT", {}, locked)

        monkeypatch.setattr(type(store), "turn", away)
        monkeypatch.setattr(type(store), "changes", away)
        steps(60, on_step)

    training(act)
    with pytest.raises(SearchError, match="does not answer: database is locked"):
        run(store, blobs, stop=Stop(grace_seconds=0.1))


def test_a_training_that_takes_too_long_is_a_failure_of_its_own_class(store, blobs):
    rows = run(store, blobs, trials=1, timeout_seconds=1e-6)
    assert [row.failure for row in rows] == ["timeout"] and "--timeout" in rows[0].error


def test_a_design_that_kills_its_process_again_and_again_is_given_up(store, blobs, training):
    """Its row says running, and how often; the owner has ended."""
    designs = training(lambda *_: None)
    host = this_owner().rsplit(":", 2)[0]
    row = replace(Setting(blobs, "resnet8", RECIPE).row(PRESETS["eca"], 0), owner=f"{host}:999999999:1")
    assert store.claim(replace(row, attempts=MOST_KILLS)) is None
    rows = run(store, blobs, trials=2)
    given_up = [found for found in rows if found.identity == row.identity]
    assert [(found.status, found.failure) for found in given_up] == [("failed", "infra")]
    assert f"killed {MOST_KILLS} times" in given_up[0].error and PRESETS["eca"] not in designs


def test_what_a_killed_process_was_at_is_done_first(store, blobs, training):
    designs = training(lambda *_: None)
    host = this_owner().rsplit(":", 2)[0]
    row = replace(Setting(blobs, "resnet8", RECIPE).row(PRESETS["eca"], 0), owner=f"{host}:999999999:1")
    assert store.claim(row) is None
    rows = run(store, blobs, trials=1)
    assert designs == [PRESETS["eca"]] and [found.attempts for found in rows] == [2]


def test_a_search_waits_for_what_others_run_and_does_it_when_they_die(store, blobs, training, monkeypatch):
    """Another live process holds a claim; once its heartbeat is old, this search takes the work over."""
    training(lambda *_: None)
    theirs = Setting(blobs, "resnet8", RECIPE).row(PRESETS["eca"], 0)
    assert store.claim(theirs) is None  # this very process plays the other one: it lives
    monkeypatch.setattr("search.mirror.lease_is_dead", lambda row: time.time() - row.started > 2)
    monkeypatch.setattr("search.study.lease_is_dead", lambda row: time.time() - row.started > 2)
    monkeypatch.setattr("results.turn.lease_is_dead", lambda row, **_: time.time() - row.started > 2)
    begun = time.monotonic()
    rows = run(store, blobs, trials=2)
    assert len(rows) == 2 and time.monotonic() - begun > 1 and theirs.identity in {row.identity for row in rows}


def test_one_worker_with_a_seed_repeats_to_the_row(tmp_path, blobs):
    """Real trainings, halving included: the same designs, in the same order, with the same numbers."""
    from results import open_store

    found = []
    for name in "ab":
        with open_store(f"sqlite:///{tmp_path}/{name}.db") as store:
            rows = run(store, blobs, trials=8, epochs=4, factor=2, seed=3)
            found.append([(row.identity, row.accuracy, row.loss, row.status, row.epochs_trained) for row in rows])
    assert found[0] == found[1] and len(found[0]) > 8
