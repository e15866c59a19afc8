"""One process of plain Optuna: `study.optimize`, as its documentation shows it; what it is asked comes as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any, Literal

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState

from benchmarks.engines.pretend import meet, pretended_training
from benchmarks.engines.table import Table, read_table
from search_space import DesignError, Space

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
_NAME = "search"
_DIRECTIONS: list[Literal["minimize", "maximize"]] = ["minimize", "minimize"]
_SAMPLERS = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
}


class Objective:
    """Error and MACs of what the trial chooses. What is impossible is pruned, untrained; costs are only known after.

    With `max_params` a design over it is trained all the same, as Optuna's soft constraints have it.
    """

    def __init__(self, table: Table, max_params: float | None) -> None:
        self.table, self.max_params, self.space = table, max_params, Space()

    def __call__(self, trial: optuna.Trial) -> tuple[float, float]:
        try:
            design = str(self.space.suggest(trial))
            found = self.table[design]
        except (DesignError, KeyError) as impossible:
            raise optuna.TrialPruned from impossible
        if self.max_params is not None:
            trial.set_constraint("params", found["params"] - self.max_params)
        pretended_training()
        facts: dict[str, Any] = {"design": design, "network": found["key"], "params": found["params"]}
        for name, value in (facts | {"seconds": 0.0, "hardware": "pretended"}).items():
            trial.set_user_attr(name, value)
        return 1 - found["accuracy"], float(found["macs"])


def open_storage(url: str, *, heartbeat: bool = False) -> BaseStorage | None:
    """`sqlite:///FILE`, `journal:FILE`, or empty: in memory."""
    if url.startswith("journal:"):
        return JournalStorage(JournalFileBackend(url.removeprefix("journal:")))
    if heartbeat:
        retry = RetryHeartbeatStaleTrialCallback(max_retry=3)
        return RDBStorage(url, heartbeat_interval=1, grace_period=3, heartbeat_stale_trial_callback=retry)
    return RDBStorage(url) if url else None


def create(url: str) -> None:
    """Make the study: two processes that open a new SQLite file at once fail on each other (`alembic_version`)."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.create_study(study_name=_NAME, storage=open_storage(url), directions=_DIRECTIONS)


def optimize(asked: dict[str, Any]) -> optuna.Study:
    """The study after `trials` more, or until it holds `in_all`."""
    study = optuna.create_study(
        study_name=_NAME,
        storage=open_storage(asked["storage"], heartbeat=asked.get("heartbeat", False)),
        sampler=_SAMPLERS[asked["sampler"]](asked.get("seed", 0)),
        directions=_DIRECTIONS,
        load_if_exists=True,
    )
    objective = Objective(read_table(), asked.get("max_params"))
    meet()
    enough = [MaxTrialsCallback(asked["in_all"], states=ENDED)] if "in_all" in asked else []
    if not enough or len(study.get_trials(states=ENDED)) < asked["in_all"]:
        study.optimize(objective, n_trials=asked.get("trials"), callbacks=enough)
    return study


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optimize(json.loads(sys.argv[1]))
