"""A network with its optimiser on a device, carried out in one `Way`: what a step does, as it is or recorded."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space import UserError
from trainers.augment import normalise
from trainers.captured import Captured, Record, on_cuda
from trainers.fuse import fuse
from trainers.fused_native import passes_on
from trainers.memory import keep_freed_memory
from trainers.precision import autocast
from trainers.recipe import Recipe
from trainers.sgd import SGD
from trainers.way import Way


class Learner:
    """`update` and `predict`. Images are uint8 [B, 3, S, S] on the device; `mean` and `std` float32 [3]."""

    def __init__(
        self,
        net: nn.Module,
        recipe: Recipe,
        way: Way,
        *,
        mean: Tensor,
        std: Tensor,
        device: torch.device,
        record: Record = on_cuda,
    ) -> None:
        if device.type == "cpu":
            keep_freed_memory()
        self.recipe, self.way, self.device = recipe, way, device
        self.mean, self.std = mean.to(device), std.to(device)
        self.net: nn.Module = net.to(device, memory_format=way.memory_format)  # type: ignore[call-overload]
        if way.fused and not fuse(self.net, passes_on(device)):
            raise UserError("fused blocks were asked for (--fuse), and the network has no block that can run fused.")
        if way.captured and _drops(self.net):
            raise UserError("the network drops units at random, which a recorded step can't do from a step's own seed")
        self.optimiser = SGD(self.net, recipe)
        self._learn: Captured | None = Captured(record) if way.captured else None
        self._say: Captured | None = Captured(record) if way.captured else None

    def update(self, images: Tensor, labels: Tensor, rate: float) -> Tensor:
        """One step of SGD; returns the loss, valid until the next step."""
        if self._learn is None:
            return self._update(images, labels, rate)
        return self._learn(self._update, self._state, images, labels, torch.full((), rate, device=self.device))

    def predict(self, images: Tensor) -> Tensor:
        """Logits, float32 [B, classes], valid until the next call."""
        return self._logits(images) if self._say is None else self._say(self._logits, list, images)

    def _update(self, images: Tensor, labels: Tensor, rate: Any) -> Tensor:
        loss = F.cross_entropy(self._logits(images), labels, label_smoothing=self.recipe.label_smoothing)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step(rate)
        return loss.detach()

    def _logits(self, images: Tensor) -> Tensor:
        with autocast(self.way.precision, self.device):
            values = normalise(images, self.mean, self.std, memory_format=self.way.memory_format)
            return self.net(values).float()

    def _state(self) -> list[Tensor]:
        """All that an update changes."""
        return [*self.net.parameters(), *self.net.buffers(), *self.optimiser.momenta]


def _drops(net: nn.Module) -> bool:
    """Whether it draws random numbers when it trains: PyTorch's modules and timm's say by which rate."""
    names = ("drop_prob", "drop_rate")
    rates = [getattr(module, name, 0.0) for module in net.modules() for name in names]
    rates += [module.p for module in net.modules() if isinstance(module, nn.modules.dropout._DropoutNd)]
    return any(isinstance(rate, float) and rate > 0 for rate in rates)
