"""The plain trials under Ray Tune, a process for each; what is asked comes as JSON, what they gave goes to a file."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from benchmarks.speed import plain
from search_space import AttentionDesign
from trainers.data import load_data
from trainers.recipe import PROXY

NUMBERS = ("accuracy", "train_loss", "seconds")


def trial(config: dict[str, Any], arrays: plain.Arrays, asked: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    records = plain.train(
        AttentionDesign.parse(config["design"]),
        config["seed"],
        arrays,
        backbone=asked["backbone"],
        recipe=PROXY.changed(**asked["recipe"]),
        form=plain.Form(*asked["form"]),
        workers=asked["loader_workers"],
    )
    for record in records:
        tune.report(record)


def main() -> None:
    asked = json.loads(sys.argv[1])
    arrays = plain.arrays_of(load_data(asked["data"], image_size=asked["image_size"]))
    ray.init(num_cpus=asked["workers"], include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trial, arrays=arrays, asked=asked), {"cpu": 1}),
        param_space={"design": tune.grid_search(asked["designs"]), "seed": tune.grid_search(asked["seeds"])},
        tune_config=tune.TuneConfig(max_concurrent_trials=asked["workers"], reuse_actors=asked["reuse"]),
        run_config=tune.RunConfig(name="plain", storage_path=asked["folder"], verbose=0),
    )
    results = tuner.fit()
    if results.errors:
        raise results.errors[0]
    trials = [result.config | {name: result.metrics[name] for name in NUMBERS} for result in results]
    Path(asked["folder"], "trials.json").write_text(json.dumps(trials))


if __name__ == "__main__":
    main()
