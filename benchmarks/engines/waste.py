"""Section 2: how many trainings of a search are of a network trained before, or over a limit that was known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import quantiles

from benchmarks.engines.processes import Run, a_run
from benchmarks.engines.report import Scale
from benchmarks.engines.storages import new_storage, trials_of
from benchmarks.engines.table import Table, read_table
from benchmarks.tables import spread, table
from results import open_store
from search.samplers import SAMPLERS

_TRIALS = 200
_GP_RUNS = 1  # a run of it takes half a minute, and there is nothing to average


class Counted:
    """Trainings of one run by the network and the parameters of each."""

    def __init__(self, trained: Sequence[tuple[str, int]], limit: float) -> None:
        self.trained = len(trained)
        self.duplicates = 1 - len({key for key, _ in trained}) / self.trained
        self.infeasible = sum(params > limit for _, params in trained) / self.trained


def section(places: Path, scale: Scale) -> str:
    designs = read_table()
    limit = quantiles([entry["params"] for entry in designs.values()], n=4)[0]
    met = sum(entry["params"] <= limit for entry in designs.values()) / len(designs)
    trials = int(_TRIALS * scale.share)
    rows = []
    contestants = _contestants(designs, places, trials, limit)
    with ThreadPoolExecutor(2) as pool:  # nothing is timed here
        runs = [[pool.submit(once, seed) for seed in range(min(most, scale.repeats))] for _, once, most in contestants]
        for (name, _, _), submitted in zip(contestants, runs, strict=True):
            counted = [run.result() for run in submitted]
            scale.say(f"2 waste: {name}")
            rows.append(_row(name, counted))
    return "\n\n".join(
        [
            "## 2. Trainings wasted",
            f"{trials} trials with a limit of {limit:,.0f} parameters, which {met:.0%} of the designs meet; two "
            "objectives, one worker. Per cent of the trainings, median (least to most) of n runs with other seeds. "
            "A duplicate is a network that the same run has trained before. Designs impossible on the backbone "
            "are trained by nobody, and count among the trials of the peers but not among their trainings.",
            table(["engine", "n", "trainings", "duplicates %", "over the limit %"], rows),
        ]
    )


def _row(name: str, counted: Sequence[Counted]) -> list[str]:
    shares = [[100 * each.duplicates for each in counted], [100 * each.infeasible for each in counted]]
    return [name, str(len(counted)), str(counted[0].trained), *map(spread, shares)]


_Contestants = list[tuple[str, Callable[[int], Counted], int]]


def _contestants(designs: Table, places: Path, trials: int, limit: float) -> _Contestants:
    def ours(sampler: str) -> Callable[[int], Counted]:
        def once(seed: int) -> Counted:
            with a_run(places) as run:
                url = new_storage("sqlite", run.folder)
                asked = {"storage": url, "trials": trials, "sampler": sampler, "max_params": limit, "seed": seed}
                run.start("ours", asked)
                run.wait()
                with open_store(url, read_only=True) as store:
                    return Counted([(row.network_key, row.params) for row in store.rows()], limit)

        return once

    def peer(sampler: str) -> Callable[[int], Counted]:
        def once(seed: int) -> Counted:
            with a_run(places) as run:
                url = new_storage("journal", run.folder)
                asked = {"storage": url, "trials": trials, "sampler": sampler, "seed": seed, "max_params": limit}
                run.start("peer_optuna", asked)
                run.wait()
                found = [trial.user_attrs for trial in trials_of(url) if trial.user_attrs]
                return Counted([(facts["network"], facts["params"]) for facts in found], limit)

        return once

    def tuner(seed: int) -> Counted:
        with a_run(places) as run:
            asked = {"storage": "", "workers": 1, "trials": trials, "sampler": "tpe", "seed": seed, "reuse": True}
            run.start("peer_ray", asked | {"folder": str(run.folder)})
            run.wait()
            return Counted(_tuned(run, designs), limit)

    return [
        *((f"attnas, {sampler}", ours(sampler), _GP_RUNS if sampler == "gp" else 3) for sampler in SAMPLERS),
        ("Optuna, TPE (default), set_constraint", peer("tpe"), 3),
        ("Optuna, NSGA-II, set_constraint", peer("nsga2"), 3),
        ("Optuna, random, set_constraint", peer("random"), 3),
        ("Tuner + OptunaSearch, TPE (no hook for limits)", tuner, 3),
    ]


def _tuned(run: Run, designs: Table) -> list[tuple[str, int]]:
    texts = json.loads((run.folder / "designs.json").read_text())
    return [(designs[text]["key"], designs[text]["params"]) for text in texts if text]
