"""Batches of an image set: decoded in worker processes, and the same whichever process decodes an image."""

from __future__ import annotations

import hashlib
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from search_space.errors import UserError
from trainers.image_decode import ImageError, View, augmenting, central
from trainers.image_set import ImageSet, Part
from trainers.imagenet_recipe import RetrainRecipe


class Corrupt(NamedTuple):
    """An image that can't be used: what to call it, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Views(Dataset[tuple[Tensor, int] | Corrupt]):
    """Images as uint8 [3, S, S] with their classes, or what is wrong with them.

    What is random depends on the seed and the index alone, so that an image is the same in any worker process and after
    a resumption.
    """

    part: Part
    view: View
    seed: int = 0

    def __len__(self) -> int:
        return len(self.part.labels)

    def __getitem__(self, number: int) -> tuple[Tensor, int] | Corrupt:
        """A number beyond the last image is one of them once more, seen in another way."""
        index = number % len(self)
        try:
            content = self.part.read(index)
            with reproducible(derived_seed(self.seed, number)):
                return self.view(content), int(self.part.labels[index])
        except (ImageError, OSError) as error:
            # raised in a worker it would arrive wrapped in a traceback, and the loader would hang for 5 s
            return Corrupt(self.part.name(index), str(error))


def derived_seed(*parts: int) -> int:
    """A seed of 63 bits from whole numbers: neighbours get unrelated ones."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8]) >> 1


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Seed the three generators that timm's transforms draw from, and put them back."""
    state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(state)
            np.random.set_state(numpy_state)


class Batches:
    """Batches of a set at one size: images uint8 [B, 3, S, S] and labels int64 [B].

    An image that can't be read is left out of its batch, and named in `corrupt`; more than `most_corrupt` of them end
    the training.
    """

    def __init__(
        self,
        images: ImageSet,
        recipe: RetrainRecipe,
        *,
        image_size: int,
        seed: int,
        workers: int,
        pinned: bool,
        most_corrupt: int = 0,
    ) -> None:
        self.images, self.seed, self.most_corrupt = images, seed, most_corrupt
        self.corrupt: dict[str, str] = {}
        self.augment = augmenting(recipe, recipe.train_size(image_size))
        self.central = central(recipe, image_size)
        self.repeats = recipe.repeats
        self.options: dict[str, Any] = {
            "batch_size": recipe.batch_size,
            "num_workers": workers,
            "pin_memory": pinned,
            "collate_fn": _collate,
            "generator": torch.Generator(),  # else a worker's start would draw from the network's generator
            "worker_init_fn": _outlive_sigterm,
        }

    def train(self, epoch: int, skip: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Full batches in the order of (seed, epoch), augmented, after the first `skip`; the rest is another rest next
        time."""
        order = self.order(epoch)[skip * self.options["batch_size"] :]
        loader = DataLoader(self.augmented(epoch), sampler=order, drop_last=True, **self.options)
        return self._each(loader)  # a batch of which nothing can be read as well: an epoch has as many as another

    def order(self, epoch: int) -> list[int]:
        """As many numbers as there are images. Of `repeats` R the first of each R images, R times running: number + N,
        + 2 N... are the same image seen in other ways."""
        part = self.images.train
        count = len(part.labels)
        once = part.order(np.random.default_rng(derived_seed(self.seed, epoch)))[: -(-count // self.repeats)]
        return (once[:, None] + count * np.arange(self.repeats)).reshape(-1)[:count].tolist()

    def augmented(self, epoch: int) -> Views:
        """The images of `train` as this epoch shows them, by number."""
        return Views(self.images.train, self.augment, derived_seed(self.seed, epoch))

    def val(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image of `val`, central crops, in the set's order."""
        batches = self._each(DataLoader(Views(self.images.val, self.central), **self.options))
        return (batch for batch in batches if len(batch[1]))

    def _each(self, loader: DataLoader[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels, corrupt in loader:
            for name, why in corrupt:
                self._leave_out(name, why)
            yield images, labels

    def _leave_out(self, name: str, why: str) -> None:
        self.corrupt[name] = why
        if len(self.corrupt) > self.most_corrupt:
            raise UserError(_too_many(self.corrupt, self.most_corrupt))


def _outlive_sigterm(_worker: int) -> None:
    """A scheduler sends it to every process: the training saves first, and its workers end with it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _collate(samples: list[tuple[Tensor, int] | Corrupt]) -> tuple[Tensor, Tensor, list[Corrupt]]:
    good = [sample for sample in samples if not isinstance(sample, Corrupt)]
    corrupt = [sample for sample in samples if isinstance(sample, Corrupt)]
    images = torch.stack([image for image, _ in good]) if good else torch.empty(0)
    return images, torch.tensor([label for _, label in good], dtype=torch.int64), corrupt


def _too_many(corrupt: dict[str, str], allowed: int) -> str:
    named = "; ".join(f"{name}: {why}" for name, why in list(corrupt.items())[:5])
    return (
        f"{len(corrupt)} image(s) can't be read, and {allowed} may be left out (--skip-corrupt N): {named}. Repair "
        "them, or let more be left out; to remove them makes other data, which needs another --output."
    )
