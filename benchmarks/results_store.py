"""A storage of many rows of realistic size, made in seconds: what benchmarks/results.py asks.

    python -m benchmarks.results_store FILE [--rows 100000]

The default space's designs in seven contexts, one seed to several, a record of the curve an epoch; of 100 rows some 2
have failed, 8 were stopped at a rung, a few run. The accuracies are drawn, not trained: effect a design, luck a seed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from results import open_store
from results.row import Row
from results.schema import LAST_SEQ
from results.table import EVALUATIONS, META, STUDIES, to_cells
from search_space import Space

VERSIONS = {"python": "3.11.7", "torch": "2.9.0", "timm": "1.0.22", "numpy": "2.3.4", "PyWavelets": "1.9.0"}
VERSIONS |= {"fvcore": "0.1.5.post20221221", "optuna": "5.0.0"}
BEGAN = 1.76e9  # unix seconds
BATCH = 5_000


def digest(*words: object) -> str:
    return hashlib.sha256(" ".join(map(str, words)).encode()).hexdigest()


def contexts() -> list[dict[str, Any]]:
    return [
        {
            "data": data,
            "data_hash": digest(data)[:16],
            "split": "validation",
            "backbone": backbone,
            "image_size": 32,
            "num_classes": 100,
            "recipe": "proxy",
            "recipe_hash": digest(backbone, epochs)[:16],
            "schedule_epochs": epochs,
        }
        for data, backbone, epochs in (
            *(("cifar100", "resnet20", 10), ("cifar100", "resnet20", 30), ("cifar100", "resnet56", 10)),
            *(("folder:tiny-imagenet-100", "resnet20", 10), ("folder:tiny-imagenet-100", "resnet56", 10)),
            *(("cifar100", "resnet8", 5), ("folder:tiny-imagenet-100", "resnet8", 5)),
        )
    ]


def rows(number: int, random: np.random.Generator) -> Iterator[Row]:
    """Distinct evaluations: a design in a context, then the next; seeds as often as it takes."""
    designs = list(Space().distinct())
    keys = [design.key for design in designs]
    effects = random.normal(0.62, 0.02, len(designs))
    places = contexts()
    made = 0
    for seed in range(number):
        for index in random.permutation(len(designs)).tolist():
            where = int(random.integers(len(places)))
            yield _row(
                str(designs[index]), keys[index], places[where], where, seed, float(effects[index]), random, made
            )
            made += 1
            if made == number:
                return


def _row(
    text: str,
    key: str,
    place: dict[str, Any],
    where: int,
    seed: int,
    effect: float,
    random: np.random.Generator,
    n: int,
) -> Row:
    backbone = place["backbone"]
    luck = float(random.normal(0, 0.006))
    dice = float(random.random())
    status = "failed" if dice < 0.02 else "stopped" if dice < 0.1 else "running" if dice < 0.1001 else "complete"
    epochs = place["schedule_epochs"] if status != "stopped" else max(1, place["schedule_epochs"] // 3)
    accuracy = min(1.0, max(0.0, effect + 0.03 * where / 6 + luck))
    measured = status in ("complete", "stopped")
    curve = [
        {
            "epoch": float(epoch),
            "train_loss": 4.6 / epoch**0.5 + luck,
            "loss": 4.2 / epoch**0.5,
            "accuracy": accuracy * epoch / epochs,
        }
        for epoch in range(1, epochs + 1)
    ]
    seconds = float(random.gamma(40, 1.5))
    return Row(
        **place,
        epochs=epochs,
        network_key=f"{backbone}@{place['image_size']}px/{place['num_classes']}: {key} | {key} | {key}",
        seed=seed,
        key=key,
        design=text,
        status=status,
        failure="oom" if status == "failed" else None,
        error="Traceback (most recent call last):\n" + "  File ..., line 1\n" * 20 if status == "failed" else None,
        accuracy=accuracy if measured else None,
        loss=4.2 * (1 - accuracy) if measured else None,
        curves=curve if measured else [],
        macs=40_500_000 + int(digest(key)[:5], 16),
        macs_convention="layers+squeeze",
        params=270_000 + int(digest(key)[5:9], 16),
        seconds=seconds if status != "running" else None,
        peak_memory_bytes=int(random.integers(1, 4)) * 2**29,
        precision="bfloat16",
        hardware="AMD EPYC 9655P 96-Core Processor, 1 threads",
        versions=VERSIONS,
        commit="eaa5da919227",
        owner=f"worker{n % 8}:{4000 + n % 8}:171",
        heartbeat=BEGAN + n,
        started=BEGAN + n,
        finished=BEGAN + n + seconds if status != "running" else None,
        study=digest("study", where)[:32],
        latency_seconds=float(random.gamma(40, 1e-4)),
        epochs_trained=float(epochs),
        progress=float(epochs),
    )


def make(path: Path, number: int) -> None:
    """Write the storage; a file that is there is written anew."""
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)
    random = np.random.default_rng(0)
    with open_store(f"sqlite:///{path}") as store:
        made = rows(number, random)
        seq = 0
        while batch := list(islice(made, BATCH)):
            cells = []
            for row in batch:
                seq += row.status != "running"
                cells.append(to_cells(row) | {"seq": seq if row.status != "running" else 0})
            with store.turn() as turn:
                turn.connection.execute(sa.insert(EVALUATIONS), cells)
        with store.turn() as turn:
            turn.connection.execute(sa.update(META).where(META.c.name == LAST_SEQ).values(value=str(seq)))
            studies = [
                {
                    "id": digest("study", where)[:32],
                    "name": f"study-{where}",
                    "config": place,
                    "config_hash": "",
                    "created": BEGAN,
                }
                for where, place in enumerate(contexts())
            ]
            turn.connection.execute(sa.insert(STUDIES), studies)


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.results_store", description=__doc__)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--rows", type=int, default=100_000)
    options = arguments.parse_args()
    began = time.monotonic()
    make(options.file, options.rows)
    size = options.file.stat().st_size / 2**20
    print(json.dumps({"rows": options.rows, "MiB": round(size), "seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    main()
