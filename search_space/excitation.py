"""Excitations: squeezed numbers [B, C, K] -> gate [B, C], one module each, and the table of them at the end.

Every module starts with a gate of about `rest`, its value on the zero vector, before it has learned anything.
"""

from __future__ import annotations

from math import log2
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from search_space.design import AttentionDesign


def sigmoid(value: float) -> float:
    return float(torch.sigmoid(torch.tensor(value, dtype=torch.float64)))


class Excitation(nn.Module):
    """Base of the table's modules: `forward(z: [B, C, K]) -> gate [B, C]`, and its cost in closed form."""

    rest: ClassVar[float] = 0.5  # sigmoid(0)

    @staticmethod
    def macs(design: AttentionDesign, channels: int) -> int:
        raise NotImplementedError

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        raise NotImplementedError


class MLP(Excitation):
    """gate = sigmoid(W2 relu(W1 z)), W1 [C // r, C K], W2 [C, C // r], no biases (SENet eq. 3)."""

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__()
        hidden = hidden_width(design, channels)
        self.reduce = nn.Linear(channels * design.numbers, hidden, bias=False, **factory)
        self.expand = nn.Linear(hidden, channels, bias=False, **factory)

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.expand(torch.relu(self.reduce(z.flatten(1)))))

    @staticmethod
    def macs(design: AttentionDesign, channels: int) -> int:
        return hidden_width(design, channels) * channels * (design.numbers + 1)

    params = macs


class Conv1d(Excitation):
    """gate = sigmoid(conv1d_k(z)) over neighbouring channels, zero-padded, no bias (ECA eq. 9)."""

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__()
        kernel = kernel_size(design, channels)
        self.conv = nn.Conv1d(design.numbers, 1, kernel, padding=kernel // 2, bias=False, **factory)

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.conv(z.transpose(1, 2))).squeeze(1)

    @staticmethod
    def macs(design: AttentionDesign, channels: int) -> int:
        return kernel_size(design, channels) * design.numbers * channels

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        return kernel_size(design, channels) * design.numbers


class Affine(Excitation):
    """gate_c = sigmoid(<w_c, z_c> + b_c), each channel for itself (LCT eq. 4); starts at zeros."""

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, design.numbers, **factory))
        self.bias = nn.Parameter(torch.zeros(channels, **factory))

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid((z * self.weight).sum(2) + self.bias)

    @staticmethod
    def macs(design: AttentionDesign, channels: int) -> int:
        return channels * design.numbers

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        return channels * (design.numbers + 1)


class PFCA(Excitation):
    """gate = sigmoid(((z - m)^2 + 2 (s^2 + l)) / (4 (s^2 + l))), m and s^2 (unbiased) over the channels, l = 1e-4.

    Parameter-free channel attention (Shi et al. 2023): SimAM's inverse energy on the channel axis. Never below
    sigmoid(1/2).
    """

    rest = sigmoid(0.5)

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__()
        assert design.numbers == 1 and channels > 1

    def forward(self, z: Tensor) -> Tensor:
        values = z.squeeze(2).to(torch.promote_types(z.dtype, torch.float32))
        variance, mean = torch.var_mean(values, 1, keepdim=True)
        return torch.sigmoid((values - mean).square() / (4 * (variance + 1e-4)) + 0.5).to(z.dtype)

    @staticmethod
    def macs(design: AttentionDesign, channels: int) -> int:
        return 0  # elementwise: no convolution, no linear layer, no squeeze

    params = macs


def hidden_width(design: AttentionDesign, channels: int) -> int:
    """C // r; `search_space.sites.check` refuses 0."""
    assert design.reduction is not None
    return channels // design.reduction


def kernel_size(design: AttentionDesign, channels: int) -> int:
    """The design's own kernel, else ECA eq. 12 with gamma = 2, b = 1: the odd number at or above |(log2 C + 1) / 2|."""
    if design.kernel is not None:
        return design.kernel
    floor = int(abs((log2(channels) + 1) / 2))
    return floor if floor % 2 else floor + 1


EXCITATIONS: dict[str, type[Excitation]] = {"mlp": MLP, "conv1d": Conv1d, "affine": Affine, "pfca": PFCA}
