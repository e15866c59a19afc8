"""What a retraining would come to, before it begins: nothing is written, and a few updates are really made."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from results.counted import counted
from results.store import Store
from search.dry_run import free
from search.retraining import claim_of
from search.retrainings import Task
from search.wording import duration, size
from search_space.errors import UserError
from trainers import imagenet
from trainers.image_set import Part, Subset
from trainers.imagenet import Execution, ImageSet, RetrainRecipe
from trainers.keeping import LAST
from trainers.model_facts import WEIGHTS

_UPDATES = 5  # the first, which chooses kernels and starts the workers, does not count
_MEASURED = 512  # images of val


def ahead(
    tasks: Sequence[Task],
    images: ImageSet,
    store: Store,
    *,
    backbone: str,
    image_size: int,
    recipe: RetrainRecipe,
    execution: Execution,
) -> dict[str, Any]:
    """As JSON values. An interrupted training counts from its start. Raises `UserError`."""
    if execution.processes.world > 1:
        raise UserError("--dry-run measures one process; give it without torchrun: N take an Nth of its time at least.")
    given: dict[str, Any] = {"backbone": backbone, "image_size": image_size, "recipe": recipe}
    rows = (store.get(claim_of(task.design, task.seed, images, **given).identity) for task in tasks)
    left = [task for task, row in zip(tasks, rows, strict=True) if row is None]
    designs = list(dict.fromkeys(str(task.design) for task in tasks))
    found: dict[str, Any] = {"designs": designs, "trainings": len(tasks), "left": len(left), "measured": None}
    if not left:
        return found
    measured = _tried(left[0], images, execution, **given)
    updates = len(images.train.labels) // recipe.batch_size
    epoch = updates * measured["update_seconds"] + len(images.val.labels) * measured["val_image_seconds"]
    disk = measured["checkpoint_bytes"] * (max(1, execution.keep) + 1) + measured["weights_bytes"]  # and the best
    return found | {
        "measured": measured,
        "seconds_each": recipe.epochs * epoch,
        "seconds": recipe.epochs * epoch * len(left),
        "disk_bytes_each": disk,
        "disk_bytes": disk * len(left),
        "free_bytes": free(left[0].output),
    }


def _tried(
    task: Task, images: ImageSet, execution: Execution, *, recipe: RetrainRecipe, **given: Any
) -> dict[str, Any]:
    """A training of one epoch on a few of the images, in a folder that does not stay."""
    updates = min(_UPDATES, len(images.train.labels) // recipe.batch_size)
    train, val = _some(images.train, updates * recipe.batch_size), _some(images.val, _MEASURED)
    ticks: list[float] = []

    def tick() -> bool:
        ticks.append(time.perf_counter())
        return False

    with tempfile.TemporaryDirectory() as folder:
        done = imagenet.retrain(
            task.design,
            replace(images, train=train, val=val),
            recipe=replace(recipe, epochs=1),
            output=Path(folder),
            execution=execution,
            stop=tick,
            **given,
        )
        if done.status != "complete":
            cause = str(done.error).strip().rpartition("\n")[2]
            raise UserError(f"a short training of {task.design} failed ({done.failure}): {cause}")
        checkpoint, weights = ((Path(folder) / name).stat().st_size for name in (LAST, WEIGHTS))
    update = float(median(np.diff(ticks[:updates]))) if updates > 1 else done.seconds
    return {
        "design": str(task.design),
        "precision": done.precision,
        "hardware": done.hardware,
        "updates": updates,
        "update_seconds": update,
        "images_per_second": recipe.batch_size / update,
        "val_image_seconds": (ticks[-1] - ticks[updates - 1]) / len(val.labels),
        "checkpoint_bytes": checkpoint,
        "weights_bytes": weights,
    }


def _some(part: Part, most: int) -> Part:
    """At most so many of its images, spread over all; of none asked for all, that a training refuses it itself."""
    count = len(part.labels)
    return Subset(part, np.arange(most, dtype=np.int64) * count // most) if 0 < most < count else part


def lines(found: dict[str, Any]) -> list[str]:
    """For people."""
    what = f"{counted(found['trainings'], 'training')} of {counted(len(found['designs']), 'design')}"
    there = f"{what}, {found['trainings'] - found['left']:,} in the storage already, {found['left']:,} left"
    measured = found["measured"]
    if measured is None:
        return [f"{there}: nothing is left to train"]
    return [
        f"{there}: about {duration(found['seconds'])}, {duration(found['seconds_each'])} each",
        f"measured: {counted(measured['updates'], 'update')} of {measured['design']} in {measured['precision']} on "
        f"{measured['hardware']}: {measured['images_per_second']:.3g} images/s, and "
        f"{1 / measured['val_image_seconds']:.3g} of val",
        f"disk: about {size(found['disk_bytes_each'])} of checkpoints and weights each, {size(found['disk_bytes'])} in "
        f"all; {size(found['free_bytes'])} free",
    ]
