"""A set of trials carried out: by `attnas search`, by the plain trials, each from its first process to its last."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.speed.plain import Form
from trainers.recipe import PROXY, Recipe

CORES = 2
PLAIN, TUNED, OURS, ONE = "plain", "plain, tuned", "attnas", "attnas, one worker"
_PLAIN = {  # processes that load for each trial; whether a process goes on with another trial
    PLAIN: {"loader_workers": 1, "reuse": False},
    TUNED: {"loader_workers": 0, "reuse": True},
}
BY_SEARCH = (OURS, ONE)
_WORKERS = dict.fromkeys((PLAIN, TUNED, OURS), CORES) | {ONE: 1}  # with as many threads as there are cores for each
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Kind:
    """What is trained; `seeds` in each repeat, new ones every time."""

    name: str
    backbone: str
    changes: Mapping[str, Any]  # of the recipe `proxy`
    designs: tuple[str, ...]
    seeds: int
    sides: tuple[str, ...] = (PLAIN, TUNED, OURS)
    image_size: int = 32

    @property
    def recipe(self) -> Recipe:
        return PROXY.changed(**self.changes)

    @property
    def trials(self) -> int:
        return len(self.designs) * self.seeds


@dataclass(frozen=True)
class Trial:
    design: str
    seed: int
    accuracy: float
    train_loss: float  # of the last epoch
    seconds: float


@dataclass(frozen=True)
class Carried:
    """One set of trials from the start of its first process to the end of its last; `between` are the seconds that a
    worker spent on each of its trials beside the training."""

    wall: float
    trials: list[Trial]
    between: list[float]
    how: str

    @property
    def an_hour(self) -> float:
        return 3600 * len(self.trials) / self.wall


@dataclass(frozen=True)
class Place:
    """Where a side runs; `kept` is what it keeps between runs: decoded images, measurements, the compiled passes."""

    side: str
    kept: Path

    @property
    def threads(self) -> int:
        """Of each of its processes."""
        return CORES // _WORKERS[self.side]

    def measure(self, kind: Kind) -> float:
        """The ways to train the network, as a search with more trainings begins by it. Returns seconds."""
        options = {"name": kind.backbone, "image_size": kind.image_size, "batch_size": kind.recipe.batch_size}
        code = f"""
import torch
from trainers.ways import pick_way
torch.set_num_threads({self.threads})
pick_way("auto", None, steps=10**9, device=torch.device("cpu"), **{options})"""
        return self.run([sys.executable, "-c", code])

    def run(self, command: list[str], folder: Path | None = None) -> float:
        """Seconds of the process in the folder, or in one of its own."""
        with tempfile.TemporaryDirectory(prefix="ab-", ignore_cleanup_errors=True) as own:
            place = folder or Path(own)
            given = {"ATTNAS_CACHE": self.kept, "RAY_TMPDIR": place, "OMP_NUM_THREADS": self.threads}
            given["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
            return _run(command, os.environ | {name: str(value) for name, value in given.items()}, place)


def carry_out(kind: Kind, seeds: list[int], data: str, form: Form, place: Place) -> Carried:
    with tempfile.TemporaryDirectory(prefix="ab-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if place.side in BY_SEARCH:
            wall = place.run(_search(kind, seeds, data, folder, place), folder)
            trials, *others = _searched(folder)
        else:
            wall = place.run(_plain(kind, seeds, data, form, folder, _PLAIN[place.side]), folder)
            trials, *others = _plainly(folder, form)
    asked = {(design, seed) for design in kind.designs for seed in seeds}
    assert {(trial.design, trial.seed) for trial in trials} == asked, (place.side, trials)
    return Carried(wall, trials, *others)


def _run(command: list[str], environment: dict[str, str], folder: Path) -> float:
    """Seconds of the whole process. It ends with this one, and what it has started with it."""
    begin = time.perf_counter()
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=said, stderr=said, start_new_session=True
        )
        try:
            code = process.wait()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
        seconds = time.perf_counter() - begin
        if code != 0:
            said.seek(0)
            raise RuntimeError(f"{command}: {said.read()[-3000:]}")
    return seconds


def _plain(kind: Kind, seeds: list[int], data: str, form: Form, folder: Path, options: dict[str, object]) -> list[str]:
    asked = {"designs": kind.designs, "seeds": seeds, "backbone": kind.backbone, "recipe": kind.changes}
    asked |= {"data": data, "image_size": kind.image_size, "form": form, "workers": CORES}
    asked |= options | {"folder": str(folder)}
    return [sys.executable, "-W", "ignore", "-m", "benchmarks.speed.plain_tune", json.dumps(asked)]


def _plainly(folder: Path, form: Form) -> tuple[list[Trial], list[float], str]:
    found = json.loads((folder / "trials.json").read_text())
    return [Trial(**each) for each in found], [], str(form)


def _search(kind: Kind, seeds: list[int], data: str, folder: Path, place: Place) -> list[str]:
    designs = folder / "designs.txt"
    designs.write_text("\n".join(kind.designs))
    words = ["search", "--data", data, "--backbone", kind.backbone, "--image-size", kind.image_size]
    words += [word for name, value in kind.changes.items() for word in ("--set", f"{name}={value}")]
    words += ["--no-halving", "--axis", "squeeze=none", "--warm-start", designs]
    words += ["--trials", kind.trials, "--replicates", len(seeds), "--seed", seeds[0]]
    words += ["--workers", _WORKERS[place.side], "--threads", place.threads]
    words += ["--storage", f"sqlite:///{folder}/rows.db"]
    return [sys.executable, "-m", "search", *map(str, words)]


def _searched(folder: Path) -> tuple[list[Trial], list[float], str]:
    from results import open_store

    with open_store(f"sqlite:///{folder}/rows.db") as store:
        rows = store.rows()
    assert all(row.status == "complete" for row in rows), [row.error for row in rows]
    forms = {" ".join([str(row.precision), *(["fused"] if "fused blocks" in row.versions else [])]) for row in rows}
    trials = [Trial(row.design, row.seed, row.accuracy, row.curves[-1]["train_loss"], row.seconds) for row in rows]
    return trials, between(rows), ", ".join(sorted(forms))


def between(rows: list[Any]) -> list[float]:
    """Seconds that its worker spent on a trial, from the end of the one before to its own end, beside the training."""
    of_owner: dict[str, list[Any]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.started):
        of_owner[row.owner].append(row)
    return [one.finished - before.finished - one.seconds for own in of_owner.values() for before, one in pairwise(own)]
