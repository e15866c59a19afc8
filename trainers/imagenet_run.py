"""The state of one retraining: network, optimiser, schedule; an epoch after another."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space.errors import UserError
from trainers.augment import normalise
from trainers.batch_statistics import RunningStatistics
from trainers.checkpoint import Checkpoint
from trainers.execution import Execution
from trainers.image_batches import Batches, derived_seed
from trainers.imagenet_loss import Mixing, loss_of
from trainers.imagenet_recipe import RetrainRecipe
from trainers.on_machine import on_machine, together_at
from trainers.outcome import NotFiniteError
from trainers.precision import autocast, memory_format
from trainers.timm_import import prepare
from trainers.training_bar import TrainingBar

prepare()
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD  # noqa: E402
from timm.optim import create_optimizer_v2  # noqa: E402
from timm.scheduler import CosineLRScheduler  # noqa: E402
from timm.utils import ModelEmaV3  # noqa: E402

_STEPS_BETWEEN_LOOKS = 50  # at the loss: every look makes an accelerator wait


class Halted(BaseException):
    """The training was asked to stop, and did so between two updates."""


class Run:
    """The state of one training, in each of its processes. `stop` is asked after each update whether to go on.

    `execution` is settled. Images come as `batches` of this process, `accumulate` an update.
    """

    def __init__(
        self,
        net: nn.Module,
        batches: Batches,
        *,
        recipe: RetrainRecipe,
        seed: int,
        execution: Execution,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.recipe, self.seed, self.stop, self.processes = recipe, seed, stop, execution.processes
        self.device, self.precision, self.accumulate = execution.place, execution.precision, execution.accumulate
        self.batches, images = batches, batches.images
        self.norm_batch = execution.norm_batch(recipe)
        self.classes, self.val_images = len(images.classes), len(images.val.labels)
        self.mean = torch.tensor(IMAGENET_DEFAULT_MEAN, device=self.device)
        self.std = torch.tensor(IMAGENET_DEFAULT_STD, device=self.device)
        self.layout = memory_format(self.precision)
        self.dtype = torch.float64 if self.precision == "float64" else torch.float32
        self.net, self.wrapped = on_machine(net, execution, layout=self.layout, dtype=self.dtype)
        self.statistics = RunningStatistics(self.net, self.accumulate, self.processes)
        self.optimiser = _optimiser(self.net, recipe)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "float16")
        self.average = ModelEmaV3(self.net, decay=recipe.ema) if recipe.ema else None
        self.mixing, self.loss = Mixing(recipe, self.classes, seed), loss_of(recipe)
        self.steps_an_epoch = batches.updates
        self.step = 0
        self.epoch_loss = torch.zeros((), dtype=self.dtype, device=self.device)  # here: the sum over its updates
        an_epoch = self.steps_an_epoch * recipe.batch_size
        self.bar = TrainingBar(recipe.epochs, an_epoch, shown=self.processes.first)
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
        if saved.scaler:
            self.scaler.load_state_dict(saved.scaler)
        self.batches.corrupt = dict(saved.corrupt)
        self.step = saved.epoch * self.steps_an_epoch + saved.updates
        self.epoch_loss.fill_(saved.epoch_loss)
        self._before = saved.spent

    @property
    def seconds(self) -> float:
        """Of the whole training, those before a resumption too."""
        return self._before + time.perf_counter() - self._began

    def checkpoint(self, identity: str, curves: list[dict[str, float]]) -> Checkpoint:
        """The same in every process, which all have to make it."""
        updates = self.step - len(curves) * self.steps_an_epoch
        return Checkpoint(
            identity=identity,
            precision=self.precision,
            model=self.net.state_dict(),
            optimiser=self.optimiser.state_dict(),
            curves=curves,
            average=None if self.average is None else self.average.module.state_dict(),
            updates=updates,
            epoch_loss=self._epoch_loss() if updates else 0.0,
            scaler=self.scaler.state_dict(),
            corrupt=self.processes.union(self.batches.corrupt),
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
        with self.bar:
            for epoch in range(first, self.recipe.epochs + 1):
                begin, before = time.perf_counter(), self.step
                with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
                    train_loss = self._train_epoch(epoch)
                images = (self.step - before) * self.recipe.batch_size
                rate = {"images_per_second": images / (time.perf_counter() - begin)} if images else {}
                measured = self._evaluate()
                self.batches.unite()
                self.epoch_loss.zero_()
                yield {
                    "epoch": epoch,
                    "train_loss": train_loss,
                    **measured,
                    **({"corrupt": len(self.batches.corrupt)} if self.batches.corrupt else {}),
                    "norm_batch": self.norm_batch,
                    "learning_rate": self.optimiser.param_groups[0]["lr"],
                    "seconds": self.seconds,
                    **rate,
                }

    def _train_epoch(self, epoch: int) -> float:
        self.net.train()
        done = self.step - (epoch - 1) * self.steps_an_epoch
        self.bar.begin(epoch, done * self.recipe.batch_size)
        with closing(self.batches.train(epoch, done)) as batches:
            for number in range(done + 1, self.steps_an_epoch + 1):
                self.epoch_loss += self.update(itertools.islice(batches, self.accumulate))
                if number % _STEPS_BETWEEN_LOOKS == 0 or number == self.steps_an_epoch:
                    loss = self._epoch_loss()
                    self._require_finite(loss)
                    self.bar.tell(loss=f"loss {loss / number:.3f}")
                self.bar.advance(self.recipe.batch_size)
                self._look()
        return self._epoch_loss() / self.steps_an_epoch

    def _epoch_loss(self) -> float:
        """The mean over the processes."""
        return self.processes.mean(self.epoch_loss.clone()).item()

    def _look(self) -> None:
        if self.processes.any(self.stop()):
            raise Halted

    def update(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """Move the weights by the mean gradient over the batches of all processes; returns this one's mean loss."""
        self.schedule.step_update(self.step + 1)
        self.optimiser.zero_grad(set_to_none=True)
        loss = torch.zeros_like(self.epoch_loss)
        for number, (images, labels) in enumerate(batches):
            last = number == self.accumulate - 1
            with together_at(self.wrapped, last), self.statistics.batch(number):
                loss += self._backward(images, labels, number)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.statistics.unite()
        self.step += 1
        if self.average is not None:
            self.average.update(self.net, self.step)
        return loss

    def _backward(self, images: Tensor, labels: Tensor, number: int) -> Tensor:
        """Add a batch's part of the gradient; all that is random is the same after a resumption."""
        batch = number * self.processes.world + self.processes.rank  # of the update
        torch.manual_seed(derived_seed(self.seed, self.step, 1, batch))
        labels = labels.to(self.device, non_blocking=True)
        mixed, targets = self.mixing(self._input(images), labels, self.step, batch)
        with autocast(self.precision, self.device):
            logits = self.wrapped(mixed).to(self.dtype)
        loss = self.loss(logits, targets) / self.accumulate
        self.scaler.scale(loss).backward()
        return loss.detach()

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise NotFiniteError(f"the loss is {loss} after step {self.step}")

    @torch.inference_mode()
    def _evaluate(self) -> dict[str, float]:
        """Accuracy, top-5 accuracy and mean cross-entropy on `val`."""
        self.measured.eval()
        hits = torch.zeros(min(5, self.classes), device=self.device)  # right at the first guess, the second...
        total, measured = torch.zeros_like(self.epoch_loss), 0
        self.bar.tell(rate="measuring")
        with closing(self.batches.val()) as batches:
            for _ in range(self.batches.rounds):  # of all processes, that a stop finds them at the same
                for images, labels in itertools.islice(batches, 1):
                    truth = labels.to(self.device, non_blocking=True)
                    with autocast(self.precision, self.device):
                        logits = self.measured(self._input(images)).to(self.dtype)
                    hits += (logits.topk(len(hits)).indices == truth[:, None]).sum(0)
                    total += F.cross_entropy(logits, truth, reduction="sum")
                    measured += len(labels)
                self._look()
        found = torch.tensor([*hits.tolist(), total.item(), measured], dtype=torch.float64)
        *right, loss, measured = self.processes.total(found).tolist()
        if not measured:
            raise UserError(f"no image of {self.batches.images.name}'s val can be read: nothing can be measured")
        self._require_finite(loss)
        top5 = {"top5": sum(right) / measured} if self.classes > 5 else {}
        self.bar.tell(top1=f"top-1 {right[0] / measured:.2%}")
        return {"accuracy": right[0] / measured, **top5, "loss": loss / measured}

    def _input(self, images: Tensor) -> Tensor:
        images = images.to(self.device, non_blocking=True)
        return normalise(images, self.mean, self.std, dtype=self.dtype, memory_format=self.layout)


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
