"""One retraining: design + images + seed -> row, resumable from its checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from results.counted import counted
from results.exchange import readable
from results.row import Row
from results.store import Store
from search.recording import keep_recipe, record, running_row
from search.retraining_watch import PICTURE, RetrainingWatch, say
from search.retraining_words import why_not_trained
from search_space import AttentionDesign, Layered
from trainers import Outcome, imagenet
from trainers.environment import hardware
from trainers.factories import versioned
from trainers.imagenet import Execution, ImageSet, RetrainRecipe
from trainers.imagenet import retrain as train
from trainers.model_facts import WEIGHTS


def retrain(
    design: AttentionDesign | Layered,
    images: ImageSet,
    *,
    store: Store,
    backbone: str = "resnet50",
    image_size: int = 224,
    recipe: RetrainRecipe | None = None,
    seed: int = 0,
    output: Path,
    execution: Execution | None = None,
    tensorboard: bool = False,
    retry_failed: bool = False,
    stop: Callable[[], bool] = lambda: False,
    begin: Callable[[], object] = lambda: None,
) -> Row:
    """The row of this retraining on `images`: trained now, a line an epoch, unless the store has it.

    A training that is interrupted gives its claim back: the same call goes on from the last checkpoint in `output`.
    `begin()` is called when it is trained; with `retry_failed` a row that failed is trained again. Where `stop()` says
    so it is saved after the update that it is at, and `trainers.imagenet.Halted` raised. Raises `UserError`,
    `DesignError` before anything is made on disk, except for what only shows in the training.
    """
    recipe, execution = recipe or RetrainRecipe(), execution or Execution()
    imagenet.check_request(design, backbone=backbone, image_size=image_size, recipe=recipe, execution=execution)
    watch = RetrainingWatch(recipe.epochs, output, tensorboard=tensorboard)

    def told(settled: Execution) -> None:
        say(
            f"{design} in {backbone}, seed {seed}: {len(images.train.labels):,} images of {images.name}, "
            f"{len(images.classes)} classes; recipe {recipe.name} ({recipe.hash}), {counted(recipe.epochs, 'epoch')}, "
            f"batch {recipe.batch_size}, rate {recipe.peak:g}; {settled.precision} on {hardware(settled.place)}"
        )

    def training() -> Outcome:
        begin()
        return train(
            design,
            images,
            backbone=backbone,
            image_size=image_size,
            recipe=recipe,
            seed=seed,
            output=output,
            execution=execution,
            stop=stop,
            on_begin=told,
            on_epoch=watch.epoch,
        )

    keep_recipe(recipe, store)
    wanted = claim_of(design, seed, images, backbone=backbone, image_size=image_size, recipe=recipe)
    if retry_failed and store.revive([wanted.identity]):
        say(f"{design}, seed {seed}: failed before, begun again from its last checkpoint")
    row, trained = record(wanted, store, training, stopped=stop)
    if not trained:
        say(readable(why_not_trained(row, output)))
    else:
        watch.end(row)
        if row.status == "complete":
            say(f"weights: {output / WEIGHTS}, curves: {output / PICTURE}")
    if row.settled:
        say(f"settled: {row.settled}")
    return row


def claim_of(
    design: AttentionDesign | Layered,
    seed: int,
    images: ImageSet,
    *,
    backbone: str,
    image_size: int,
    recipe: RetrainRecipe,
) -> Row:
    """The running row that claims a retraining."""
    context = {
        "data": images.name,
        "data_hash": images.content_hash,
        "split": imagenet.SPLIT,
        "backbone": versioned(backbone),
        "image_size": image_size,
        "num_classes": len(images.classes),
        "recipe": recipe.name,
        "recipe_hash": recipe.hash,
        "epochs": recipe.epochs,
        "schedule_epochs": recipe.epochs,
    }
    return running_row(design, seed, context, scale=recipe.scale)
