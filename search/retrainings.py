"""The retrainings of a command, one after another; of several processes the first leads and the others follow."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from results.exchange import readable
from results.row import Row
from results.store import Store
from search.budget import Stop
from search.retraining import retrain
from search.retraining_words import how_it_failed
from search_space import AttentionDesign, Layered
from trainers import imagenet
from trainers.imagenet import Halted, ImageSet
from trainers.processes import Processes


class Task(NamedTuple):
    design: AttentionDesign | Layered
    seed: int
    output: Path


def lead(
    tasks: list[Task], images: ImageSet, store: Store, processes: Processes, told: Stop, **given: Any
) -> list[Row]:
    """The rows of the tasks. `given` says how they are trained, as for `search.retraining.retrain`.

    Raises `Halted` when `told`, with what runs saved.
    """
    rows: list[Row] = []
    for task in tasks:
        if told.asked:
            break
        design, seed, output = task
        row = retrain(
            design,
            images,
            store=store,
            seed=seed,
            output=output,
            stop=lambda: told.asked,
            begin=partial(processes.share, task),
            **given,
        )
        rows.append(row)
        if row.status == "failed":
            print(readable(how_it_failed(row), keep="\n"), file=sys.stderr)
    processes.share(None)
    if told.asked and len(rows) < len(tasks):
        raise Halted
    return rows


def follow(images: ImageSet, processes: Processes, told: Stop, **given: Any) -> None:
    """Train what the first process begins, with it, until it has nothing more."""
    while (task := processes.share(_NOTHING)) is not None:
        design, seed, output = task
        imagenet.retrain(design, images, seed=seed, output=output, stop=lambda: told.asked, **given)


_NOTHING: Task | None = None
