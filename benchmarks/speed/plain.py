"""What a good engineer writes plainly today for the same trials: PIL images through torchvision in a `DataLoader` with
workers, eager PyTorch. Of attnas it takes the network, the images and the recipe's numbers; `plain_tune` runs it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from search_space import AttentionDesign
from trainers.backbones import initialised
from trainers.data import ImageData, Split
from trainers.recipe import Recipe
from trainers.timm_import import prepare

prepare()
from torchvision import transforms  # noqa: E402

CPU = torch.device("cpu")


class Form(NamedTuple):
    """How a network computes: bfloat16 is autocast."""

    precision: str
    layout: str

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.layout == "channels_last" else torch.contiguous_format

    def autocast(self, device: torch.device) -> Any:
        return torch.autocast(device.type, torch.bfloat16) if self.precision == "bfloat16" else nullcontext()

    def __str__(self) -> str:
        return f"{self.precision} {self.layout}"


FORMS = (Form("float32", "contiguous"), Form("float32", "channels_last"), Form("bfloat16", "channels_last"))


@dataclass(frozen=True)
class Arrays:
    """Images uint8 [N, H, W, 3], as PIL takes them, and labels; mean and std of a channel in 0..1."""

    train: tuple[NDArray[np.uint8], NDArray[np.int64]]
    held_out: tuple[NDArray[np.uint8], NDArray[np.int64]]
    classes: int
    mean: list[float]
    std: list[float]
    mirrors: bool


class Images(Dataset[tuple[Tensor, int]]):
    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64], transform: Any) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def loaders(arrays: Arrays, recipe: Recipe, workers: int, *, pinned: bool = False) -> tuple[Any, Any]:
    side = arrays.train[0].shape[1]
    tensor = [transforms.ToTensor(), transforms.Normalize(arrays.mean, arrays.std)]
    random = [transforms.RandomCrop(side, padding=recipe.crop_padding)] if recipe.crop_padding else []
    random += [transforms.RandomHorizontalFlip()] if recipe.mirror and arrays.mirrors else []
    common: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0, "pin_memory": pinned}
    train = Images(*arrays.train, transforms.Compose(random + tensor))
    held_out = Images(*arrays.held_out, transforms.Compose(tensor))
    return (
        DataLoader(train, recipe.batch_size, shuffle=True, drop_last=True, **common),
        DataLoader(held_out, 500, **common),
    )


def optimiser_of(net: nn.Module, recipe: Recipe, *, fused: bool | None = None) -> torch.optim.SGD:
    groups = [
        {"params": [p for p in net.parameters() if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in net.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=1.0, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=fused)


def schedule_of(optimiser: torch.optim.Optimizer, recipe: Recipe, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """Warm-up, then linear to zero: the recipe's schedule `linear`."""

    def rate(step: int) -> float:
        position = (step + 1) / (steps + 1)
        return recipe.learning_rate * min(position / recipe.warmup, (1 - position) / (1 - recipe.warmup))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, rate)


def train_step(
    net: nn.Module, images: Tensor, labels: Tensor, optimiser: torch.optim.Optimizer, recipe: Recipe, form: Form
) -> Tensor:
    with form.autocast(images.device):
        logits = net(images.to(memory_format=form.memory_format))
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.detach()


def train(
    design: AttentionDesign,
    seed: int,
    arrays: Arrays,
    *,
    backbone: str,
    recipe: Recipe,
    form: Form,
    workers: int,
    device: torch.device = CPU,
) -> Iterator[dict[str, float]]:
    """Yields a record an epoch."""
    begin = time.perf_counter()
    side = arrays.train[0].shape[1]
    net = initialised(backbone, design, recipe, seed=seed, num_classes=arrays.classes, image_size=side)
    net = net.to(device, memory_format=form.memory_format)  # type: ignore[call-overload]
    torch.manual_seed(seed)
    batches, held_out = loaders(arrays, recipe, workers, pinned=device.type == "cuda")
    optimiser = optimiser_of(net, recipe)
    schedule = schedule_of(optimiser, recipe, recipe.epochs * len(batches))
    for epoch in range(1, recipe.epochs + 1):
        net.train()
        total = torch.zeros((), device=device)
        for images, labels in sent(batches, device):
            total += train_step(net, images, labels, optimiser, recipe, form)
            schedule.step()
        train_loss = total.item() / len(batches)
        accuracy, loss = evaluate(net, held_out, form, device)
        record = {"epoch": epoch, "train_loss": train_loss, "accuracy": accuracy, "loss": loss}
        yield record | {"seconds": time.perf_counter() - begin}


def sent(batches: Any, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    for images, labels in batches:
        yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)


@torch.inference_mode()
def evaluate(net: nn.Module, batches: Any, form: Form, device: torch.device) -> tuple[float, float]:
    net.eval()
    right, total, number = 0, 0.0, 0
    for images, labels in sent(batches, device):
        with form.autocast(device):
            logits = net(images.to(memory_format=form.memory_format)).float()
        right += int((logits.argmax(1) == labels).sum())
        total += F.cross_entropy(logits, labels, reduction="sum").item()
        number += len(labels)
    return right / number, total / number


def arrays_of(data: ImageData) -> Arrays:
    """The same images in the same parts as attnas has them, decoded and resized already."""

    def part(split: Split) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        return np.ascontiguousarray(split.images.permute(0, 2, 3, 1).numpy()), split.labels.numpy()

    mean, std = data.mean.tolist(), data.std.tolist()
    return Arrays(part(data.train), part(data.validation), data.num_classes, mean, std, data.flip)
