"""`Store.changes`: a reader that asks again with its cursor learns of every result once, in order of commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from test_results_row import a_row, running

from results import QueryError, Row, Store, open_store
from results.table import EVALUATIONS, to_cells


@pytest.fixture
def store(storage_url: str) -> Iterator[Store]:
    with open_store(storage_url) as store:
        yield store


def seeds(rows: list[Row]) -> list[int]:
    return [row.seed for row in rows]


def test_finished_rows_come_once_in_order_of_commit_and_running_ones_each_time_by_start(store: Store) -> None:
    assert store.changes(-1) == ([], -1)
    store.claim(running("me:1:1", seed=1, started=9.0))
    store.claim(running("me:1:1", seed=2, started=8.0))
    store.finish(a_row(seed=3, started=7.0, finished=99.0))
    store.finish(a_row(seed=4, started=6.0, finished=1.0))  # a clock that is wrong
    rows, cursor = store.changes(-1)
    assert seeds(rows) == [3, 4, 2, 1]
    rows, same = store.changes(cursor)
    assert seeds(rows) == [2, 1] and same == cursor
    store.finish(a_row(seed=1))
    store.finish(a_row(seed=5, status="failed", failure="bug", accuracy=None, loss=None))
    store.finish(a_row(seed=6, status="stopped"))
    rows, later = store.changes(cursor)
    assert seeds(rows) == [1, 5, 6, 2] and later > cursor


def test_a_second_result_and_a_beat_are_no_change(store: Store) -> None:
    store.claim(running("me:1:1", seed=1))
    store.finish(a_row(seed=2))
    _, cursor = store.changes(-1)
    store.beat(a_row(seed=1).identity, "me:1:1")
    store.finish(a_row(seed=2, accuracy=0.75))
    rows, same = store.changes(cursor)
    assert seeds(rows) == [1] and same == cursor


def test_a_result_of_a_row_that_was_set_free_is_later_than_every_cursor(store: Store) -> None:
    store.finish(a_row(seed=1, status="failed", failure="oom", accuracy=None, loss=None))
    _, cursor = store.changes(-1)
    store.revive([a_row(seed=1).identity])
    store.finish(a_row(seed=1))
    rows, later = store.changes(cursor)
    assert seeds(rows) == [1] and later > cursor


def test_the_scope_selects_by_values_and_by_collections_of_values(store: Store) -> None:
    for seed in range(6):
        store.finish(a_row(seed=seed, network_key=f"n{seed % 3}", study="s" if seed < 3 else None))
    store.claim(running("me:1:1", seed=9, network_key="n9"))
    assert seeds(store.changes(-1, network_key="n1")[0]) == [1, 4]
    assert seeds(store.changes(-1, network_key={"n1", "n9"})[0]) == [1, 4, 9]
    assert seeds(store.changes(-1, network_key=["n1"], seed=(4, 5))[0]) == [4]
    assert seeds(store.changes(-1, seed=[])[0]) == []
    assert seeds(store.changes(-1, study=None, network_key="n0")[0]) == [3]
    assert seeds(store.changes(-1, study=["s", None], network_key="n0")[0]) == [0, 3]
    many = [f"n{number}" for number in range(1, 70_000)]  # more than any database binds to a statement
    assert seeds(store.changes(-1, network_key=many)[0]) == [1, 2, 4, 5, 9]
    with pytest.raises(QueryError, match=r"did you mean seed\?"):
        store.changes(-1, sed=1)


def test_changes_are_light_and_otherwise_the_rows_as_they_are(store: Store) -> None:
    row = a_row(curves=[{"loss": 1.0}], versions={"torch": "2"}, error="Traceback", seconds=2.5, latency_seconds=0.25)
    store.finish(row)
    whole = store.rows()[0]
    light = store.changes(-1)[0][0]
    assert (light.curves, light.versions, light.error) == ([], {}, None)
    assert light.identity == row.identity and light.latency_seconds == 0.25 and light.seconds == 2.5
    assert all(
        getattr(light, column) == getattr(whole, column)
        for column in set(Row.__dataclass_fields__) - {"curves", "versions", "error"}
    )


def test_a_reader_that_follows_many_writers_learns_of_every_result_exactly_once(storage_url: str) -> None:
    def write(writer: int) -> None:
        with open_store(storage_url) as own:
            for seed in range(writer, 120, 4):
                own.claim(running(f"host{writer}:1:1", seed=seed))
                assert own.finish(a_row(seed=seed))

    with open_store(storage_url) as store, ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, writer) for writer in range(4)]
        cursor, learned, ended = -1, [], False
        while not ended:
            ended = all(writer.done() for writer in writers)  # asked before the last look
            rows, cursor = store.changes(cursor)
            learned += [row.seed for row in rows if row.status != "running"]
        for writer in writers:
            writer.result()
    assert sorted(learned) == list(range(120))


def test_ten_thousand_results_are_read_in_under_a_second(store: Store) -> None:
    """As a search that goes on after 10,000 rows asks; the bound is the plan's, a quarter of it is usual."""
    cells = [
        to_cells(a_row(seed=seed, finished=2.0, started=1.0, curves=[{"loss": 1.0}] * 10)) | {"seq": seed + 1}
        for seed in range(10_000)
    ]
    with store.turn() as turn:
        turn.connection.execute(EVALUATIONS.insert(), cells)
    assert len(store.changes(-1, backbone="resnet8")[0]) == 10_000
    assert store.changes(10_000, backbone="resnet8") == ([], 10_000)
    assert shortest(lambda: store.changes(-1, backbone="resnet8")) < 1.0
    assert shortest(lambda: store.changes(10_000, backbone="resnet8")) < 0.1


def shortest(action: Callable[[], object]) -> float:
    """Seconds, the least of three: what a busy machine adds is not the store's."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)
