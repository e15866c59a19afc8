"""Section 4: how good is the best design that each sampler has found, on made-up landscapes with and without noise."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import mean, median, stdev

import torch

from benchmarks.engines.landscape import PAIR_SHARE, landscape
from benchmarks.engines.report import Scale
from benchmarks.tables import figures, table
from search.samplers import SAMPLERS, make_sampler
from search_space import AttentionDesign, Space

_NOISES = (0.0, 0.5, 1.0)  # of a training seed, in standard deviations of the designs
_AFTER = (30, 50, 100, 200)
_REPEATS = 20
_GP_REPEATS = 4  # its proposals take some hundred times as long


@dataclass(frozen=True)
class Task:
    sampler: str
    noise: float
    seed: int
    evaluations: int


@lru_cache
def _space() -> tuple[Space, dict[AttentionDesign, AttentionDesign]]:
    """The space, and the distinct design that stands for each."""
    space = Space()
    by_key = {design.key: design for design in space.distinct()}
    return space, {design: by_key[design.key] for design in space.designs()}


def regrets(task: Task) -> list[float]:
    """Of the best-measured design after each number of evaluations; last the milliseconds a proposal and its tell."""
    space, stands_for = _space()
    truth = landscape(space, task.seed)
    best = max(truth.values())
    noise = random.Random(f"noise {task.seed}")
    of_seed = {design: noise.gauss(0, task.noise) for design in space.distinct()}  # the same for every sampler
    sampler = make_sampler(task.sampler, space, seed=task.seed, objectives=1)
    measured: dict[AttentionDesign, float] = {}
    found, seconds = [], 0.0
    for number in range(1, task.evaluations + 1):
        began = time.process_time()
        proposed = sampler.propose(0, lambda design: stands_for[design] in measured)
        seconds += time.process_time() - began
        assert proposed is not None
        design = stands_for[proposed]
        assert design not in measured, "a sampler proposed what was taken"
        measured[design] = truth[design] + of_seed[design]
        began = time.process_time()
        sampler.tell(design, [-measured[design]])
        seconds += time.process_time() - began
        if number in _AFTER:
            found.append(best - truth[max(measured, key=measured.__getitem__)])
    return [*found, 1000 * seconds / task.evaluations]


def section(_: Path, scale: Scale) -> str:
    tasks = _tasks(scale)
    results: dict[tuple[str, float], list[list[float]]] = {}
    # The dear ones first, so that no core waits for the last of them alone
    order = sorted(tasks, key=lambda task: ("gp", "tpe", "nsga2").index(task.sampler) if task.sampler in _DEAR else 9)
    # one thread each: two of two threads on two cores wait for each other most of the time
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        max_workers=2, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        for task, found in zip(order, pool.map(regrets, order), strict=True):
            results.setdefault((task.sampler, task.noise), []).append(found)
            if task.seed == 0:
                scale.say(f"4 samplers: {task.sampler}, noise {task.noise}")
    tables = [_table(results, noise) for noise in _NOISES]
    return "\n\n".join(
        [
            "## 4. Samplers",
            "Regret: how far the truth of the design picked, the best by its one noisy measurement, lies below the "
            "best of the space, in standard deviations of the space; mean ± standard error over n landscapes. "
            f"{len(_space()[0].distinct())} distinct designs, effects of single choices and of pairs (variance "
            f"{PAIR_SHARE} to 1). One objective. The same landscapes and noise for all; a real proxy's noise is about "
            "1. A made-up landscape of additive and pairwise effects flatters models of that form.",
            *tables,
        ]
    )


_DEAR = ("gp", "tpe", "nsga2")


def _tasks(scale: Scale) -> list[Task]:
    repeats = {name: _GP_REPEATS if name == "gp" else _REPEATS for name in SAMPLERS}
    most = _AFTER[-1]
    if scale.quick:
        repeats, most = dict.fromkeys(SAMPLERS, 2), _AFTER[1]
    return [
        Task(name, noise, seed, most) for name, number in repeats.items() for noise in _NOISES for seed in range(number)
    ]


def _table(results: dict[tuple[str, float], list[list[float]]], noise: float) -> str:
    rows = []
    for name in SAMPLERS:
        runs = results[name, noise]
        *columns, milliseconds = zip(*runs, strict=True)
        rows.append([name, str(len(runs)), *map(_mean_and_error, columns), figures(median(milliseconds))])
    heads = [f"{number} evaluations" for number in _AFTER[: len(rows[0]) - 3]]
    return f"Noise {noise:g} SD:\n\n" + table(["sampler", "n", *heads, "ms a proposal (CPU)"], rows)


def _mean_and_error(values: Sequence[float]) -> str:
    return f"{mean(values):.2f} ± {stdev(values) / len(values) ** 0.5:.2f}"
