"""The trainer's loop beside forward, backward and step alone on prepared batches: what it costs, and equal losses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice, pairwise
from statistics import mean

import torch
from torch import Tensor, nn

from benchmarks.speed.clock import alternated, ratios
from benchmarks.speed.plain import CPU, Form, optimiser_of, train_step
from benchmarks.speed.scale import Scale
from benchmarks.tables import figures, middle_half, table
from search_space import AttentionDesign
from trainers.augment import augment, normalise
from trainers.backbones import initialised
from trainers.data import ImageData, Split, load_data
from trainers.fuse import fuse
from trainers.fused_native import native
from trainers.outcome import Effort
from trainers.proxy_run import Run, steps_an_epoch
from trainers.recipe import PROXY, Recipe
from trainers.way import Way

WAYS = tuple(
    Way(precision, layout, fused)
    for precision, layout in (("float32", "contiguous"), ("float32", "channels_last"), ("bfloat16", "channels_last"))
    for fused in (False, True)
)
OTHER = {"contiguous": "channels_last", "channels_last": "contiguous"}
FIRST = 5  # steps, in which rounding has not been blown up yet: after 20 it is the same in both formats
ROUNDINGS = 6
"""Trainings that differ from the plain one by rounding alone, to see how far that takes a curve of losses."""
ALLOWED = 3.0
"""Times the farthest of them. Of distances that are normal, one in 380 is farther."""

_RECIPE = PROXY.changed(epochs=3)


@dataclass(frozen=True)
class Task:
    data: ImageData
    backbone: str
    design: AttentionDesign
    recipe: Recipe = _RECIPE
    seed: int = 0

    def network(self) -> nn.Module:
        size, classes = self.data.image_size, self.data.num_classes
        options = {"seed": self.seed, "num_classes": classes, "image_size": size}
        return initialised(self.backbone, self.design, self.recipe, **options)

    def run(self, way: Way, device: torch.device = CPU) -> Run:
        options = {"recipe": self.recipe, "seed": self.seed, "device": device, "way": way}
        return Run(self.network(), self.data, self.data.validation, **options, on_step=None, effort=Effort())

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """What a run's network sees, from the same random numbers in the same order."""
        random, train = torch.Generator().manual_seed(self.seed), self.data.train
        size, mirror = self.recipe.batch_size, self.recipe.mirror and self.data.flip
        while True:
            order = torch.randperm(len(train.labels), generator=random)
            for batch in order[: steps_an_epoch(self.data, self.recipe) * size].split(size):
                pad = self.recipe.crop_padding
                images = augment(train.images[batch], pad=pad, flip=mirror, generator=random)
                yield normalise(images, self.data.mean, self.data.std), train.labels[batch]


def few(data: ImageData, number: int) -> ImageData:
    """The first images of the training split, for training and for evaluation."""
    split = Split(data.train.images[:number], data.train.labels[:number])
    return replace(data, train=split, validation=split)


class Bare:
    """Forward, backward, step; `fused` blocks if the way says so."""

    def __init__(self, task: Task, way: Way, rounding: int = 0) -> None:
        self.recipe, self.form = task.recipe, Form(way.precision, way.layout)
        self.net = task.network().train().to(memory_format=way.memory_format)  # type: ignore[call-overload]
        if rounding:
            round_otherwise(self.net, way.precision, rounding)
        if way.fused:
            fuse(self.net, native)
        self.optimiser = optimiser_of(self.net, task.recipe, fused=True)  # the trainer's

    def step(self, images: Tensor, labels: Tensor, rate: float) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        return train_step(self.net, images, labels, self.optimiser, self.recipe, self.form).item()


@torch.no_grad()
def round_otherwise(net: nn.Module, precision: str, seed: int) -> None:
    """Every weight off by up to the unit roundoff of the number format."""
    generator = torch.Generator().manual_seed(seed)
    roundoff = torch.finfo(getattr(torch, precision)).eps / 2
    for weight in net.parameters():
        weight.mul_(1 + roundoff * (2 * torch.rand(weight.shape, generator=generator) - 1))


def section(scale: Scale) -> str:
    torch.set_num_threads(1)
    backbones = ("resnet8",) if scale.small else ("resnet8", "resnet20")
    data = load_data("synthetic")
    if scale.small:
        data = few(data, 640)
    tasks = [Task(data, name, AttentionDesign.parse("avg/mlp-r4")) for name in backbones]
    ways = [way for way in WAYS if not scale.small or (way.layout == "channels_last" and not way.fused)]
    costs, curves = [], []
    for task in tasks:
        for way in ways:
            scale.say(f"loop: {task.backbone}, {way}")
            costs.append([task.backbone, str(way), *cost(task, way, scale)])
        curves += agreement(task, ways, steps=5 if scale.small else steps_an_epoch(data, task.recipe) - 1)
    head = ["network", "way", "bare, ms", "attnas, ms", "ratio, wall", "ratio, processor"]
    kinds = ["network", "way", f"largest of the first {FIRST}", "rounding alone"]
    kinds += ["mean of the last quarter", "rounding alone", ""]
    return f"""## The training loop

`trainers.proxy_run.Run`, which takes its batches from the images in memory, crops, mirrors and normalises them, sets
the rate and adds up the loss, beside nothing but forward, backward and step on batches that lie ready, in the same way
(number format, layout, fused or not). With `avg/mlp-r4`, batch {PROXY.batch_size}, one thread; blocks of
{_steps(scale)} steps in turn, n = {_rounds(scale)}; median (quartiles) of a step. Wanted: a ratio of 1.05 or less.

{scale.where("timm")}

{table(head, costs)}

Losses of the trainer on the batches of the first epoch, less those of the bare loop, eager, in the plain trial's
arithmetic: float32 contiguous, or bfloat16 channels_last. Rounding grows from step to step in any training; *rounding
alone* is the farthest of {ROUNDINGS} bare loops that differ by nothing else: one in another layout, the others with
weights that are off by the unit roundoff of the format. A way agrees if the largest of the first {FIRST} differences
and the difference of the means of the last quarter are at most {ALLOWED:.0f} times as large as that.

{table(kinds, curves)}
"""


def _steps(scale: Scale) -> int:
    return 1 if scale.small else 8


def _rounds(scale: Scale) -> int:
    return 2 if scale.small else 4 * scale.repeats


def cost(task: Task, way: Way, scale: Scale) -> list[str]:
    number = _steps(scale)
    run = task.run(way)
    run.steps_an_epoch = 10**9  # no epoch ends, so nothing is measured in between
    bare = Bare(task, way)
    form = way.memory_format
    ready = cycle([(x.contiguous(memory_format=form), y) for x, y in islice(task.batches(), number)])

    def ours() -> None:
        list(run.train_to(run.step + number))

    def theirs() -> None:
        for images, labels in islice(ready, number):
            bare.step(images, labels, 0.01)

    times = alternated({"ours": ours, "bare": theirs}, _rounds(scale))
    milliseconds = {side: [1000 * seconds / number for seconds in times[side].wall] for side in times}
    by_wall, by_cpu = (ratios(getattr(times["ours"], kind), getattr(times["bare"], kind)) for kind in ("wall", "cpu"))
    return [middle_half(values) for values in (milliseconds["bare"], milliseconds["ours"], by_wall, by_cpu)]


def agreement(task: Task, ways: list[Way], steps: int) -> list[list[str]]:
    """A row for every way: how far its losses are from those of the plain arithmetic, and how far rounding takes it."""
    rows = []
    for precision in dict.fromkeys(way.precision for way in ways):
        plain = Way(precision, "contiguous" if precision == "float32" else "channels_last")
        true = bare_losses(task, plain, steps)
        rounded = [distances(losses, true) for losses in rounded_losses(task, plain, steps)]
        first, last = (max(abs(one[which]) for one in rounded) for which in (0, 1))
        for way in [way for way in ways if way.precision == precision]:
            found = distances(run_losses(task, way, steps), true)
            agrees = found[0] <= ALLOWED * first and abs(found[1]) <= ALLOWED * last
            numbers = [figures(found[0]), figures(first), f"{found[1]:+.1g}", figures(last)]
            rows.append([task.backbone, str(way), *numbers, "agrees" if agrees else "DIFFERS"])
    return rows


def rounded_losses(task: Task, plain: Way, steps: int) -> Iterator[list[float]]:
    """Of trainings that differ from the plain one by rounding alone."""
    yield bare_losses(task, replace(plain, layout=OTHER[plain.layout]), steps)
    for seed in range(1, ROUNDINGS):
        yield bare_losses(task, plain, steps, rounding=seed)


def distances(losses: list[float], true: list[float]) -> tuple[float, float]:
    """The largest in the first steps; the difference of the means of the last quarter."""
    quarter = max(1, len(true) // 4)
    first = max(abs(one - other) for one, other in zip(losses[:FIRST], true[:FIRST], strict=True))
    return first, mean(losses[-quarter:]) - mean(true[-quarter:])


def bare_losses(task: Task, way: Way, steps: int, *, rounding: int = 0) -> list[float]:
    bare, an_epoch = Bare(task, way, rounding), steps_an_epoch(task.data, task.recipe)
    batches = enumerate(islice(task.batches(), steps))
    return [bare.step(images, labels, task.recipe.rate(step, an_epoch)) for step, (images, labels) in batches]


def run_losses(task: Task, way: Way, steps: int) -> list[float]:
    """Of steps within the first epoch."""
    run, sums = task.run(way), [0.0]
    assert steps < run.steps_an_epoch
    for step in range(steps):
        list(run.train_to(step + 1))
        sums.append(run.epoch_loss.item())
    return [after - before for before, after in pairwise(sums)]
