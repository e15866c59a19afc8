"""Leases between real processes: races, SIGKILL, heartbeats. The oracle is what the operating system did."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from test_results_row import a_row, running

from results import Store, open_store
from results.lease import heartbeat, owner_is_dead, this_owner


@contextmanager
def python(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Another Python that sees this room and its tests; killed and reaped at the end."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}) as process:
        try:
            yield process
        finally:
            process.kill()


def say(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def claim_all(url: str, barrier: Barrier, won: Queue[list[int]]) -> None:
    barrier.wait(timeout=60)
    with open_store(url) as store:
        won.put([seed for seed in range(40) if store.claim(running(this_owner(), seed=seed)) is None])
        barrier.wait(timeout=60)  # an owner that has ended would lose its rows, rightly


def test_of_many_processes_that_open_one_new_storage_exactly_one_wins_each_row(storage_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, won = context.Barrier(4), context.Queue()
    processes = [context.Process(target=claim_all, args=(storage_url, barrier, won), daemon=True) for _ in range(4)]
    for process in processes:
        process.start()
    seeds = sorted(seed for _ in processes for seed in won.get(timeout=60))
    for process in processes:
        process.join(timeout=60)
    assert seeds == list(range(40))
    assert [process.exitcode for process in processes] == [0] * 4


CLAIM_AND_WAIT = """
import sys, time
from test_results_row import a_row, running
from results import open_store
from results.lease import this_owner
store = open_store(sys.argv[1])
for seed in range(5):
    store.claim(running(this_owner(), seed=seed))
    store.finish(a_row(seed=seed))
store.claim(running(this_owner(), seed=99))
print(this_owner(), flush=True)
time.sleep(600)
"""


def test_a_killed_owner_loses_only_its_running_row_and_that_at_once(storage_url: str) -> None:
    with open_store(storage_url) as store, python(CLAIM_AND_WAIT, storage_url) as process:
        owner = say(process)
        there = store.claim(running(this_owner(), seed=99))
        assert there is not None and there.owner == owner and not owner_is_dead(owner)
        os.kill(process.pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while not owner_is_dead(owner) and time.monotonic() < deadline:
            time.sleep(0.01)  # the kernel needs a moment; nobody has waited for the process yet
        assert store.claim(running(this_owner(), seed=99), stale_seconds=1e9) is None
        assert [row.seed for row in store.rows(status="complete")] == list(range(5))
        taken = [(row.seed, row.owner, row.attempts) for row in store.rows(status="running")]
        assert taken == [(99, this_owner(), 2)]


FINISH_FOREVER = """
import sys
from test_results_row import a_row
from results import open_store
store = open_store(sys.argv[1])
for seed in range(10**6):
    store.finish(a_row(seed=seed, curves=[{"epoch": e, "loss": 1.0} for e in range(50)]))
    print(seed, flush=True)
"""


def test_every_row_that_was_reported_finished_outlives_kill_nine(storage_url: str) -> None:
    with python(FINISH_FOREVER, storage_url) as process:
        reported = [int(say(process)) for _ in range(40)]
        os.kill(process.pid, signal.SIGKILL)
        assert process.stdout is not None
        reported += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    with open_store(storage_url) as store:
        stored = [row.seed for row in store.rows(status="complete")]
        if store.engine.dialect.name == "sqlite":
            with store.engine.connect() as connection:
                assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    assert set(reported) <= set(stored) and len(stored) <= len(reported) + 1


def test_a_table_is_read_whole_while_another_process_writes_to_it(storage_url: str) -> None:
    with python(FINISH_FOREVER, storage_url) as process:
        say(process)
        with open_store(storage_url, read_only=True) as store:
            counts = []
            for _ in range(20):
                frame = store.frame()
                counts.append(len(frame))
                assert sorted(frame["seed"]) == list(range(len(frame)))
                assert all(len(curve) == 50 for curve in frame["curves"])
    assert counts == sorted(counts) and counts[-1] > counts[0]


def test_an_owner_is_dead_only_if_it_is_known_to_be() -> None:
    host, pid, start = this_owner().rsplit(":", 2)
    assert pid == str(os.getpid()) and not owner_is_dead(this_owner())
    with python("") as process:
        process.wait()
    assert owner_is_dead(f"{host}:{process.pid}:{start}")
    assert not owner_is_dead(f"other-{host}:{process.pid}:{start}")
    assert not owner_is_dead(f"{host}:1:0")  # it lives, and no start time was noted
    assert not any(owner_is_dead(name) for name in ("", "nonsense", f"{host}:x:y", f"{host}:-1:5"))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system tells no start time of a process")
def test_a_recycled_process_number_is_not_taken_for_the_owner() -> None:
    host, pid, start = this_owner().rsplit(":", 2)
    assert owner_is_dead(f"{host}:{pid}:{int(start) + 1}")


def test_the_heartbeat_beats_until_its_block_is_left(storage_url: str) -> None:
    with open_store(storage_url) as store:
        store.claim(running("another-host:1:1"))
        first = store.rows()[0].heartbeat or 0
        with heartbeat(store, a_row().identity, "another-host:1:1", every_seconds=0.01):
            wait_for(lambda: (store.rows()[0].heartbeat or 0) > first + 0.05)
        last = store.rows()[0].heartbeat
        time.sleep(0.1)
        assert store.rows()[0].heartbeat == last


def test_a_heartbeat_tells_how_far_the_training_is_and_keeps_it_while_that_is_unknown(storage_url: str) -> None:
    with open_store(storage_url) as store:
        store.claim(running("another-host:1:1"))
        told = iter([0.25, 1.5])
        row = a_row()
        with heartbeat(store, row.identity, "another-host:1:1", every_seconds=0.01, progress=lambda: next(told, None)):
            wait_for(lambda: store.rows()[0].progress == 1.5)
            noted = store.rows()[0].heartbeat or 0
            wait_for(lambda: (store.rows()[0].heartbeat or 0) > noted)
        assert store.rows()[0].progress == 1.5
        assert not store.beat(row.identity, "me:1:1", 7.0) and store.rows()[0].progress == 1.5


def test_a_heartbeat_tries_again_when_the_database_does_not_answer_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(f"sqlite:///{tmp_path}/a.db") as store:
        store.claim(running("another-host:1:1"))
        first = store.rows()[0].heartbeat or 0
        beat, calls = store.beat, []

        def locked_at_first(identity: str, owner: str, progress: float | None) -> bool:
            calls.append(identity)
            if len(calls) < 3:
                raise OperationalError("UPDATE", {}, Exception("database is locked"))
            return beat(identity, owner, progress)

        monkeypatch.setattr(store, "beat", locked_at_first)
        with heartbeat(store, a_row().identity, "another-host:1:1", every_seconds=0.01):
            wait_for(lambda: (store.rows()[0].heartbeat or 0) > first)
    assert caplog.text.count("trying again") == 2 and "database is locked" in caplog.text


def test_a_lost_lease_ends_the_heartbeat_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with open_store("sqlite://") as store, heartbeat(store, a_row().identity, "me:1:1", every_seconds=0.01):
        wait_for(lambda: "no longer ours" in caplog.text)
        time.sleep(0.05)
    assert caplog.text.count("no longer ours") == 1


def test_a_heartbeat_that_fails_by_our_own_fault_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise RuntimeError("our own fault")

    monkeypatch.setattr(Store, "beat", broken)
    with open_store("sqlite://") as store, heartbeat(store, "x", "me:1:1", every_seconds=0.01):
        wait_for(lambda: "our own fault" in caplog.text)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def wait_for(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
