"""Section 1b: what it costs to begin an evaluation when the study holds 10,000 rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.engines.processes import a_run
from benchmarks.engines.report import Scale
from benchmarks.engines.small import BACKBONE, RECIPE, small_data, small_setting
from benchmarks.engines.storages import new_storage
from benchmarks.tables import spread, table
from results import open_store
from results.row import Row
from results.table import EVALUATIONS, to_cells
from search.budget import Budget
from search.request import make_request
from search.study import Study
from search_space import Space

_BEGINS = 20
_EPOCHS = 27


def section(places: Path, scale: Scale) -> str:
    rows = []
    for halving in (False, True):
        for number in (1_000, 10_000) if not scale.quick else (200, 2_000):
            firsts: list[float] = []
            others: list[float] = []
            for repeat in range(scale.repeats):
                scale.say(f"1b resume, repeat {repeat + 1}: {number} rows, halving {halving}")
                first, later = _begin_after(places, number, halving=halving)
                firsts.append(first)
                others += later
            rows.append(["on" if halving else "off", f"{number:,}", spread(firsts), spread([1000 * s for s in others])])
    return "\n\n".join(
        [
            "### With many rows",
            "SQLite, sampler random, 4 seeds a network; with halving all rows lie at the first of 4 rungs, so that "
            f"promotion ranks them all each time. n = {scale.repeats}, {_BEGINS - 1} evaluations each.",
            table(["halving", "rows", "reading them all, s", "each `begin` and commit after, ms"], rows),
        ]
    )


def _begin_after(places: Path, number: int, *, halving: bool) -> tuple[float, Sequence[float]]:
    """Seconds until the rows are known, and of each evaluation that is begun and finished then."""
    request = make_request(
        Space(),
        data=small_data(),
        backbone=BACKBONE,
        recipe=RECIPE,
        epochs=_EPOCHS if halving else 1,
        seed=0,
        replicates=4,
        objectives="accuracy,macs",
        halving=halving,
        factor=3,
        shortest=1,
        bracket=0,
        warm_start_from="none",
        sampler="random",
    )
    with a_run(places) as run, open_store(new_storage("sqlite", run.folder)) as store:
        study = request.study(small_setting() if not halving else request.setting(), store)
        _fill(study, number)
        fresh = Study(study.plan, study.setting, store, study.candidates)
        began = time.perf_counter()
        fresh.sync()
        first = time.perf_counter() - began
        times = []
        for _ in range(_BEGINS):
            began = time.perf_counter()
            job = fresh.begin(Budget(trials=None))
            assert job is not None
            store.finish(_ended(job.row, 0.5))
            fresh.sync()
            times.append(time.perf_counter() - began)
        return first, times[1:]  # in the first the sampler is told of everything


def _fill(study: Study, number: int) -> None:
    """Finished rows of as many trials at the first rung, written at once."""
    trials = [(key, seed) for key in study.candidates.networks for seed in study.plan.seeds][:number]
    cells = []
    for seq, (key, seed) in enumerate(trials, 1):
        row = study._job(key, seed, study.plan.rungs.epochs[0]).row
        cells.append(to_cells(_ended(row, (seq * 7919 % number) / number)) | {"seq": seq})
    with study.store.turn() as turn:
        turn.connection.execute(EVALUATIONS.insert(), cells)
        turn.connection.exec_driver_sql(f"UPDATE meta SET value = '{len(cells)}' WHERE name = 'last_seq'")


def _ended(row: Row, accuracy: float) -> Row:
    status = "complete" if row.epochs == row.schedule_epochs else "stopped"
    now = time.time()
    return replace(row, status=status, accuracy=accuracy, loss=1.0, started=now, finished=now, seconds=0.0)
