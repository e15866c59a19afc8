"""Batches of an image set: decoded in worker processes, and the same whichever process decodes an image."""

from __future__ import annotations

import hashlib
import math
import random
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from search_space.errors import UserError
from trainers.execution import Execution
from trainers.image_decode import ImageError, View, augmenting, central
from trainers.image_set import ImageSet, Part
from trainers.imagenet_recipe import RetrainRecipe

_T = TypeVar("_T")
Pairs = Generator[tuple[Tensor, Tensor], None, None]
"""Images and labels. Who does not come to the end closes it: workers run until then."""


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

        def seen(content: bytes) -> tuple[Tensor, int]:
            with reproducible(derived_seed(self.seed, number)):
                return self.view(content), int(self.part.labels[index])

        return used(self.part, index, seen)


def used(part: Part, index: int, use: Callable[[bytes], _T]) -> _T | Corrupt:
    """What is made of an image, or why nothing can be: raised in a loader's worker that would arrive wrapped in a
    traceback, and the loader would hang for 5 s."""
    try:
        return use(part.read(index))
    except (ImageError, OSError) as error:
        return Corrupt(part.name(index), str(error))


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

    Of the images of an update each process gets as many batches as `execution` accumulates, all of one size.

    An image that can't be read is left out and named in `corrupt`; others of its batch are then seen once more, so that
    every batch has its size. More than `most_corrupt` of them end the training, as does a batch of which none can be
    read.
    """

    def __init__(
        self,
        images: ImageSet,
        recipe: RetrainRecipe,
        *,
        image_size: int,
        seed: int,
        execution: Execution,
    ) -> None:
        self.images, self.seed, self.most_corrupt = images, seed, execution.most_corrupt
        self.batch_size, self.micro, self.processes = recipe.batch_size, execution.micro(recipe), execution.processes
        self.corrupt: dict[str, str] = {}
        self.augment = augmenting(recipe, recipe.train_size(image_size))
        self.central = central(recipe, image_size)
        self.repeats = recipe.repeats
        self.options: dict[str, Any] = {
            "num_workers": execution.workers,
            "pin_memory": execution.place.type == "cuda",
            "collate_fn": _collate,
            "generator": torch.Generator(),  # else a worker's start would draw from the network's generator
            "worker_init_fn": _outlive_signals,
        }

    @property
    def updates(self) -> int:
        """Of an epoch."""
        return len(self.images.train.labels) // self.batch_size

    def train(self, epoch: int, skip: int = 0) -> Pairs:
        """This process's batches in the order of (seed, epoch), augmented, after the first `skip` updates; the images
        that fill no update are others next time."""
        loader = DataLoader(self.augmented(epoch), batch_sampler=self.shares(epoch, skip), **self.options)
        return self._each(loader, _filled)

    def shares(self, epoch: int, skip: int = 0) -> list[list[int]]:
        """The numbers of this process's batches: in an update the processes take turns."""
        order, micro, world = self.order(epoch), self.micro, self.processes.world
        begins = range(skip * self.batch_size, self.updates * self.batch_size, micro)
        return [order[begin : begin + micro] for begin in begins[self.processes.rank :: world]]

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

    def val(self) -> Pairs:
        """This process's part of the images of `val`, central crops, in the set's order."""
        count, world = len(self.images.val.labels), self.processes.world
        begin, end = (count * part // world for part in (self.processes.rank, self.processes.rank + 1))
        loader = DataLoader(
            Views(self.images.val, self.central), sampler=range(begin, end), batch_size=self.micro, **self.options
        )
        return self._each(loader, lambda images, labels, _: (images, labels))

    @property
    def rounds(self) -> int:
        """The most batches that any process has of `val`."""
        most = math.ceil(len(self.images.val.labels) / self.processes.world)
        return math.ceil(most / self.micro)

    def _each(self, loader: DataLoader[Any], used: Callable[..., tuple[Tensor, Tensor]]) -> Pairs:
        iterator = iter(loader)
        try:
            for images, labels, corrupt in iterator:
                for name, why in corrupt:
                    self._leave_out(name, why)
                pair = used(images, labels, corrupt)
                if len(pair[1]):
                    yield pair
        finally:  # a traceback may hold the iterator for longer, and a process waits at its end for workers of its own
            getattr(iterator, "_shutdown_workers", lambda: None)()

    def unite(self) -> None:
        """Know of what any process could not read."""
        self.corrupt = self.processes.union(self.corrupt)
        self._require_few()

    def _leave_out(self, name: str, why: str) -> None:
        if name not in self.corrupt and self.most_corrupt:
            print(f"left out: {name}: {why}", file=sys.stderr, flush=True)
        self.corrupt[name] = why
        self._require_few()

    def _require_few(self) -> None:
        if len(self.corrupt) > self.most_corrupt:
            raise UserError(_too_many(self.corrupt, self.most_corrupt))


def _outlive_signals(_worker: int) -> None:
    """A scheduler or a terminal sends them to every process: the training saves first, and its workers end with it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _collate(samples: list[tuple[Tensor, int] | Corrupt]) -> tuple[Tensor, Tensor, list[Corrupt]]:
    good = [sample for sample in samples if not isinstance(sample, Corrupt)]
    corrupt = [sample for sample in samples if isinstance(sample, Corrupt)]
    images = torch.stack([image for image, _ in good]) if good else torch.empty(0)
    return images, torch.tensor([label for _, label in good], dtype=torch.int64), corrupt


def _filled(images: Tensor, labels: Tensor, corrupt: list[Corrupt]) -> tuple[Tensor, Tensor]:
    """A batch of its full size: what is readable, as often as it takes."""
    if not corrupt:
        return images, labels
    if not len(labels):
        named = "; ".join(f"{name}: {why}" for name, why in corrupt[:5])
        raise UserError(f"none of the {len(corrupt)} images of a batch can be read: {named}. Repair them.")
    chosen = torch.arange(len(labels) + len(corrupt)) % len(labels)
    return images[chosen], labels[chosen]


def _too_many(corrupt: dict[str, str], allowed: int) -> str:
    named = "; ".join(f"{name}: {why}" for name, why in list(corrupt.items())[:5])
    return (
        f"{len(corrupt)} image(s) can't be read, and {allowed} may be left out (--skip-corrupt N): {named}. Repair "
        "them, or let more be left out; to remove them makes other data, which needs another --output."
    )
