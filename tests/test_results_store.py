"""`results.store` in one process: what a claim, a beat and a finish do, and that nothing of a row is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from test_results_row import a_row, rows, running

from results import QueryError, Row, Store, open_store
from results.lease import lease_is_dead, this_owner
from results.row import COLUMNS
from results.table import EVALUATIONS

ELSEWHERE = "another-host:1:1"


def a_failed_row(**changes: Any) -> Row:
    return a_row(**{"status": "failed", "failure": "oom", "accuracy": None, "loss": None} | changes)


@pytest.fixture(params=["sqlite file", "sqlite memory", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    urls = {"sqlite file": f"sqlite:///{tmp_path}/a.db", "sqlite memory": "sqlite://"}
    with open_store(urls.get(request.param) or request.getfixturevalue("postgres_url")) as store:
        yield store


def test_a_free_row_is_ours_after_the_claim_and_running_under_our_name(store: Store) -> None:
    before = time.time()
    assert store.claim(running("me:1:1", hardware="gpu")) is None
    there = store.get(a_row().identity)
    assert there is not None and (there.status, there.owner, there.hardware) == ("running", "me:1:1", "gpu")
    assert there.heartbeat is not None and there.started is not None
    assert before <= there.heartbeat <= time.time() and before <= there.started <= time.time()


def test_a_claimed_row_is_refused_to_others_and_to_its_owner_with_the_row_that_is_there(store: Store) -> None:
    assert store.claim(running(this_owner())) is None
    for owner in (ELSEWHERE, this_owner()):
        there = store.claim(running(owner))
        assert there is not None and (there.status, there.owner) == ("running", this_owner())


@pytest.mark.parametrize("final", [a_row(), a_row(status="stopped"), a_failed_row()])
def test_a_finished_row_is_never_claimed_again(store: Store, final: Row) -> None:
    store.finish(final)
    assert store.claim(running("me:1:1"), stale_seconds=0) == store.get(final.identity)
    assert store.rows() == [replace(final, finished=store.rows()[0].finished)]


def test_a_claim_whose_answer_was_lost_may_be_made_again_by_its_owner_and_by_nobody_else(store: Store) -> None:
    mine = running(this_owner(), started=5.0)
    assert store.claim(mine) is None and store.claim(mine) is None
    for other in (running(ELSEWHERE, started=5.0), running(this_owner(), started=6.0)):
        assert store.claim(other) == store.get(mine.identity)
    assert [(row.owner, row.started, row.attempts) for row in store.rows()] == [(this_owner(), 5.0, 1)]


def test_each_take_over_of_a_dead_row_is_one_attempt_more_and_the_result_keeps_the_number(store: Store) -> None:
    for attempts in (1, 2, 3):
        mine = running(f"host{attempts}:1:1", started=float(attempts))
        assert store.claim(mine, stale_seconds=-1) is None
        assert store.claim(mine, stale_seconds=1e9) is None  # again, by its owner: no attempt more
        assert [(row.owner, row.attempts) for row in store.rows()] == [(f"host{attempts}:1:1", attempts)]
    store.finish(a_row())
    assert store.rows()[0].attempts == 3


def test_a_result_belongs_to_the_study_that_had_it_trained(store: Store) -> None:
    store.claim(running("me:1:1", study="first"))
    store.finish(a_row(study="second"))
    store.finish(a_row(seed=99, study="second"))
    assert [(row.seed, row.study) for row in store.rows(seed=3) + store.rows(seed=99)] == [(3, "first"), (99, "second")]


def test_a_lease_of_another_host_dies_only_by_an_old_heartbeat(store: Store) -> None:
    assert store.claim(running(ELSEWHERE)) is None
    assert store.claim(running("me:1:1"), stale_seconds=60) is not None
    time.sleep(0.02)
    assert store.claim(running("me:1:1"), stale_seconds=0.01) is None
    assert [row.owner for row in store.rows()] == ["me:1:1"]


def test_a_beat_keeps_a_lease_alive_and_fails_once_it_is_lost(store: Store) -> None:
    identity = a_row().identity
    assert not store.beat(identity, ELSEWHERE)
    store.claim(running(ELSEWHERE))
    first = store.rows()[0].heartbeat
    time.sleep(0.3)
    assert store.beat(identity, ELSEWHERE)
    assert first is not None and (store.rows()[0].heartbeat or 0) >= first + 0.3
    assert store.claim(running("me:1:1"), stale_seconds=0.25) is not None
    assert not store.beat(identity, "somebody:2:2")
    store.finish(a_row(owner=ELSEWHERE))
    assert not store.beat(identity, ELSEWHERE)


def test_an_abandoned_row_is_free_to_claim_at_once_as_one_attempt_more(store: Store) -> None:
    """Whoever claimed it for another process knows that this one died; its own heartbeats would go on."""
    identity = a_row().identity
    store.claim(running(ELSEWHERE))
    assert not store.abandon(identity, "somebody:2:2")
    assert store.abandon(identity, ELSEWHERE) and not store.abandon(identity, ELSEWHERE)
    assert store.claim(running("me:1:1")) is None
    assert [(row.owner, row.attempts) for row in store.rows()] == [("me:1:1", 2)]
    store.finish(a_row(owner="me:1:1"))
    assert not store.abandon(identity, "me:1:1"), "what has ended is nobody's to abandon"


def test_release_gives_back_only_our_own_running_row(store: Store) -> None:
    identity = a_row().identity
    store.claim(running(ELSEWHERE))
    assert not store.release(identity, "me:1:1")
    assert store.release(identity, ELSEWHERE) and store.rows() == []
    assert not store.release(identity, ELSEWHERE)
    store.finish(a_row(owner=ELSEWHERE))
    assert not store.release(identity, ELSEWHERE) and len(store.rows()) == 1


def test_the_first_result_stays_and_a_second_changes_nothing(store: Store) -> None:
    store.claim(running("me:1:1"))
    assert store.finish(a_row(accuracy=0.5, finished=7.0))
    first = store.rows()
    assert not store.finish(a_row(accuracy=0.75))
    assert not store.finish(a_row(status="failed", failure="bug", accuracy=None, loss=None))
    assert store.rows() == first and first[0].accuracy == 0.5


def test_a_late_result_is_accepted_whoever_runs_the_row_and_if_it_has_vanished(store: Store) -> None:
    store.claim(running("somebody:2:2"))
    assert store.finish(a_row(owner="me:1:1"))
    assert store.finish(a_row(seed=99, owner="me:1:1"))
    assert [(row.status, row.owner) for row in store.rows()] == [("complete", "me:1:1")] * 2


def test_a_result_keeps_the_start_of_its_claim_unless_it_brings_its_own(store: Store) -> None:
    store.claim(running("me:1:1", started=5.0))
    store.claim(running("me:1:1", started=5.0, seed=99))
    store.finish(a_row())
    store.finish(a_row(seed=99, started=4.0))
    assert [(row.seed, row.started) for row in store.rows()] == [(99, 4.0), (3, 5.0)]
    assert all(abs((row.finished or 0) - time.time()) < 60 for row in store.rows())


def test_only_failed_rows_are_set_free_and_may_then_be_claimed(store: Store) -> None:
    store.finish(a_failed_row(seed=1))
    store.finish(a_failed_row(seed=2))
    store.finish(a_row(seed=3))
    store.finish(a_row(seed=4, status="stopped"))
    store.claim(running(ELSEWHERE, seed=5))
    named = [a_row(seed=seed).identity for seed in (1, 3, 4, 5, 6)]
    assert store.revive(named) == 1 and store.revive(named) == 0
    assert sorted((row.seed, row.status) for row in store.rows() if row.status in ("running", "failed")) == [
        *((1, "running"), (2, "failed"), (5, "running"))
    ]
    assert lease_is_dead(next(row for row in store.rows() if row.seed == 1))
    assert store.claim(running("me:1:1", seed=1)) is None and store.claim(running("me:1:1", seed=2)) is not None


def test_what_is_done_in_a_turn_is_done_together_or_not_at_all(store: Store) -> None:
    with store.turn() as turn:
        assert turn.claim(running("me:1:1", seed=1)) is None and turn.finish(a_row(seed=2))
        assert [row.seed for row in turn.changes(-1)[0]] == [2, 1]
    before = store.rows()
    with pytest.raises(ZeroDivisionError), store.turn() as turn:
        turn.finish(a_row(seed=1))
        turn.claim(running("me:1:1", seed=3))
        _ = 1 / 0
    assert store.rows() == before and len(before) == 2


def test_while_one_has_the_turn_nobody_else_writes(storage_url: str) -> None:
    """The oracle: 4 writers that each read a number and write the next one come to the sum of their steps."""

    def count(_: int) -> None:
        with open_store(storage_url) as store:
            for _ in range(10):
                with store.turn() as turn:
                    last = max((row.seed for row in turn.changes(-1)[0]), default=-1)
                    time.sleep(0.001)
                    assert turn.finish(a_row(seed=last + 1))

    open_store(storage_url).close()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    with open_store(storage_url) as store:
        assert sorted(row.seed for row in store.rows()) == list(range(40))


def test_of_many_threads_exactly_one_wins_each_row(store: Store) -> None:
    barrier = threading.Barrier(8)

    def claim_all(thread: int) -> list[int]:
        barrier.wait()
        return [seed for seed in range(12) if store.claim(running(f"host{thread}:1:1", seed=seed)) is None]

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(claim_all, range(8)))
    assert sorted(seed for seeds in won for seed in seeds) == list(range(12))
    owners = {row.seed: row.owner for row in store.rows()}
    assert owners == {seed: f"host{thread}:1:1" for thread, seeds in enumerate(won) for seed in seeds}


def test_of_many_threads_exactly_one_takes_over_a_dead_row(store: Store) -> None:
    store.claim(running(ELSEWHERE))
    time.sleep(0.6)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda i: store.claim(running(f"host{i}:1:1"), stale_seconds=0.5), range(8)))
    assert outcomes.count(None) == 1
    assert {row.owner for row in outcomes if row is not None} == {f"host{outcomes.index(None)}:1:1"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=rows())
def test_a_row_comes_back_as_it_was_stored(store: Store, row: Row) -> None:
    """Only what the store itself sets may differ: the lease, and times that the row leaves open."""
    with store.turn() as turn:
        turn.connection.execute(EVALUATIONS.delete())
    if row.status == "running":
        row = replace(row, owner=row.owner or ELSEWHERE)
        assert store.claim(row) is None
        expected = replace(row, heartbeat=None, started=None)
    else:
        assert store.finish(row)
        expected = replace(row, finished=None, started=None)
    there = store.get(row.identity)
    assert there is not None
    open_times: dict[str, Any] = {
        name: None for name in ("heartbeat", "started", "finished") if getattr(expected, name) is None
    }
    assert replace(there, **open_times) == expected
    assert row.started in (None, there.started) and row.finished in (None, there.finished)


def test_numbers_that_are_not_finite_and_text_that_no_database_takes_are_still_recorded(store: Store) -> None:
    nan, inf = float("nan"), float("inf")
    curves: list[dict[str, Any]] = [{"epoch": 0, "loss": 2.5}, {"epoch": 1, "loss": nan, "norms": [inf, 1.0]}]
    row = a_row(status="failed", failure="nan", accuracy=None, loss=nan, curves=curves, error="a\0b \udcff é")
    assert store.finish(row)
    there = store.rows()[0]
    assert there.curves == [{"epoch": 0, "loss": 2.5}, {"epoch": 1, "loss": None, "norms": [None, 1.0]}]
    assert (there.loss, there.error) == (None, "a\\x00b \\udcff é")
    assert list(store.frame("loss is None")["seed"]) == [row.seed]


def test_rows_are_filtered_by_equality_and_ordered_by_start(store: Store) -> None:
    for seed, started, data in ((1, 3.0, "x"), (2, 1.0, "x"), (3, 2.0, "y")):
        store.finish(a_row(seed=seed, started=started, data=data))
    assert [row.seed for row in store.rows()] == [2, 3, 1]
    assert [row.seed for row in store.rows(data="x")] == [2, 1]
    assert [row.seed for row in store.rows(data="x", started=3.0)] == [1]
    assert len(store.rows(failure=None)) == 3
    with pytest.raises(QueryError, match=r"did you mean data\?"):
        store.rows(dat="x")


def test_the_frame_holds_every_row_and_column_and_missing_numbers_are_nan(store: Store) -> None:
    empty = store.frame()
    assert tuple(empty.columns) == COLUMNS and len(empty) == 0
    store.claim(running(ELSEWHERE, seed=1, started=1.0))
    store.finish(a_row(seed=2, status="failed", failure="oom", accuracy=None, loss=None, started=2.0))
    missing = store.frame()
    assert missing["accuracy"].isna().all()
    store.finish(a_row(seed=3, accuracy=0.5, curves=[{"loss": 1.0}], started=3.0))
    frame = store.frame()
    assert tuple(frame.columns) == COLUMNS
    assert list(frame["status"]) == ["running", "failed", "complete"]
    assert frame["curves"][2] == [{"loss": 1.0}] and frame["identity"][2] == a_row(seed=3).identity
    for name, kind in {"accuracy": "float64", "peak_memory_bytes": "float64", "macs": "int64"}.items():
        assert {empty[name].dtype, missing[name].dtype, frame[name].dtype} == {pd.api.types.pandas_dtype(kind)}


def test_each_of_two_thousand_results_is_one_commit() -> None:
    with open_store("sqlite://") as store:
        commits: list[sa.Connection] = []
        sa.event.listen(store.engine, "commit", commits.append)
        for seed in range(2000):
            store.finish(a_row(seed=seed))
            assert len(commits) == seed + 1
        assert len(store.rows()) == 2000
