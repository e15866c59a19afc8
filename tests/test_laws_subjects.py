"""What the laws of the other files run over, and the one table of their exceptions."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from search_space import PRESETS, AttentionDesign, DesignError, Space, build, find_design
from search_space.blocks.bridge import Bridge

CHANNELS = 64  # the fewest that SGE's 64 groups divide
PRIME_CHANNELS = 67
LAWS = (
    *("one pixel", "one image in training", "one pixel of one image in training", "prime channels"),
    *("gradients", "identity start", "gate times map"),
)


class Exemption(NamedTuple):
    """`operator` is the word of the preset that the reason is about: a sampled design with it is exempt likewise."""

    preset: str
    operator: str
    law: str
    reason: str


_NORM = "batch norm needs two values of every channel to have a variance"
_GROUPS = "its channel groups have one width, so their number divides the channels"
_BIASES = "its layers have biases of random start, as published, so the gate only rests near its resting value"
EXEMPTIONS = [
    Exemption("simam", "simam", "one pixel", "it divides by HW - 1"),
    Exemption("simam", "simam", "one pixel of one image in training", "it divides by HW - 1"),
    Exemption("srm", "cfc", "one image in training", _NORM),
    Exemption("srm", "cfc", "one pixel of one image in training", _NORM),
    Exemption("ba", "ba", "one image in training", _NORM),
    Exemption("ba", "ba", "one pixel of one image in training", _NORM),
    Exemption("cbam", "cbam", "one pixel of one image in training", _NORM),
    Exemption("triplet", "triplet", "one pixel of one image in training", _NORM),
    Exemption("ema", "ema", "prime channels", _GROUPS),
    Exemption("sge", "sge", "prime channels", _GROUPS),
    Exemption("gc", "context", "gradients", "its mask's bias, which is published, moves no softmax over positions"),
    Exemption("ema", "ema", "identity start", _BIASES),
    Exemption("cbam", "cbam", "identity start", _BIASES),
    Exemption("coordinate", "coordinate", "identity start", _BIASES),
    Exemption("wavenet-ae", "wavenet-ae", "gate times map", "it gates bands, and the map is their synthesis"),
]


def _sample(count: int) -> dict[str, AttentionDesign]:
    published = {design.key for design in PRESETS.values()}
    others = [design for design in Space().distinct() if design.key not in published]
    return {str(design): design for design in random.Random(0).sample(others, count)}


SUBJECTS: dict[str, AttentionDesign] = PRESETS | _sample(40)
GATED = [name for name in SUBJECTS if name != "none"]
PRODUCTS = [name for name in GATED if not SUBJECTS[name].is_block]  # squeeze, excite, scale (or add)


def exempt(name: str, law: str) -> bool:
    assert law in LAWS
    words = {SUBJECTS[name].squeeze, SUBJECTS[name].excitation}
    return any(exemption.law == law and exemption.operator in words for exemption in EXEMPTIONS)


def obeying(law: str) -> list[str]:
    return [name for name in GATED if not exempt(name, law)]


def allowed_or_refused(name: str, law: str) -> AbstractContextManager[Any]:
    """Where the law can't hold, what is done inside must be refused in words that say what is allowed."""
    return pytest.raises(DesignError, match="allowed: ") if exempt(name, law) else nullcontext()


class OneBlock(nn.Module):
    """A bridge and the one earlier convolution that it hears, so that `ba` too is a layer."""

    def __init__(self, design: AttentionDesign, channels: int, *, gate_start: str = "paper", **factory: Any) -> None:
        super().__init__()
        gain = 1 / Bridge.rest if gate_start == "identity" else 1.0
        self.earlier = nn.Conv2d(channels, channels // 4, 1, bias=False, **factory)
        self.bridge = Bridge(design, channels, (channels // 4,), gain=gain, **factory)
        self.earlier.register_forward_hook(self.bridge.hear)

    def forward(self, x: Tensor) -> Tensor:
        self.earlier(x)
        y: Tensor = self.bridge(x)
        return y


def fresh(name: str, channels: int = CHANNELS, **options: Any) -> nn.Module:
    """As built, always with the same weights."""
    torch.manual_seed(0)
    design = find_design(name)
    assert isinstance(design, AttentionDesign)
    return OneBlock(design, channels, **options) if design.squeeze == "ba" else build(design, channels, **options)


def trained(name: str, channels: int = CHANNELS, **options: Any) -> nn.Module:
    """No parameter at its start, many of which are 0. Positive weights: a map or its negative passes every ReLU."""
    layer = fresh(name, channels, **options)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            fan_in = max(1, parameter[0].numel()) if parameter.ndim > 1 else 4
            parameter.copy_(torch.rand(parameter.shape, generator=generator) * (4 / fan_in))
    return layer


def maps(height: int = 7, width: int = 5, batch: int = 2, channels: int = CHANNELS) -> Tensor:
    """Maps and their negatives, alternately."""
    generator = torch.Generator().manual_seed(height * width)
    x = torch.randn(batch, channels, height, width, generator=generator) + 0.5
    x[1::2] = -x[1::2]
    return x


@contextmanager
def determinism() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def test_every_preset_is_under_the_laws_and_so_are_forty_designs_that_nobody_published() -> None:
    assert PRESETS.items() <= SUBJECTS.items()
    assert len(SUBJECTS) == len(PRESETS) + 40
    assert len({design.key for design in SUBJECTS.values()}) == len(SUBJECTS)


def test_there_are_fifteen_exemptions() -> None:
    """A sixteenth is to be argued for here, with its reason."""
    assert len(EXEMPTIONS) == len(set(EXEMPTIONS)) == 15


@pytest.mark.parametrize("exemption", EXEMPTIONS, ids=lambda exemption: f"{exemption.preset}: {exemption.law}")
def test_an_exemption_names_a_preset_with_that_operator_and_a_law(exemption: Exemption) -> None:
    design = PRESETS[exemption.preset]
    assert exemption.operator in (design.squeeze, design.excitation)
    assert exemption.law in LAWS and exemption.reason
