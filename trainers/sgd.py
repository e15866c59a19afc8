"""PyTorch's fused SGD without `torch.optim.Optimizer`, the first of which imports TorchDynamo: a second a process."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from trainers.recipe import Recipe


class _Group(NamedTuple):
    parameters: list[nn.Parameter]
    weight_decay: float


class SGD:
    """Nesterov's momentum where the recipe has one. Its state is all there before the first step."""

    def __init__(self, net: nn.Module, recipe: Recipe) -> None:
        self.momentum = recipe.momentum
        self.groups = parameter_groups(net, recipe.weight_decay)
        self._momenta = {p: torch.zeros_like(p, requires_grad=False) for group in self.groups for p in group.parameters}

    @property
    def momenta(self) -> list[Tensor]:
        """Of every parameter, in one order; to be filled in place."""
        return list(self._momenta.values())

    def zero_grad(self) -> None:
        for parameter in self._momenta:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: Any) -> None:
        """With the learning rate, a float or a tensor [] on the device. A parameter without a gradient stays."""
        for group in self.groups:
            moved = [parameter for parameter in group.parameters if parameter.grad is not None]
            sgd(
                moved,  # type: ignore[arg-type]
                [parameter.grad for parameter in moved],  # type: ignore[misc]
                [self._momenta[parameter] for parameter in moved],
                fused=True,  # takes a rate that lies on the device; on a CPU a third of the time of a loop over weights
                weight_decay=group.weight_decay,
                momentum=self.momentum,
                lr=rate,
                dampening=0.0,
                nesterov=self.momentum > 0,
                maximize=False,
            )


def parameter_groups(net: nn.Module, weight_decay: float) -> list[_Group]:
    """Weights decay; vectors (norms, biases) do not."""
    matrices = [parameter for parameter in net.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in net.parameters() if parameter.ndim <= 1]
    return [_Group(matrices, weight_decay), _Group(vectors, 0.0)]
