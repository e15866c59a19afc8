"""The proxy trainer: one design, one seed, one short training on images held in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from search_space import AttentionDesign, Layered, UserError
from trainers.backbones import initialised
from trainers.checkpoint import Trunk
from trainers.data import VALIDATION_SPLIT, ImageData, Split
from trainers.environment import pick_device
from trainers.factories import versioned
from trainers.outcome import Effort, EpochReport, Epochs, Outcome, observe, settled
from trainers.proxy_run import Run, check_batch_size, steps_an_epoch
from trainers.recipe import PROXY, Recipe
from trainers.way import Way
from trainers.ways import pick_way

_log = logging.getLogger(__name__)


def train(
    design: AttentionDesign | Layered,
    data: ImageData,
    *,
    backbone: str = "resnet20",
    recipe: Recipe = PROXY,
    seed: int = 0,
    split: str = "validation",
    device: str | None = None,
    precision: str = "auto",
    fused: bool | None = None,
    way: Way | None = None,
    on_epoch: EpochReport | None = None,
    until: int | None = None,
    checkpoint: Path | None = None,
    on_step: Callable[[], None] | None = None,
) -> Outcome:
    """Train `design` in `backbone` on the train split of `data` and measure it on `split` (`validation` or `test`).

    `until` stops after so many epochs of a recipe with the schedule `constant`, its rate decayed to zero: the steps and
    the result of a recipe that is so long. Before that decay the training is written to `checkpoint` (not if `until` is
    the recipe's end), and a call with a larger `until` goes on from there, on a CPU to the bit as if it had never been
    measured; a checkpoint that is damaged, of another training or too far on is not used and the training begins at its
    start, with a warning in the first two cases. One that can't be written costs a warning only. So the epochs of the
    decay at the end of a shorter training are in that outcome's curves alone: the curves of a longer one hold the
    trunk's epochs, its own decay's and nothing else, those of one straight run.

    `precision` and `fused` (blocks that read their maps less often, in the same modules and weights) are chosen by
    measurement unless given: see `trainers.ways`. `way` is what was chosen already, instead of both.

    `on_step` is called before every training step and every batch of the measuring. A training that turns NaN, runs out
    of memory, loses its machine, or raises (`TrialTimeout` from `on_step`) comes back as a failed outcome with its
    class and traceback; a user's error (impossible design, unknown backbone), Ctrl-C and every BaseException that is no
    Exception are raised.
    """
    held_out = _held_out(data, split)
    check_batch_size(data, recipe)
    length = recipe if until is None else _shortened(recipe, until)
    place = pick_device(device)
    chosen = way or way_of(data, recipe, backbone=backbone, device=place, precision=precision, fused=fused)
    identity = (
        f"proxy training of {design} in {versioned(backbone)}, recipe {recipe.hash}, seed {seed}, data "
        f"{data.content_hash} at {data.image_size} px, {VALIDATION_SPLIT}, {split}, in {chosen} on {place.type}"
    )
    found = None if checkpoint is None else Trunk.load(checkpoint, identity)
    trunk_steps = length.trunk_steps(steps_an_epoch(data, recipe)) if recipe.schedule == "constant" else 0
    before = found if found is not None and found.step <= trunk_steps else None
    stopped = length.epochs < recipe.epochs
    effort = Effort()

    def training() -> Epochs:
        net = initialised(backbone, design, recipe, seed=seed, num_classes=data.num_classes, image_size=data.image_size)
        options: dict[str, Any] = {"recipe": length, "seed": seed, "device": place, "way": chosen}
        run = Run(net, data, held_out, **options, on_step=on_step, effort=effort)
        if before is not None:
            run.restore(before)
        if checkpoint is not None and stopped and (found is None or found.step < trunk_steps):
            yield from run.train_to(trunk_steps)
            _keep(run.trunk(identity), checkpoint)
        yield from run.train_to(run.steps)
        return settled(design, net)

    return observe(
        training,
        split=split,
        precision=chosen.precision,
        fused=chosen.fused,
        device=place,
        on_epoch=on_epoch,
        earlier=None if before is None else before.curves,
        seconds_before=0.0 if before is None else before.seconds,
        effort=effort,
        end="stopped" if stopped else "complete",
    )


def way_of(
    data: ImageData,
    recipe: Recipe,
    *,
    backbone: str,
    device: torch.device,
    precision: str = "auto",
    fused: bool | None = None,
    trainings: int = 1,
) -> Way:
    """How `train` carries out a training of this recipe, however early it is stopped, if a process has so many."""
    return pick_way(
        precision,
        fused,
        name=backbone,
        image_size=data.image_size,
        batch_size=recipe.batch_size,
        steps=trainings * recipe.epochs * steps_an_epoch(data, recipe),
        device=device,
    )


def _held_out(data: ImageData, split: str) -> Split:
    if split == "validation":
        return data.validation
    if split != "test" or data.test is None:
        have = "validation" if data.test is None else "validation, test"
        raise UserError(f"split: {split!r} of {data.name} asked for; there is: {have}.")
    return data.test


def _shortened(recipe: Recipe, until: int) -> Recipe:
    """The recipe of a training that ends after `until` epochs."""
    if not (isinstance(until, int) and 1 <= until <= recipe.epochs):
        raise UserError(f"until: {until!r} given; allowed: 1 to {recipe.epochs} epochs, the length of the recipe.")
    if until < recipe.epochs and recipe.schedule != "constant":
        raise UserError(
            f"until: {until} of {recipe.epochs} epochs given, but by then the rate of the schedule {recipe.schedule!r} "
            f"has not decayed; allowed: {recipe.epochs}, or the schedule 'constant' (--set schedule=constant)."
        )
    return recipe.changed(epochs=until)


def _keep(trunk: Trunk, path: Path) -> None:
    """A full disk must not cost the measurement: without a checkpoint a longer training only begins earlier."""
    try:
        trunk.save(path)
    except OSError as error:
        _log.warning("%s can't be written (%s): a longer training repeats what it would have held.", path, error)
