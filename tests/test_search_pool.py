"""Several worker processes: exact budgets, and what is left when any of them, or their driver, dies."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from conftest import write_tree
from pool_runs import begun, pretence, start_driver

from results import open_store
from results.latencies import Latency
from results.lease import owner_is_dead
from search.budget import Budget
from search.candidates import Limits
from search.latency import conditions
from search.launch import run
from search.lookout import Silent
from search_space import Space
from trainers.image_data import ImageData

CLI = (
    "--image-size 8 --backbone resnet8 --precision float32 --no-fuse --set batch_size=16 --workers 2 --sampler random "
    "--no-halving --epochs 1"
)


def until(condition, seconds=150.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this has taken too long"
        time.sleep(0.02)


def test_three_workers_train_exactly_what_a_budget_of_epochs_holds(store, blobs, tmp_path):
    """Oracle: of 11 epochs, trainings of 2 use 10 and a sixth would not fit."""
    rows = run(pretence(blobs, tmp_path, company=3, epochs=2), Budget(trials=None, epochs=11), store, workers=3)
    assert len(rows) == len({row.network_key for row in rows}) == len(begun(tmp_path)) == 5
    assert {row.status for row in store.rows()} == {"complete"}


def test_workers_end_when_the_time_is_up_or_the_next_would_not_end_in_time(store, blobs, tmp_path):
    """An evaluation takes a second; what would end after the time is not begun, or is given back."""
    watch = Ending()
    request = pretence(blobs, tmp_path, seconds=1.0)
    rows = run(request, Budget(trials=None, seconds=20), store, workers=2, report=watch)
    assert watch.why == "the time is up" and rows
    assert {row.status for row in store.rows()} == {"complete"}


def test_workers_leave_out_what_any_has_measured_to_be_over_a_latency(store, blobs, tmp_path):
    """Every latency is in the storage already, half of them over the limit."""
    request = pretence(blobs, tmp_path, limits=Limits(latency=1.0), company=2)
    study = request.study(request.setting(), store)
    for number, key in enumerate(sorted(study.candidates.networks)):
        where = {"network_key": key, "hardware": study.latencies.hardware, "conditions": conditions()}
        store.latencies.put(Latency(**where, seconds=0.5 + number % 2, seconds_iqr=0.0, n=1))
    watch = Ending()
    rows = run(request, Budget(trials=None), store, workers=2, report=watch)
    assert "nothing new is left" in watch.why
    assert len(rows) == len(begun(tmp_path)) == (len(study.candidates.networks) + 1) // 2
    assert {row.latency_seconds for row in rows} == {0.5}


class Ending(Silent):
    def end(self, why):
        self.why = why


class Killer(Silent):
    """Kills both workers at once, as soon as each has something running."""

    killed = ()

    def changed(self, study):
        if not self.killed and len(study.mirror.running) == 2:
            self.killed = tuple(study.mirror.running.values())
            for row in self.killed:
                os.kill(int(row.owner.split(":")[-2]), signal.SIGKILL)


def test_killed_workers_are_started_again_and_their_evaluations_made_by_other_processes(store, blobs, tmp_path):
    killer = Killer()
    request = pretence(blobs, tmp_path, company=4)  # the first two train until they are killed
    rows = run(request, Budget(trials=8), store, workers=2, report=killer)
    assert len(rows) == 8 and {row.status for row in store.rows()} == {"complete"}
    for killed in killer.killed:
        row = store.get(killed.identity)
        pids = [pid for pid, design, *_ in begun(tmp_path) if design == row.design]
        assert len(pids) == 2 and pids[0] != pids[1] and row.attempts == 2
    assert len(begun(tmp_path)) == 10, "nothing else was trained twice"


def test_workers_whose_driver_is_killed_end_by_themselves_and_the_same_call_goes_on(store, tmp_path):
    driver = start_driver(store.url, tmp_path, workers=2, trials=12, seconds=0.5, company=2)
    until(lambda: len({pid for pid, *_ in begun(tmp_path)}) == 2)
    driver.kill()
    driver.wait()
    owners = {row.owner for row in store.rows()}
    until(lambda: all(owner_is_dead(owner) for owner in owners), seconds=40)
    left = {row.identity: row.finished for row in store.rows()}
    assert "running" not in {row.status for row in store.rows()}, "they finish, or give back, what they are at"
    assert start_driver(store.url, tmp_path, workers=1, trials=12).wait(180) == 0
    rows = store.rows()
    assert len(rows) == len(begun(tmp_path)) == 12, (tmp_path / "err").read_text()
    assert {row.identity: row.finished for row in rows if row.identity in left} == left


def test_two_drivers_of_three_workers_share_exactly_the_trials_asked_for(storage_url, tmp_path):
    drivers = [start_driver(storage_url, tmp_path, workers=number, trials=15, company=3) for number in (1, 2)]
    assert [driver.wait(180) for driver in drivers] == [0, 0], (tmp_path / "err").read_text()
    with open_store(storage_url, read_only=True) as store:
        rows = store.rows()
    assert {row.status for row in rows} == {"complete"}
    assert Counter(row.design for row in rows) == Counter(design for _, design, *_ in begun(tmp_path))
    assert len(rows) == 15 and len({pid for pid, *_ in begun(tmp_path)}) == 3, "each had a part"


def start_cli(folder: Path, tree: Path) -> subprocess.Popen[bytes]:
    folder.mkdir()
    command = [sys.executable, "-m", "search", "search", *CLI.split(), "--data", f"folder:{tree}", "--trials", "1000"]
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"ATTNAS_CACHE": str(folder / "cache"), "PYTHONPATH": os.pathsep.join(paths)}
    with (folder / "err").open("wb") as errors:
        return subprocess.Popen(
            [*command, "--storage", f"sqlite:///{folder}/a.db"], cwd=folder, stderr=errors, env=environment
        )


def test_the_command_ends_well_on_sigterm_with_143_and_on_sigint_with_130(tmp_path):
    """Oracle: 128 + the number of the signal, as shells say."""
    tree = write_tree(tmp_path / "images", size=8)
    numbers = {143: signal.SIGTERM, 130: signal.SIGINT}
    commands = {code: start_cli(tmp_path / str(code), tree) for code in numbers}
    try:
        for code, number in numbers.items():
            until(lambda code=code: "trial 3/1000" in (tmp_path / str(code) / "err").read_text())
            commands[code].send_signal(number)
        ended = {code: command.wait(90) for code, command in commands.items()}
    finally:
        for command in commands.values():
            command.kill()
            command.wait()
    for code, number in numbers.items():
        said = (tmp_path / str(code) / "err").read_text()
        assert ended[code] == code, said
        assert number.name in said and "Traceback" not in said
        with open_store(f"sqlite:///{tmp_path}/{code}/a.db", read_only=True) as store:
            assert {row.status for row in store.rows()} == {"complete"}


class Clock(Silent):
    def begin(self, study, budget):
        self.found = study.mirror.trials


def test_a_search_resumes_on_ten_thousand_rows_within_seconds(store, tmp_path, record_property):
    random = np.random.default_rng(0)
    part = random.integers(0, 256, (40, 3, 32, 32), dtype=np.uint8), np.repeat(np.arange(4), 10)
    data = ImageData.carve(name="noise", content_hash="noise", classes=tuple("abcd"), train=part, test=None, flip=True)
    request = pretence(data, tmp_path, space=Space(), replicates=4, sampler="tpe", backbone="resnet20")
    setting = request.setting()
    study = request.study(setting, store)
    networks = list(study.candidates.networks.values())[:2500]
    assert len(networks) == 2500
    rows = []
    for candidate in networks:
        outcome = {"accuracy": random.uniform(), "loss": 1.0, "status": "complete", "finished": time.time()}
        row = setting.row(candidate.design, 0, cost=candidate.cost, network_key=candidate.key)
        rows += [replace(row, seed=seed, **outcome) for seed in range(4)]
    with store.turn() as turn:
        turn.insert(rows)
    clock, begins = Clock(), time.monotonic()
    run(request, Budget(trials=10_001), store, setting=setting, report=clock)
    seconds = time.monotonic() - begins
    record_property("seconds", seconds)
    assert clock.found == 10_000 and len(begun(tmp_path)) == 1
    assert seconds < 30, "from the call to the end of one evaluation that takes no time"
    print(f"resumed on 10,000 rows, trained one, ended: {seconds:.1f} s")
