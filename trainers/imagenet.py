"""Retraining: one design in a backbone on images at full size, with a checkpoint an epoch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch

from search_space import AttentionDesign, DesignError, Layered, UserError
from search_space.sites import check
from trainers.backbones import sites
from trainers.checkpoint import Checkpoint, damaged, own_folder
from trainers.execution import Execution
from trainers.image_batches import Batches
from trainers.image_decode import augmenting
from trainers.image_set import ImageSet, image_set
from trainers.imagenet_recipe import RetrainRecipe
from trainers.imagenet_run import Halted, Run
from trainers.keeping import LAST, Keeper
from trainers.outcome import EpochReport, Epochs, Outcome, observe, settled
from trainers.processes import failing_as_one_of
from trainers.retrained import facts_of_training
from trainers.settings import RecipeError
from trainers.training import Training

__all__ = ["Execution", "Halted", "ImageSet", "RetrainRecipe", "check_request", "image_set", "retrain"]

SPLIT = "test"
"""A search carves its validation images from `train` and never sees `val`: for a row, `val` is the test split."""

_SMALLEST_IMAGE = 8


def check_request(
    design: AttentionDesign | Layered, *, backbone: str, image_size: int, recipe: RetrainRecipe, execution: Execution
) -> None:
    """Everything that can be said before the images are listed. Raises `UserError`, `BackboneError`, `DesignError`."""
    execution.check(recipe)
    if image_size < _SMALLEST_IMAGE:
        raise UserError(f"image size: {image_size} given; allowed: {_SMALLEST_IMAGE} pixels or more.")
    for size, does in {image_size: "measures", recipe.train_size(image_size): "trains"}.items():
        try:
            check(design, sites(backbone, size, design))
        except DesignError as error:
            where = f"{backbone} at {size} px, where recipe {recipe.name} {does}"
            raise DesignError(f"{design} in {where}: {error}") from error
    try:
        augmenting(recipe, image_size)
    except (AssertionError, ValueError, KeyError) as error:  # what timm raises
        raise RecipeError(
            f"recipe {recipe.name}, auto_augment: {recipe.auto_augment!r} is none of timm's: {error}"
        ) from error


def retrain(
    design: AttentionDesign | Layered,
    images: ImageSet,
    *,
    backbone: str = "resnet50",
    image_size: int = 224,
    recipe: RetrainRecipe | None = None,
    seed: int = 0,
    output: Path,
    execution: Execution | None = None,
    stop: Callable[[], bool] = lambda: False,
    on_begin: Callable[[Execution], object] = lambda _: None,
    on_epoch: EpochReport | None = None,
) -> Outcome:
    """Train `design` in `backbone` on the set's `train` images and measure it on its `val` images after every epoch.

    `output/last.pt` holds the training after the last finished epoch: the same call goes on from it, to the same
    weights (bit for bit where the device is deterministic, as a CPU is, and the processes are as many as before). At
    the end `output/model.pt` holds the state dict of `backbone(..., scale=recipe.scale, gate_start=recipe.gate_start)`,
    on the CPU, and `output/model.json` says what it is. Order, crops and whatever is done to one image depend on seed
    and epoch, not on workers and processes; Mixup and CutMix on its batch as well. `best.pt` and `epoch-*.pt` are
    checkpoints as `last.pt`: see `trainers.keeping`. Where images were left out, each epoch's record says how many.
    `on_begin` is told how it is carried out, with device and precision settled; `on_epoch` is called after the epoch's
    checkpoint.

    A training that turns NaN, runs out of memory or raises comes back as a failed outcome with its class and
    traceback; a user's error (impossible design, corrupt image, checkpoint of another run, a process that was lost) and
    Ctrl-C are raised. Where `stop()` is true after an update, the training is saved at that and `Halted` raised.

    Of several processes each has to make the same call; the first alone writes. What one of them alone runs into ends
    the call in all of them, and is raised as `ProcessError`.
    """
    recipe, execution = recipe or RetrainRecipe(), execution or Execution()
    check_request(design, backbone=backbone, image_size=image_size, recipe=recipe, execution=execution)
    training = Training(
        design=design, images=images, backbone=backbone, image_size=image_size, recipe=recipe, seed=seed
    )
    processes = execution.processes

    def heard(record: dict[str, float]) -> None:
        with failing_as_one_of(processes):
            if on_epoch is not None:
                on_epoch(record)

    with own_folder(output) if processes.first else nullcontext(), execution.prepared():
        saved = processes.once(lambda: Checkpoint.load(output / LAST, training.identity))
        execution = execution.settled(_saved_precision(execution.precision, saved, output))
        on_begin(execution)
        facts = facts_of_training(training, execution)
        kept = Keeper(output, training.identity, facts, keep=execution.keep, writes=processes.first)
        kept.begin(saved)
        outcome = observe(
            lambda: _epochs(training, execution, kept, saved, stop),
            split=SPLIT,
            precision=execution.precision,
            device=execution.place,
            on_epoch=heard,
            earlier=[] if saved is None else saved.curves,
            seconds_before=0.0 if saved is None else saved.spent,
        )
    return replace(outcome, hardware=f"{processes.world} x {outcome.hardware}") if processes.world > 1 else outcome


def _epochs(
    training: Training, execution: Execution, kept: Keeper, saved: Checkpoint | None, stop: Callable[[], bool]
) -> Epochs:
    """From where it was saved to its end, with a checkpoint before each record."""
    with failing_as_one_of(execution.processes):
        recipe, seed = training.recipe, training.seed
        batches = Batches(training.images, recipe, image_size=training.image_size, seed=seed, execution=execution)
        run = Run(training.network(), batches, recipe=recipe, seed=seed, execution=execution, stop=stop)
        curves: list[dict[str, float]] = []
        if saved is not None:
            _restore(run, saved, kept.folder / LAST)
            curves += saved.curves
        try:
            for record in run.epochs(len(curves) + 1):
                curves.append(record)
                kept.now(run, curves)
                yield record
        except Halted:
            kept.now(run, curves)
            raise
        kept.end(run, curves)
        return settled(training.design, run.measured)


def _saved_precision(wanted: str, saved: Checkpoint | None, output: Path) -> str | None:
    """That of the checkpoint: `auto` measures, and could choose another one in the middle of a training."""
    if saved is None:
        return None
    if wanted not in ("auto", saved.precision):
        raise UserError(
            f"precision: {wanted!r} given, but {output / LAST} was trained in {saved.precision}. "
            f"Give --precision {saved.precision} or auto to go on with it, or another --output."
        )
    return saved.precision


def _restore(run: Run, saved: Checkpoint, path: Path) -> None:
    try:
        run.restore(saved)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, KeyError) as error:  # the right name on what another version made
        raise damaged(path, error) from error
    part = f" and {saved.updates} of {run.steps_an_epoch} updates of the next" if saved.updates else ""
    part = " and all of the next, to be measured" if saved.updates == run.steps_an_epoch else part
    if not run.processes.first:
        return
    before, now = (saved.curves[-1].get("norm_batch") if saved.curves else None), run.norm_batch
    if before not in (None, now):
        print(f"batch norm sees {now} images together from here on, and saw {before:.0f} before", file=sys.stderr)
    print(f"going on after epoch {saved.epoch} of {run.recipe.epochs}{part}, from {path}", file=sys.stderr)
