"""The optimiser of a proxy training is PyTorch's SGD."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from search_space import PRESETS
from trainers.backbones import backbone
from trainers.recipe import PROXY
from trainers.sgd import SGD, parameter_groups

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]


def network(device: str) -> nn.Module:
    """With weights of every memory format, norms, and a layer that a step may leave out."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 4), nn.Linear(4, 4)]
    return nn.Sequential(*layers).to(device, memory_format=torch.channels_last)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("lies", ["in Python", "on the device"])
def test_steps_are_those_of_torch_optim(device, momentum, lies):
    """Oracle: torch.optim.SGD. In some steps the last layer has no gradient, in the first too."""
    recipe = PROXY.changed(momentum=momentum, weight_decay=0.01)
    ours, theirs = network(device), network(device)
    optimiser = SGD(ours, recipe)
    decayed = [parameter for parameter in theirs.parameters() if parameter.ndim > 1]
    free = [parameter for parameter in theirs.parameters() if parameter.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": free}]
    expected = torch.optim.SGD(groups, lr=0.0, momentum=momentum, nesterov=momentum > 0)
    for step, rate in enumerate((0.1, 0.0, 0.3, 0.2)):
        optimiser.zero_grad()
        layers = ours if step % 2 else ours[:-1]
        layers(torch.randn(5, 3, 3, 3, device=device)).square().sum().backward()
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            other.grad = None if one.grad is None else one.grad.clone()
        optimiser.step(rate if lies == "in Python" else torch.full((), rate, device=device))
        for group in expected.param_groups:
            group["lr"] = rate
        expected.step()
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_norms_and_biases_do_not_decay():
    """Oracle: the network's own parameter names."""
    net = backbone("resnet8", PRESETS["se"], num_classes=3)
    decayed, free = parameter_groups(net, 0.1)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    vectors = {name for name, parameter in net.named_parameters() if name.endswith("bias") or parameter.ndim == 1}
    assert {names[id(p)] for p in free.parameters} == vectors and free.weight_decay == 0
    assert {names[id(p)] for p in decayed.parameters} == set(names.values()) - vectors
    assert decayed.weight_decay == 0.1
