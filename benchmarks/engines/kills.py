"""Section 3: what a SIGKILL in the middle of a search costs, and whether the search goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import TrialState

from benchmarks.engines.peer_optuna import create
from benchmarks.engines.pretend import WORST, noted
from benchmarks.engines.processes import Run, a_run
from benchmarks.engines.report import Scale
from benchmarks.engines.storages import moments_of_ours, new_storage, running_of_ours, trials_of
from benchmarks.tables import spread, table

_TRIALS = 40
_WORKERS = 2
_SECONDS = 0.25  # a training
_RAY_SECONDS = 25  # Tune writes a snapshot every 10 s, or when 19 times the time of the last one has passed


@dataclass(frozen=True)
class After:
    """What is there when the command was given again and has ended."""

    asked: int  # trials
    finished: int  # rows or trials with a result
    wasted: int  # trainings that were begun and are in no result: cut short, or forgotten
    running: int  # said to run although nobody does
    error: str  # of the command given again; empty if it did well


def section(places: Path, scale: Scale) -> str:
    rows = []

    def repeat(name: str) -> After:
        scale.say(f"3 kills: {name}")
        with a_run(places, seconds_a_trial=_SECONDS, meeting=_WORKERS) as run:
            return _CASES[name](run)

    names = [name for name in _CASES for _ in range(scale.repeats)]
    with ThreadPoolExecutor(2) as pool:  # nothing is timed here
        after = list(pool.map(repeat, names))
    for name in _CASES:
        found = [one for other, one in zip(names, after, strict=True) if other == name]
        numbers = ([one.finished for one in found], [one.wasted for one in found], [one.running for one in found])
        broken = [one for one in found if one.error]
        how = f"{len(broken)} of {len(found)} failed" + (f": {broken[0].error}" if broken else "")
        rows.append([name, str(len(found)), str(found[0].asked), *map(spread, numbers), how])
    head = ["what is killed", "n", "trials asked", "results", "trainings wasted", "left RUNNING", "the command again"]
    return "\n\n".join(
        [
            "## 3. After a SIGKILL in the middle",
            f"Trials of {_SECONDS} s with {_WORKERS} workers. The kill comes after {_TRIALS // 3} of them (Ray: "
            f"{_RAY_SECONDS} s later, so that it has written a snapshot); then the same command, or `Tuner.restore`. "
            f"{_WORKERS} trainings in flight are the least that the loss of all processes can waste, 1 that of one "
            "worker. Results of Optuna and Ray include designs that are impossible, which are untrained. Median (least "
            "to most).",
            table(head, rows),
        ]
    )


def _until(run: Run, trainings: int, seconds: float = 0.0) -> None:
    """Wait until so many have begun and so long has passed since the first."""
    end = time.monotonic() + 120
    while noted(run.folder, "begun") < trainings and time.monotonic() < end:
        time.sleep(0.02)
    assert noted(run.folder, "begun") >= trainings, run.said(0)[-2000:]
    time.sleep(seconds)


def _how(run: Run, since: int) -> str:
    """What the processes from the `since`-th on died of; empty if they ended well."""
    for number, process in enumerate(run.processes[since:], since):
        if process.wait(240) != 0:
            lines = [line for line in run.said(number).strip().splitlines() if line and not line.startswith(" ")]
            return f"`{lines[-1][:110]}`" if lines else f"exit code {process.returncode}"
    return ""


def _ours(victims: Callable[[Run], list[int]]) -> Callable[[Run], After]:
    def once(run: Run) -> After:
        url = new_storage("sqlite", run.folder)
        asked = {"storage": url, "trials": _TRIALS, "workers": _WORKERS, "sampler": "random"}
        driver = run.start("ours", asked)
        _until(run, _TRIALS // 3)
        for pid in victims(run):
            os.kill(pid, signal.SIGKILL)
        driver.wait(240)
        run.start("ours", asked)
        error = _how(run, 1)
        finished = len(moments_of_ours(url))
        return After(_TRIALS, finished, noted(run.folder, "begun") - finished, running_of_ours(url), error)

    return once


def _workers(run: Run) -> list[int]:
    return [pid for pid in run.alive() if pid != run.processes[0].pid]


def _optuna(*, everything: bool, heartbeat: bool = False) -> Callable[[Run], After]:
    def once(run: Run) -> After:
        url = new_storage("sqlite", run.folder)
        asked = {"storage": url, "in_all": _TRIALS, "sampler": "random", "heartbeat": heartbeat}
        create(url)
        for seed in range(_WORKERS):
            run.start("peer_optuna", asked | {"seed": seed})
        _until(run, _TRIALS // 3)
        for process in run.processes if everything else run.processes[:1]:
            process.kill()
        for process in run.processes:
            process.wait(240)
        if heartbeat:
            time.sleep(3)  # the grace, after which what is silent is dead
        for seed in range(_WORKERS):
            run.start("peer_optuna", asked | {"seed": seed + _WORKERS})
        error = _how(run, _WORKERS)
        return _after(run, url, _TRIALS, error)

    return once


def _tuner(objectives: int) -> Callable[[Run], After]:
    def once(run: Run) -> After:
        url, trials = new_storage("sqlite", run.folder), 8 * _TRIALS
        asked = {"storage": url, "workers": _WORKERS, "trials": trials, "sampler": "random", "reuse": True}
        asked |= {"folder": str(run.folder), "objectives": objectives}
        run.start("peer_ray", asked)
        _until(run, _TRIALS // 3, seconds=_RAY_SECONDS)
        run.kill_all()
        run.processes[0].wait(60)
        run.start("peer_ray", asked | {"restore": True})
        error = _how(run, 1)
        return _after(run, url, trials, error)

    return once


def _after(run: Run, url: str, asked: int, error: str) -> After:
    """From an Optuna storage. A trial of an impossible design is pruned or has the worst values, untrained."""
    trials = trials_of(url)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    trained = sum(trial.values[0] < WORST["error"] for trial in complete)
    pruned = sum(trial.state == TrialState.PRUNED for trial in trials)
    running = sum(trial.state == TrialState.RUNNING for trial in trials)
    return After(asked, len(complete) + pruned, noted(run.folder, "begun") - trained, running, error)


_CASES: dict[str, Callable[[Run], After]] = {
    "attnas: a worker": _ours(lambda run: _workers(run)[:1]),
    "attnas: the driver": _ours(lambda run: [run.processes[0].pid]),
    "attnas: driver and workers": _ours(lambda run: run.alive()),
    "Optuna, SQLite: one of two processes": _optuna(everything=False),
    "Optuna, SQLite: both processes": _optuna(everything=True),
    "Optuna, SQLite, heartbeat and retry callback: both": _optuna(everything=True, heartbeat=True),
    "Tuner.restore + OptunaSearch on SQLite: the driver and Ray": _tuner(2),
    "the same with one objective": _tuner(1),
}
