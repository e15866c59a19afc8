"""Retraining: one design in a backbone on images at full size, with a checkpoint an epoch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch

from search_space import AttentionDesign, Layered, UserError
from search_space.sites import check
from trainers import model_facts
from trainers.backbones import initialised, sites
from trainers.checkpoint import Checkpoint, damaged, own_folder, write
from trainers.environment import pick_device
from trainers.factories import versioned
from trainers.image_batches import Batches
from trainers.image_decode import augmenting
from trainers.image_set import ImageSet, image_set
from trainers.imagenet_recipe import RetrainRecipe
from trainers.imagenet_run import Halted, Run
from trainers.outcome import EpochReport, Epochs, Outcome, observe, settled
from trainers.precision import pick_precision
from trainers.retrained import facts_of_training
from trainers.settings import RecipeError

__all__ = ["Halted", "ImageSet", "RetrainRecipe", "check_request", "image_set", "retrain"]

SPLIT = "test"
"""A search carves its validation images from `train` and never sees `val`: for a row, `val` is the test split."""

_SMALLEST_IMAGE = 8


def check_request(
    design: AttentionDesign | Layered, *, backbone: str, image_size: int, workers: int, recipe: RetrainRecipe
) -> None:
    """Everything that can be said before the images are listed. Raises `UserError`, `BackboneError`, `DesignError`."""
    if workers < 0:
        raise UserError(f"workers: {workers} given; allowed: 0 (decode in the training process) or more.")
    if image_size < _SMALLEST_IMAGE:
        raise UserError(f"image size: {image_size} given; allowed: {_SMALLEST_IMAGE} pixels or more.")
    for size in {image_size, recipe.train_size(image_size)}:
        check(design, sites(backbone, size, design))
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
    workers: int = 4,
    output: Path,
    device: str | None = None,
    precision: str = "auto",
    most_corrupt: int = 0,
    stop: Callable[[], bool] = lambda: False,
    on_epoch: EpochReport | None = None,
) -> Outcome:
    """Train `design` in `backbone` on the set's `train` images and measure it on its `val` images after every epoch.

    `output/last.pt` holds the training after the last finished epoch: the same call goes on from it, to the same
    weights (bit for bit where the device is deterministic, as a CPU is). At the end `output/model.pt` holds the state
    dict of `backbone(..., scale=recipe.scale, gate_start=recipe.gate_start)`, on the CPU, and `output/model.json` says
    what it is. Order and augmentation depend on seed and epoch, not on `workers`. Up to `most_corrupt` images that
    can't be read are left out; each epoch's record then says how many. `on_epoch` is called after the epoch's
    checkpoint.

    A training that turns NaN, runs out of memory or raises comes back as a failed outcome with its class and
    traceback; a user's error (impossible design, corrupt image, checkpoint of another run) and Ctrl-C are raised. Where
    `stop()` is true after an update, the training is saved at that and `Halted` raised.
    """
    recipe = recipe or RetrainRecipe()
    check_request(design, backbone=backbone, image_size=image_size, workers=workers, recipe=recipe)
    if len(images.train.labels) < recipe.batch_size:
        given = f"{recipe.batch_size} with {len(images.train.labels)} training images of {images.name}"
        raise UserError(f"batch size: {given}; allowed: at most the number of images.")
    place = pick_device(device)
    identity = _identity(design, images, backbone, image_size, recipe, seed)
    with own_folder(output):
        saved = Checkpoint.load(output / "last.pt", identity)
        chosen = _precision(precision, place, saved, output)
        facts = facts_of_training(
            design,
            images,
            backbone=backbone,
            image_size=image_size,
            recipe=recipe,
            seed=seed,
            identity=identity,
            precision=chosen,
            device=place,
        )
        model_facts.write(output, facts)
        earlier = [] if saved is None else saved.curves
        seconds_before = 0.0 if saved is None else saved.spent

        def training() -> Epochs:
            batches = Batches(
                images,
                recipe,
                image_size=image_size,
                seed=seed,
                workers=workers,
                pinned=place.type == "cuda",
                most_corrupt=most_corrupt,
            )
            net = initialised(
                backbone,
                design,
                recipe,
                seed=seed,
                num_classes=len(images.classes),
                image_size=image_size,
                drop_path=recipe.drop_path,
            )
            run = Run(net, batches, recipe=recipe, seed=seed, device=place, precision=chosen, stop=stop)
            if saved is not None:
                _restore(run, saved, output / "last.pt")
            curves = list(earlier)
            try:
                for record in run.epochs(len(curves) + 1):
                    curves.append(record)
                    run.checkpoint(identity, curves).save(output / "last.pt")
                    yield record
            except Halted:
                run.checkpoint(identity, curves).save(output / "last.pt")
                raise
            except Exception:
                if stop():  # a signal to all processes may end a worker first: the last checkpoint stands
                    raise Halted from None
                raise
            write(output / "model.pt", {name: value.cpu() for name, value in run.measured.state_dict().items()})
            model_facts.write(output, facts, curves)
            return settled(design, run.measured)

        return observe(
            training,
            split=SPLIT,
            precision=chosen,
            device=place,
            on_epoch=on_epoch,
            earlier=earlier,
            seconds_before=seconds_before,
        )


def _identity(
    design: AttentionDesign | Layered,
    images: ImageSet,
    backbone: str,
    image_size: int,
    recipe: RetrainRecipe,
    seed: int,
) -> str:
    """What makes two trainings one. Not the workers and not the device: they change no image."""
    data = f"{images.name} ({images.content_hash[:24]}, {len(images.classes)} classes)"
    trained = (
        f"recipe {recipe.name} {recipe.hash}, {recipe.epochs} epochs, batch {recipe.batch_size}, peak {recipe.peak:g}"
    )
    return f"{design} in {versioned(backbone)} at {image_size} px on {data}, {trained}, seed {seed}"


def _precision(wanted: str, place: torch.device, saved: Checkpoint | None, output: Path) -> str:
    """That of the checkpoint: `auto` measures, and could choose another one in the middle of a training."""
    if saved is None:
        return pick_precision(wanted, place)
    if wanted not in ("auto", saved.precision):
        raise UserError(
            f"precision: {wanted!r} given, but {output / 'last.pt'} was trained in {saved.precision}. "
            f"Give --precision {saved.precision} or auto to go on with it, or another --output."
        )
    return saved.precision


def _restore(run: Run, saved: Checkpoint, path: Path) -> None:
    try:
        run.restore(saved)
    except (RuntimeError, ValueError, KeyError) as error:  # the right name on what another version made
        raise damaged(path, error) from error
    part = f" and {saved.updates} of {run.steps_an_epoch} updates of the next" if saved.updates else ""
    print(f"going on after epoch {saved.epoch} of {run.recipe.epochs}{part}, from {path}", file=sys.stderr)
