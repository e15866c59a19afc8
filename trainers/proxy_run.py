"""A proxy training step by step: what it holds, from and to a checkpoint."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space import UserError
from trainers.augment import augment
from trainers.checkpoint import Trunk
from trainers.data import ImageData, Split
from trainers.learner import Learner
from trainers.outcome import Effort, NotFiniteError
from trainers.recipe import Recipe
from trainers.way import Way


def check_batch_size(data: ImageData, recipe: Recipe) -> None:
    """Raises `UserError` where an epoch would have no step."""
    if len(data.train.labels) < recipe.batch_size:
        given = f"{len(data.train.labels)} training images of {data.name}"
        raise UserError(
            f"batch size: {recipe.batch_size} with {given}; allowed: at most the number of images (--set batch_size=N)."
        )


def steps_an_epoch(data: ImageData, recipe: Recipe) -> int:
    return len(data.train.labels) // recipe.batch_size  # the rest is another rest next time


class Run:
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
        way: Way,
        on_step: Callable[[], None] | None,
        effort: Effort,
    ) -> None:
        self.recipe, self.seed, self.device = recipe, seed, device
        self.on_step, self.effort = on_step or (lambda: None), effort
        self.train = Split(data.train.images.to(device), data.train.labels.to(device))
        self.held_out = Split(held_out.images.to(device), held_out.labels.to(device))
        self.mirror = recipe.mirror and data.flip
        self.learner = Learner(net, recipe, way, mean=data.mean, std=data.std, device=device)
        self.net, self.optimiser = self.learner.net, self.learner.optimiser
        self.steps_an_epoch = steps_an_epoch(data, recipe)
        self.steps = self.steps_an_epoch * recipe.epochs
        self.step = self.first_step = 0
        self.rate = 0.0
        self.random = torch.Generator(device).manual_seed(seed)
        self.ahead = torch.empty(0, dtype=torch.long, device=device)  # images of this epoch still to come
        self.epoch_loss = torch.zeros((), device=device)
        self.curves: list[dict[str, float]] = []
        self.begin = time.perf_counter()

    def restore(self, trunk: Trunk) -> None:
        self.net.load_state_dict(trunk.model)
        for momentum, value in zip(self.optimiser.momenta, trunk.momenta, strict=True):
            momentum.copy_(value)
        self.step = self.first_step = trunk.step
        self.random.set_state(trunk.random)
        self.ahead = trunk.ahead.to(self.device)
        self.epoch_loss = trunk.epoch_loss.to(self.device)
        self.curves = list(trunk.curves)
        self.begin -= trunk.seconds

    def trunk(self, identity: str) -> Trunk:
        return Trunk(
            identity=identity,
            step=self.step,
            model=self.net.state_dict(),
            momenta=self.optimiser.momenta,
            random=self.random.get_state(),
            ahead=self.ahead.clone(),  # torch saves the whole storage behind a slice
            epoch_loss=self.epoch_loss,
            curves=self.curves,
            seconds=time.perf_counter() - self.begin,
        )

    def train_to(self, step: int) -> Iterator[dict[str, float]]:
        """Trains; yields a record an epoch: epoch, train_loss, accuracy, loss, learning_rate, seconds."""
        self.net.train()
        while self.step < step:
            if len(self.ahead) == 0:
                order = torch.randperm(len(self.train.labels), generator=self.random, device=self.device)
                self.ahead = order[: self.steps_an_epoch * self.recipe.batch_size]
                self.epoch_loss = torch.zeros((), device=self.device)
            self.on_step()
            batch, self.ahead = self.ahead.tensor_split([self.recipe.batch_size])
            self._train_step(batch)
            self.step += 1
            self.effort.epochs = (self.step - self.first_step) / self.steps_an_epoch
            if self.step % self.steps_an_epoch == 0:
                self.curves.append(self._measured())
                yield self.curves[-1]
                self.net.train()

    def _train_step(self, batch: Tensor) -> None:
        images = self.train.images.index_select(0, batch)  # copies whole images, which [batch] does byte by byte
        labels = self.train.labels[batch]
        images = augment(images, pad=self.recipe.crop_padding, flip=self.mirror, generator=self.random)
        self.rate = self.recipe.rate(self.step, self.steps_an_epoch)
        with self._seeded():
            self.epoch_loss += self.learner.update(images, labels, self.rate)

    @contextmanager
    def _seeded(self) -> Iterator[None]:
        """Dropout in a user's network, the same after a checkpoint. A recorded step has none."""
        if self.learner.way.captured:
            yield
            return
        digest = hashlib.sha256(f"{self.seed} {self.step}".encode()).digest()
        # for devices that are not in use yet torch.manual_seed writes down who called it, 0.2 ms a step
        seed = torch.default_generator.manual_seed if self.device.type == "cpu" else torch.manual_seed
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            seed(int.from_bytes(digest[:4]))
            yield

    def _measured(self) -> dict[str, float]:
        """The record of the epoch that has just ended. Raises `NotFiniteError`."""
        epoch = self.step // self.steps_an_epoch
        train_loss = self.epoch_loss.item() / self.steps_an_epoch  # read once: each read makes an accelerator wait
        if not math.isfinite(train_loss):
            raise NotFiniteError(f"training loss is {train_loss} at step {self.step}")
        accuracy, loss = self._evaluate()
        if not math.isfinite(loss):
            raise NotFiniteError(f"held-out loss is {loss} after epoch {epoch}")
        return {
            "epoch": epoch,
            "train_loss": train_loss,
            "accuracy": accuracy,
            "loss": loss,
            "learning_rate": self.rate,
            "seconds": time.perf_counter() - self.begin,
        }

    @torch.inference_mode()
    def _evaluate(self) -> tuple[float, float]:
        """Accuracy and mean cross-entropy on the held-out split."""
        self.net.eval()
        right = torch.zeros((), device=self.device)
        total = torch.zeros((), device=self.device)
        for images, labels in zip(self.held_out.images.split(500), self.held_out.labels.split(500), strict=True):
            self.on_step()
            logits = self.learner.predict(images)
            right += (logits.argmax(1) == labels).sum()
            total += F.cross_entropy(logits, labels, reduction="sum")
        number = len(self.held_out.labels)
        return right.item() / number, total.item() / number
