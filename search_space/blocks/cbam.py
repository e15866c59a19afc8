"""CBAM: a channel gate, then a spatial gate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from search_space.blocks.base import Block, PlaneGate, check_normalisable, check_reduction
from search_space.design import AttentionDesign
from search_space.pooling import average, max_and_mean
from search_space.widths import hidden_width

_KERNEL = 7


class CBAM(Block):
    """gate = A_c A_s, with A_c = sigmoid(MLP(GAP x) + MLP(GMP x)) and A_s = sigmoid(BN(conv7x7([max_c u; mean_c u]))).

    u = A_c x; the MLP is C -> C // r -> C with biases, shared by both poolings. Woo et al. 2018, CBAM; the
    batch norm (momentum .01) is in the released module, not in the paper.
    """

    rest = 0.25

    def __init__(self, design: AttentionDesign, channels: int, *, gain: float = 1.0, **factory: Any) -> None:
        super().__init__(design, channels, gain=gain)
        hidden = hidden_width(design, channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden, **factory), nn.ReLU(), nn.Linear(hidden, channels, **factory)
        )
        self.spatial = PlaneGate(_KERNEL, **factory)

    def gate(self, x: Tensor) -> Tensor:
        check_normalisable(self, x)
        logits = self.mlp(average(x, (2, 3))) + self.mlp(x.amax((2, 3)))
        channel = torch.sigmoid(logits)[..., None, None].to(x.dtype)
        spatial: Tensor = self.spatial(max_and_mean(x * channel, 1))
        return channel * spatial

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        hidden = hidden_width(design, channels)
        return 2 * channels * hidden + hidden + channels + PlaneGate.params(_KERNEL)

    @staticmethod
    def macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
        return 4 * channels * hidden_width(design, channels) + 2 * _KERNEL**2 * height * width

    @staticmethod
    def check(design: AttentionDesign, channels: int) -> None:
        check_reduction(design, channels, channels)
