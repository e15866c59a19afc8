"""SimAM: a gate for every element, without parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from search_space.blocks.base import Block
from search_space.design import AttentionDesign
from search_space.errors import refuse
from search_space.excitation import sigmoid
from search_space.pooling import wide

_LAMBDA = 1e-4  # the published value for CIFAR, and the module's default; ImageNet runs used 0.1


class SimAM(Block):
    """gate = sigmoid(d / (4 (v + lambda)) + 1/2), d = (x - mean)^2, v = sum d / (HW - 1), a channel at a time.

    Yang et al. 2021, SimAM: the inverse of a neuron's minimal energy. Published before the norm of the
    block's last spatial convolution. Never below sigmoid(1/2). Undefined on one pixel, where v is 0 / 0.

    MACs: the squares of the variance, one an element.
    """

    rest = sigmoid(0.5)

    def __init__(self, design: AttentionDesign, channels: int, *, gain: float = 1.0, **factory: Any) -> None:
        super().__init__(design, channels, gain=gain)  # no weights, so nothing for the factory's device and dtype

    def gate(self, x: Tensor) -> Tensor:
        others = x.shape[2] * x.shape[3] - 1
        if others == 0:
            refuse("map", "simam on a 1x1 map", "2 pixels or more; it divides by HW - 1")
        values = x.to(wide(x.dtype))
        deviation = (values - values.mean((2, 3), keepdim=True)).square()
        variance = deviation.sum((2, 3), keepdim=True) / others
        return torch.sigmoid(deviation / (4 * (variance + _LAMBDA)) + 0.5)

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        return 0

    @staticmethod
    def macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
        return channels * height * width
