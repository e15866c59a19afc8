"""Section 1: what a trial costs beside its training, and how many trials a second several workers end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.engines.peer_optuna import create
from benchmarks.engines.pretend import met_at
from benchmarks.engines.processes import Run, a_run
from benchmarks.engines.report import Scale
from benchmarks.engines.storages import moments_of_optuna, moments_of_ours, new_storage, postgresql
from benchmarks.tables import spread, table

WORKERS = (1, 2, 4, 8)
_ENDS = (1, 2, 8)  # where a start takes long


@dataclass(frozen=True)
class Contestant:
    """`start(run, url, workers, trials, sampler)` begins its processes."""

    name: str
    kind: str  # of storage
    trials: int  # enough for some seconds
    start: Callable[[Run, str, int, int, str], None]
    moments: Callable[[str], list[tuple[float, float]]]
    meets: bool = True
    workers: tuple[int, ...] = WORKERS
    samplers: tuple[str, ...] = ("random",)  # with one worker


@dataclass(frozen=True)
class Measured:
    trials: int
    seconds: float  # from the first claim that any worker could make to the last end
    start_seconds: float  # before that

    @property
    def milliseconds(self) -> float:
        return 1000 * self.seconds / self.trials

    @property
    def a_second(self) -> float:
        return self.trials / self.seconds


def _ours(engine: str) -> Callable[[Run, str, int, int, str], None]:
    def start(run: Run, url: str, workers: int, trials: int, sampler: str) -> None:
        options = {"engine": engine, "workers": workers, "trials": trials, "sampler": sampler}
        run.start("ours", {"storage": url, **options})

    return start


def _optuna(run: Run, url: str, workers: int, trials: int, sampler: str) -> None:
    create(url)
    for seed in range(workers):
        run.start("peer_optuna", {"storage": url, "trials": trials // workers, "sampler": sampler, "seed": seed})


def _tuner(*, reuse: bool) -> Callable[[Run, str, int, int, str], None]:
    def start(run: Run, url: str, workers: int, trials: int, sampler: str) -> None:
        asked: dict[str, Any] = {"storage": url, "workers": workers, "trials": trials, "sampler": sampler}
        run.start("peer_ray", asked | {"reuse": reuse, "folder": str(run.folder)})

    return start


_BOTH = ("random", "tpe")
CONTESTANTS = (
    Contestant("attnas, SQLite", "sqlite", 400, _ours("optuna"), moments_of_ours, samplers=_BOTH),
    Contestant("attnas, PostgreSQL", "postgresql", 400, _ours("optuna"), moments_of_ours, workers=_ENDS),
    Contestant("attnas on Ray, SQLite", "sqlite", 200, _ours("ray"), moments_of_ours, workers=_ENDS),
    Contestant("Optuna, SQLite", "sqlite", 80, _optuna, moments_of_optuna, samplers=_BOTH),
    Contestant("Optuna, Journal", "journal", 240, _optuna, moments_of_optuna, samplers=_BOTH),
    Contestant(
        "Tuner, defaults, OptunaSearch on SQLite", "sqlite", 8, _tuner(reuse=False), moments_of_optuna, False, (1, 2)
    ),
    Contestant(
        "Tuner, reuse_actors, OptunaSearch on SQLite",
        "sqlite",
        80,
        _tuner(reuse=True),
        moments_of_optuna,
        workers=_ENDS,
    ),
)


def measure(contestant: Contestant, places: Path, workers: int, sampler: str, trials: int) -> Measured:
    with a_run(places, meeting=workers if contestant.meets else 0) as run:
        url = new_storage(contestant.kind, run.folder)
        contestant.start(run, url, workers, trials, sampler)
        run.wait()
        moments = contestant.moments(url)
        begun = met_at(run.folder) or min(start for start, _ in moments)
        return Measured(len(moments), max(end for _, end in moments) - begun, begun - run.began)


def section(places: Path, scale: Scale) -> str:
    with_tpe: dict[str, list[Measured]] = defaultdict(list)
    many: dict[tuple[str, int], list[Measured]] = defaultdict(list)
    with postgresql() as server:
        there = [c for c in CONTESTANTS if server is not None or c.kind != "postgresql"]
        for repeat in range(scale.repeats):
            for contestant in there:
                trials = max(8, int(contestant.trials * scale.share))
                for workers in contestant.workers if not scale.quick else WORKERS[:2]:
                    scale.say(f"1 overhead, repeat {repeat + 1}: {contestant.name}, {workers} workers")
                    found = measure(contestant, places, workers, "random", trials)
                    many[contestant.name, workers].append(found)
                if "tpe" in contestant.samplers:
                    with_tpe[contestant.name].append(measure(contestant, places, 1, "tpe", trials))
    return _report(with_tpe, many, [c.name for c in there], scale)


def _report(
    with_tpe: dict[str, list[Measured]], many: dict[tuple[str, int], list[Measured]], names: list[str], scale: Scale
) -> str:
    single = []
    for name in names:
        random_, tpe = many[name, 1], with_tpe[name]
        sampler = [b.milliseconds - a.milliseconds for a, b in zip(random_, tpe, strict=False)]
        numbers = ([found.milliseconds for found in random_], [found.milliseconds for found in tpe], sampler)
        single.append([name, str(random_[0].trials), *map(spread, numbers)])
    workers = sorted({number for _, number in many})

    def of_all(number: Callable[[Measured], float]) -> list[list[str]]:
        return [[name, *(spread([number(one) for one in many.get((name, n), [])]) for n in workers)] for name in names]

    rates, starts = of_all(lambda one: one.a_second), of_all(lambda one: one.start_seconds)
    heads = [f"{number} worker{'s' * (number > 1)}" for number in workers]
    return "\n\n".join(
        [
            "## 1. Overhead and throughput",
            "Trainings that return at once; what is left is the engine. Time from the first claim to the last commit, "
            f"start of processes apart. n = {scale.repeats}, alternating; median (least to most).",
            "Milliseconds a trial, one worker. Random: next to no time for the sampler; the difference to TPE is the "
            "sampler's.",
            table(["engine", "trials", "random", "TPE", "TPE's share"], single),
            "Trials a second, random sampler.",
            table(["engine", *heads], rates),
            "Seconds before the first claim: imports, the list of candidates, Ray.",
            table(["engine", *heads], starts),
        ]
    )
