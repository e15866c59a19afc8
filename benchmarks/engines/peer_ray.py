"""One driver of plain Ray Tune with its own `OptunaSearch`; what it is asked comes as JSON."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import optuna
import ray
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from benchmarks.engines.peer_optuna import _SAMPLERS, open_storage
from benchmarks.engines.pretend import WORST, meet, pretended_training
from benchmarks.engines.table import read_table
from search_space import DesignError, Space

_SPACE = Space()


def chosen(trial: optuna.Trial) -> dict[str, str]:
    """Define-by-run: a choice that is no design can't be refused here, only passed on."""
    try:
        return {"design": str(_SPACE.suggest(trial))}
    except DesignError:
        return {"design": ""}


def trainable(config: dict[str, Any]) -> None:
    meet()
    found = read_table().get(config["design"])
    if found is None:
        tune.report(WORST | {"design": ""})
        return
    pretended_training()
    tune.report({"error": 1 - found["accuracy"], "macs": found["macs"], "design": config["design"]})


def main() -> None:
    asked = json.loads(sys.argv[1])
    folder = Path(asked["folder"])
    ray.init(num_cpus=asked["workers"], include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    if asked.get("restore"):
        tuner = tune.Tuner.restore(str(folder / "search"), trainable)
    else:
        sampler = _SAMPLERS[asked["sampler"]](asked.get("seed", 0))
        several = {"metric": ["error", "macs"], "mode": ["min", "min"]}
        aims = several if asked.get("objectives", 2) > 1 else {"metric": "error", "mode": "min"}
        search = OptunaSearch(chosen, **aims, sampler=sampler, storage=open_storage(asked["storage"]))
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=search,
                num_samples=asked["trials"],
                max_concurrent_trials=asked["workers"],
                reuse_actors=asked.get("reuse", False),
            ),
            run_config=tune.RunConfig(name="search", storage_path=str(folder), verbose=0),
        )
    results = tuner.fit()
    metrics = [results[number].metrics for number in range(len(results))]
    designs = [found.get("design") if found else None for found in metrics]
    (folder / "designs.json").write_text(json.dumps(designs), encoding="utf-8")


if __name__ == "__main__":
    main()
