"""The proxy trainer: one design, one seed, one short training on images held in memory."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space import AttentionDesign, Layered, UserError
from trainers.augment import augment, normalise
from trainers.backbones import initialised
from trainers.data import ImageData, Split
from trainers.environment import pick_device
from trainers.outcome import EpochReport, Epochs, NotFiniteError, Outcome, observe, settled
from trainers.precision import autocast, memory_format, pick_precision
from trainers.recipe import PROXY, Recipe


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
    on_epoch: EpochReport | None = None,
) -> Outcome:
    """Train `design` in `backbone` on the train split of `data` and measure it on `split` (`validation` or `test`).

    A training that turns NaN, runs out of memory or raises comes back as a failed outcome with its class and
    traceback; a user's error (impossible design, unknown backbone) and Ctrl-C are raised.
    """
    held_out = _held_out(data, split)
    if len(data.train.labels) < recipe.batch_size:
        given = f"{len(data.train.labels)} training images of {data.name}"
        raise UserError(
            f"batch size: {recipe.batch_size} with {given}; allowed: at most the number of images (--set batch_size=N)."
        )
    place = pick_device(device)
    chosen = pick_precision(precision, place)

    def training() -> Epochs:
        net = initialised(backbone, design, recipe, seed=seed, num_classes=data.num_classes, image_size=data.image_size)
        yield from _Run(net, data, held_out, recipe=recipe, seed=seed, device=place, precision=chosen).epochs()
        return settled(design, net)

    return observe(training, split=split, precision=chosen, device=place, on_epoch=on_epoch)


def _held_out(data: ImageData, split: str) -> Split:
    if split == "validation":
        return data.validation
    if split != "test" or data.test is None:
        have = "validation" if data.test is None else "validation, test"
        raise UserError(f"split: {split!r} of {data.name} asked for; there is: {have}.")
    return data.test


class _Run:
    """The state of one training."""

    def __init__(
        self,
        net: nn.Module,
        data: ImageData,
        held_out: Split,
        *,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        precision: str,
    ) -> None:
        self.recipe, self.device, self.precision = recipe, device, precision
        self.mean, self.std = data.mean.to(device), data.std.to(device)
        self.train = Split(data.train.images.to(device), data.train.labels.to(device))
        self.held_out = Split(held_out.images.to(device), held_out.labels.to(device))
        self.mirror = recipe.mirror and data.flip
        self.layout = memory_format(precision)
        self.net: nn.Module = net.to(device, memory_format=self.layout)  # type: ignore[call-overload]
        self.random = torch.Generator(device).manual_seed(seed)
        self.optimiser = torch.optim.SGD(
            parameter_groups(net, recipe.weight_decay), lr=0.0, momentum=recipe.momentum, nesterov=recipe.momentum > 0
        )
        self.steps_an_epoch = len(self.train.labels) // recipe.batch_size  # the rest is another rest next time
        self.step = 0

    def epochs(self) -> Iterator[dict[str, float]]:
        """Trains; yields a record an epoch: epoch, train_loss, accuracy, loss, learning_rate, seconds."""
        start = time.perf_counter()
        for epoch in range(1, self.recipe.epochs + 1):
            train_loss = self._train_epoch()
            accuracy, loss = self._evaluate()
            if not math.isfinite(loss):
                raise NotFiniteError(f"held-out loss is {loss} after epoch {epoch}")
            yield {
                "epoch": epoch,
                "train_loss": train_loss,
                "accuracy": accuracy,
                "loss": loss,
                "learning_rate": self.optimiser.param_groups[0]["lr"],
                "seconds": time.perf_counter() - start,
            }

    def _train_epoch(self) -> float:
        self.net.train()
        total = torch.zeros((), device=self.device)
        order = torch.randperm(len(self.train.labels), generator=self.random, device=self.device)
        for batch in order[: self.steps_an_epoch * self.recipe.batch_size].split(self.recipe.batch_size):
            total += self._train_step(self.train.images[batch], self.train.labels[batch])
        mean = total.item() / self.steps_an_epoch  # read once an epoch: each read would make an accelerator wait
        if not math.isfinite(mean):
            raise NotFiniteError(f"training loss is {mean} at step {self.step}")
        return mean

    def _train_step(self, images: Tensor, labels: Tensor) -> Tensor:
        rate = self.recipe.rate(self.step, self.steps_an_epoch * self.recipe.epochs)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        images = augment(images, pad=self.recipe.crop_padding, flip=self.mirror, generator=self.random)
        with autocast(self.precision, self.device):
            logits = self.net(self._input(images)).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.step += 1
        return loss.detach()

    @torch.inference_mode()
    def _evaluate(self) -> tuple[float, float]:
        """Accuracy and mean cross-entropy on the held-out split."""
        self.net.eval()
        right = torch.zeros((), device=self.device)
        total = torch.zeros((), device=self.device)
        for images, labels in zip(self.held_out.images.split(500), self.held_out.labels.split(500), strict=True):
            with autocast(self.precision, self.device):
                logits = self.net(self._input(images)).float()
            right += (logits.argmax(1) == labels).sum()
            total += F.cross_entropy(logits, labels, reduction="sum")
        number = len(self.held_out.labels)
        return right.item() / number, total.item() / number

    def _input(self, images: Tensor) -> Tensor:
        return normalise(images, self.mean, self.std, memory_format=self.layout)


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights decay; vectors (norms, biases) do not."""
    matrices = [parameter for parameter in net.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in net.parameters() if parameter.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
