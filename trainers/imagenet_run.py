"""The state of one retraining: network, optimiser, schedule; an epoch after another."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from search_space.errors import UserError
from trainers.augment import normalise
from trainers.checkpoint import Checkpoint
from trainers.image_batches import Batches, derived_seed
from trainers.imagenet_loss import Mixing, loss_of
from trainers.imagenet_recipe import RetrainRecipe
from trainers.outcome import NotFiniteError
from trainers.precision import autocast, memory_format
from trainers.timm_import import prepare

prepare()
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD  # noqa: E402
from timm.optim import create_optimizer_v2  # noqa: E402
from timm.scheduler import CosineLRScheduler  # noqa: E402
from timm.utils import ModelEmaV3  # noqa: E402

_FEWEST = 2  # images of an update: batch norm needs as many, and mixing a pair
_STEPS_BETWEEN_LOOKS = 50  # at the loss: every look makes an accelerator wait


class Halted(BaseException):
    """The training was asked to stop, and did so between two updates."""


class Run:
    """The state of one training. `stop` is asked after each update whether to go on."""

    def __init__(
        self,
        net: nn.Module,
        batches: Batches,
        *,
        recipe: RetrainRecipe,
        seed: int,
        device: torch.device,
        precision: str,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.recipe, self.seed, self.device, self.precision, self.stop = recipe, seed, device, precision, stop
        self.batches, images = batches, batches.images
        self.classes, self.val_images = len(images.classes), len(images.val.labels)
        self.mean = torch.tensor(IMAGENET_DEFAULT_MEAN, device=device)
        self.std = torch.tensor(IMAGENET_DEFAULT_STD, device=device)
        self.layout = memory_format(precision)
        self.net: nn.Module = net.to(device, memory_format=self.layout)  # type: ignore[call-overload]
        self.optimiser = _optimiser(net, recipe)
        self.average = ModelEmaV3(net, decay=recipe.ema) if recipe.ema else None
        self.mixing, self.loss = Mixing(recipe, self.classes, seed), loss_of(recipe)
        self.steps_an_epoch = len(images.train.labels) // recipe.batch_size
        self.step = 0
        self.epoch_loss = torch.zeros((), device=device)  # the sum over the updates of the running epoch
        self._began, self._before = time.perf_counter(), 0.0
        warmup = recipe.warmup_steps(self.steps_an_epoch)
        self.schedule = CosineLRScheduler(
            self.optimiser,
            t_initial=self.steps_an_epoch * recipe.epochs - warmup + 1,  # zero is reached after the last update
            warmup_t=warmup,
            warmup_prefix=True,
            t_in_epochs=False,
        )

    def restore(self, saved: Checkpoint) -> None:
        """Raises what torch raises if the checkpoint does not fit this network."""
        self.net.load_state_dict(saved.model)
        self.optimiser.load_state_dict(saved.optimiser)
        if self.average is not None:
            self.average.module.load_state_dict(saved.average or {})
        self.step = saved.epoch * self.steps_an_epoch + saved.updates
        self.epoch_loss.fill_(saved.epoch_loss)
        self._before = saved.spent

    @property
    def seconds(self) -> float:
        """Of the whole training, those before a resumption too."""
        return self._before + time.perf_counter() - self._began

    def checkpoint(self, identity: str, curves: list[dict[str, float]]) -> Checkpoint:
        updates = self.step - len(curves) * self.steps_an_epoch
        return Checkpoint(
            identity=identity,
            precision=self.precision,
            model=self.net.state_dict(),
            optimiser=self.optimiser.state_dict(),
            curves=curves,
            average=None if self.average is None else self.average.module.state_dict(),
            updates=updates,
            epoch_loss=self.epoch_loss.item() if updates else 0.0,
            seconds=self.seconds,
        )

    @property
    def measured(self) -> nn.Module:
        """The network that is measured and kept: of the averaged weights, where the recipe has them."""
        return self.net if self.average is None else self.average.module

    def epochs(self, first: int) -> Iterator[dict[str, float]]:
        """Trains on to the end, from the epoch `first` on, of which some updates may be done.

        Yields a record an epoch, with top5 where there are more than five classes; `images_per_second` leaves the
        measuring out. Raises `Halted` where `stop` says so.
        """
        for epoch in range(first, self.recipe.epochs + 1):
            begin, before = time.perf_counter(), self.step
            with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
                train_loss = self._train_epoch(epoch)
            images = (self.step - before) * self.recipe.batch_size
            rate = images / (time.perf_counter() - begin)
            measured = self._evaluate()
            self.epoch_loss.zero_()
            yield {
                "epoch": epoch,
                "train_loss": train_loss,
                **measured,
                **({"corrupt": len(self.batches.corrupt)} if self.batches.corrupt else {}),
                "learning_rate": self.optimiser.param_groups[0]["lr"],
                "seconds": self.seconds,
                "images_per_second": rate,
            }

    def _train_epoch(self, epoch: int) -> float:
        self.net.train()
        done = self.step - (epoch - 1) * self.steps_an_epoch
        with _bar(f"epoch {epoch}/{self.recipe.epochs}", self.steps_an_epoch * self.recipe.batch_size) as advance:
            advance(done * self.recipe.batch_size)
            for number, (images, labels) in enumerate(self.batches.train(epoch, done), start=done + 1):
                torch.manual_seed(derived_seed(self.seed, self.step, 1))  # dropout, the same after a resumption
                loss = self._train_step(self._input(images), labels.to(self.device, non_blocking=True))
                self.epoch_loss += loss
                if number % _STEPS_BETWEEN_LOOKS == 0 or number == self.steps_an_epoch:
                    self._require_finite(self.epoch_loss.item())
                advance(len(labels))
                self._look()
        return self.epoch_loss.item() / self.steps_an_epoch

    def _look(self) -> None:
        if self.stop():
            raise Halted

    def _train_step(self, images: Tensor, labels: Tensor) -> Tensor:
        self.schedule.step_update(self.step + 1)
        if len(labels) < _FEWEST:  # the others are corrupt: the update is counted, so that a resumption finds its place
            self.step += 1
            return torch.zeros((), device=self.device)
        images, targets = self.mixing(images, labels, self.step)
        with autocast(self.precision, self.device):
            logits = self.net(images).float()
        loss = self.loss(logits, targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.step += 1
        if self.average is not None:
            self.average.update(self.net, self.step)
        return loss.detach()

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise NotFiniteError(f"the loss is {loss} after step {self.step}")

    @torch.inference_mode()
    def _evaluate(self) -> dict[str, float]:
        """Accuracy, top-5 accuracy and mean cross-entropy on `val`."""
        self.measured.eval()
        hits = torch.zeros(min(5, self.classes), device=self.device)  # right at the first guess, the second...
        total, measured = torch.zeros((), device=self.device), 0
        with _bar("measuring", self.val_images) as advance:
            for images, labels in self.batches.val():
                labels = labels.to(self.device, non_blocking=True)  # noqa: PLW2901
                with autocast(self.precision, self.device):
                    logits = self.measured(self._input(images)).float()
                hits += (logits.topk(len(hits)).indices == labels[:, None]).sum(0)
                total += F.cross_entropy(logits, labels, reduction="sum")
                measured += len(labels)
                advance(len(labels))
                self._look()
        if not measured:
            raise UserError(f"no image of {self.batches.images.name}'s val can be read: nothing can be measured")
        loss = total.item() / measured
        self._require_finite(loss)
        top5 = {"top5": hits.sum().item() / measured} if self.classes > 5 else {}
        return {"accuracy": hits[0].item() / measured, **top5, "loss": loss}

    def _input(self, images: Tensor) -> Tensor:
        if not len(images):
            return images
        images = images.to(self.device, non_blocking=True)
        return normalise(images, self.mean, self.std, memory_format=self.layout)


def _optimiser(net: nn.Module, recipe: RetrainRecipe) -> torch.optim.Optimizer:
    """timm's; SGD has momentum."""
    momentum: dict[str, Any] = {"momentum": recipe.momentum} if recipe.optimiser == "sgd" else {}
    optimiser: torch.optim.Optimizer = create_optimizer_v2(
        net,
        opt="momentum" if recipe.optimiser == "sgd" and not recipe.nesterov else recipe.optimiser,
        lr=recipe.peak,
        weight_decay=recipe.weight_decay,
        filter_bias_and_bn=not recipe.decay_norms,
        **momentum,
    )
    return optimiser


@contextmanager
def _bar(what: str, images: int) -> Iterator[Callable[[int], None]]:
    """Yield `advance(n)`: a bar with images a second where stderr is a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task, start, done = bar.add_task(what, total=images, rate=""), time.perf_counter(), 0

        def advance(number: int) -> None:
            nonlocal done
            done += number
            bar.update(task, completed=done, rate=f"{done / (time.perf_counter() - start):.0f} images/s")

        yield advance
