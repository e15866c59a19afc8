"""Trials an hour of `attnas search` beside the plain trials: equal designs, seeds, recipe and images, two at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from scipy import stats

from benchmarks.speed.clock import alternated
from benchmarks.speed.plain import FORMS, Form, optimiser_of, train_step
from benchmarks.speed.scale import Scale
from benchmarks.tables import figures, spread, table
from search_space import NONE
from trainers.backbones import initialised
from trainers.recipe import PROXY, Recipe

CORES = 2
PLAIN, TUNED, OURS, ONE = "plain", "plain, tuned", "attnas", "attnas, one worker"
_PLAIN = {  # processes that load for each trial; whether a process goes on with another trial
    PLAIN: {"loader_workers": 1, "reuse": False},
    TUNED: {"loader_workers": 0, "reuse": True},
}
_OURS = (OURS, ONE)
_WORKERS = dict.fromkeys((PLAIN, TUNED, OURS), CORES) | {ONE: 1}  # with as many threads as there are cores for each
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Kind:
    """What is trained; `seeds` in each repeat, new ones every time."""

    name: str
    backbone: str
    epochs: int
    designs: tuple[str, ...]
    seeds: int
    sides: tuple[str, ...] = (PLAIN, TUNED, OURS)
    image_size: int = 32

    @property
    def recipe(self) -> Recipe:
        return PROXY.changed(epochs=self.epochs)

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


_DESIGNS = ("none", "avg/mlp-r4", "avg/conv1d", "dct-top4/mlp-r4")
KINDS = {
    kind.name: kind
    for kind in (
        Kind("few", "resnet8", 2, _DESIGNS, 3, (PLAIN, TUNED, OURS, ONE)),
        Kind("many", "resnet8", 2, _DESIGNS, 6, (PLAIN, OURS)),
        Kind("long", "resnet20", 10, _DESIGNS[:2], 1),
    )
}
SMALL = Kind("small", "resnet8", 1, _DESIGNS[:2], 2, (PLAIN, TUNED, OURS, ONE), image_size=16)


def section(scale: Scale, name: str) -> str:
    torch.set_num_threads(1)
    kind = replace(SMALL, name=name) if scale.small else KINDS[name]
    found = of_kind(replace(kind, epochs=scale.epochs or kind.epochs), scale)
    return f"""## Trials an hour: {name}

*{PLAIN.capitalize()}* ([plain.py](speed/plain.py), [plain_tune.py](speed/plain_tune.py)): PIL and torchvision in a
`DataLoader` with one worker, eager PyTorch in the form that is fastest here, Ray Tune with a process for each trial;
*tuned*: no process that loads, which would share a core with one that trains, and processes that go on with the next
trial. *attnas*: `attnas search --workers {CORES} --no-halving` with the designs as its warm start; *{ONE[8:]}*: one
process on {CORES} cores instead of one on each. From the start of the first process to the end of the last, in turn;
median (least to most) of n = {scale.repeats} sets with new seeds. *Once before*: what attnas measures of a machine and
a network, how it trains fastest, compiling included. The fewer trials a set has, the more weighs what comes before the
first. Images: {scale.data.rpartition("/")[2]}, decoded already for all.

{scale.where("torchvision", "timm", "ray")}

{found}"""


def of_kind(kind: Kind, scale: Scale) -> str:
    form = fastest(kind)
    scale.say(f"{kind.name}: the plain network is fastest in {form}")
    found: dict[str, list[Carried]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="ab-") as kept:
        places = {side: _Place(Path(kept, side.replace(" ", "-")), CORES // _WORKERS[side]) for side in kind.sides}
        once = {side: places[side].run(_measuring(kind, places[side].threads)) for side in kind.sides if side in _OURS}
        scale.say(f"{kind.name}, measured once: {once}")
        for repeat in range(scale.repeats):
            for side in kind.sides if repeat % 2 else kind.sides[::-1]:
                seeds = list(range(repeat * kind.seeds, (repeat + 1) * kind.seeds))
                carried = carry_out(side, kind, seeds, scale.data, form, places[side])
                found[side].append(carried)
                scale.say(f"{kind.name}, {side}, {repeat}: {carried.wall:.1f} s")
    return report(kind, found, once)


def fastest(kind: Kind) -> Form:
    """The form in which the plain network takes a step soonest here: the baseline gets it."""
    generator = torch.Generator().manual_seed(0)
    size = (kind.recipe.batch_size, 3, kind.image_size, kind.image_size)
    images, labels = torch.randn(size, generator=generator), torch.zeros(size[0], dtype=torch.long)
    steps = {}
    for form in FORMS:
        net = initialised(kind.backbone, NONE, kind.recipe, seed=0, num_classes=100, image_size=kind.image_size)
        net = net.train().to(memory_format=form.memory_format)  # type: ignore[call-overload]
        given = (net, images, labels, optimiser_of(net, kind.recipe), kind.recipe, form)
        steps[form] = lambda given=given: train_step(*given)
    times = alternated(steps, 5)
    return min(FORMS, key=lambda form: min(times[form].wall))


@dataclass(frozen=True)
class _Place:
    """Where a side runs; `kept` is what it keeps between runs: decoded images, measurements, what was compiled."""

    kept: Path
    threads: int

    def run(self, command: list[str], folder: Path | None = None) -> float:
        """Seconds of the process in the folder, or in one of its own."""
        with tempfile.TemporaryDirectory(prefix="ab-", ignore_cleanup_errors=True) as own:
            place = folder or Path(own)
            temporary = self.kept / "tmp"  # where PyTorch keeps headers, and a machine its files from run to run
            temporary.mkdir(parents=True, exist_ok=True)
            given = {"ATTNAS_CACHE": self.kept, "TMPDIR": temporary, "RAY_TMPDIR": place}
            given |= {"TORCHINDUCTOR_CACHE_DIR": self.kept / "inductor", "OMP_NUM_THREADS": self.threads}
            given["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
            return _run(command, os.environ | {name: str(value) for name, value in given.items()}, place)


def carry_out(side: str, kind: Kind, seeds: list[int], data: str, form: Form, place: _Place) -> Carried:
    with tempfile.TemporaryDirectory(prefix="ab-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if side in _OURS:
            wall = place.run(_ours(kind, seeds, data, folder, _WORKERS[side]), folder)
            trials, between, how = _our_trials(folder)
        else:
            wall = place.run(_plain(kind, seeds, data, form, folder, _PLAIN[side]), folder)
            trials, between, how = _plain_trials(folder, form)
    asked = {(design, seed) for design in kind.designs for seed in seeds}
    assert {(trial.design, trial.seed) for trial in trials} == asked, (side, trials)
    return Carried(wall, trials, between, how)


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
    asked = {"designs": kind.designs, "seeds": seeds, "backbone": kind.backbone, "recipe": {"epochs": kind.epochs}}
    asked |= {"data": data, "image_size": kind.image_size, "form": form, "workers": CORES}
    asked |= options | {"folder": str(folder)}
    return [sys.executable, "-W", "ignore", "-m", "benchmarks.speed.plain_tune", json.dumps(asked)]


def _plain_trials(folder: Path, form: Form) -> tuple[list[Trial], list[float], str]:
    found = json.loads((folder / "trials.json").read_text())
    return [Trial(**each) for each in found], [], str(form)


def _ours(kind: Kind, seeds: list[int], data: str, folder: Path, workers: int) -> list[str]:
    designs = folder / "designs.txt"
    designs.write_text("\n".join(kind.designs))
    words = ["search", "--data", data, "--backbone", kind.backbone, "--image-size", kind.image_size]
    words += ["--epochs", kind.epochs, "--no-halving", "--axis", "squeeze=none", "--warm-start", designs]
    words += ["--trials", kind.trials, "--replicates", len(seeds), "--seed", seeds[0]]
    words += ["--workers", workers, "--threads", CORES // workers, "--storage", f"sqlite:///{folder}/rows.db"]
    return [sys.executable, "-m", "search", *map(str, words)]


def _measuring(kind: Kind, threads: int) -> list[str]:
    """Of the ways to train the network, as a search with more trainings begins by it."""
    options = {"name": kind.backbone, "image_size": kind.image_size, "batch_size": kind.recipe.batch_size}
    code = f"""
import torch
from trainers.ways import pick_way
torch.set_num_threads({threads})
pick_way("auto", None, steps=10**9, device=torch.device("cpu"), **{options})"""
    return [sys.executable, "-c", code]


def _our_trials(folder: Path) -> tuple[list[Trial], list[float], str]:
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


def agreement(ours: list[Trial], theirs: list[Trial], of: str = "accuracy") -> tuple[float, float, float]:
    """Difference of the means, and the ends of its 95 % interval: paired by design and seed (Student)."""
    of_theirs = {(trial.design, trial.seed): getattr(trial, of) for trial in theirs}
    pairs = [(getattr(trial, of), of_theirs[trial.design, trial.seed]) for trial in ours]
    found = stats.ttest_rel(*zip(*pairs, strict=True)).confidence_interval()
    return mean(one - other for one, other in pairs), float(found.low), float(found.high)


def report(kind: Kind, found: dict[str, list[Carried]], once: dict[str, float]) -> str:
    """Of the sets of each side, in rounds; `once` are the seconds that some spend before all."""
    rows = []
    for side in kind.sides:
        trials = [trial for carried in found[side] for trial in carried.trials]
        accuracy = 100 * mean(trial.accuracy for trial in trials)
        numbers = [spread([carried.an_hour for carried in found[side]]), spread([one.wall for one in found[side]])]
        before = figures(once[side]) if side in once else ""
        numbers += [before, spread([trial.seconds for trial in trials]), f"{accuracy:.2f}"]
        rows.append([side, found[side][0].how, *numbers])
    head = ["", "form", "trials an hour", "wall seconds", "once before, s", "seconds a training", "top-1, %"]
    every = {side: [trial for carried in found[side] for trial in carried.trials] for side in kind.sides}
    difference, low, high = (100 * value for value in agreement(every[OURS], every[PLAIN]))
    more, least, most = agreement(every[OURS], every[PLAIN], "train_loss")
    overhead = [seconds for carried in found[OURS] for seconds in carried.between]
    training = median(trial.seconds for trial in every[OURS])
    lines = [
        f"{kind.backbone}, {kind.epochs} epochs, {len(kind.designs)} designs with {kind.seeds} "
        f"seed{'s' * (kind.seeds > 1)}: {kind.trials} trials a set",
        table(head, rows),
        f"Ratio of trials an hour, attnas to plain, by rounds: {spread(_ratios(found[OURS], found[PLAIN]))}; wanted: 2 "
        "or more.",
        *(f"{OURS} to {TUNED}: {spread(_ratios(found[OURS], found[TUNED]))}." for _ in {TUNED} & found.keys()),
        *(f"{ONE} to {OURS}: {spread(_ratios(found[ONE], found[OURS]))}." for _ in {ONE} & found.keys()),
        f"Agreement, attnas less plain, {len(every[OURS])} pairs of one design and seed: accuracy {difference:+.2f} "
        f"points (95 % interval {low:+.2f} to {high:+.2f}), training loss of the last epoch {more:+.4f} "
        f"({least:+.4f} to {most:+.4f}).",
    ]
    if overhead:  # none where each worker carries out one trial
        lines.append(
            f"Engine and bookkeeping between trainings: {spread([1000 * value for value in overhead])} ms a trial, "
            f"{100 * median(overhead) / training:.2g} % of a training; wanted: 2 % of a 5-second training or less."
        )
    return "\n\n".join(lines)


def _ratios(ours: list[Carried], theirs: list[Carried]) -> list[float]:
    """Of trials an hour, by rounds."""
    return [one.an_hour / other.an_hour for one, other in zip(ours, theirs, strict=True)]
