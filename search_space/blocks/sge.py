"""SGE: spatial group-wise enhance."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from search_space.blocks.base import Block, check_groups
from search_space.design import AttentionDesign
from search_space.excitation import sigmoid
from search_space.pooling import wide


class SGE(Block):
    """A spatial gate for each of g groups: gate = sigmoid(weight (t - mean t) / (std t + 1e-5) + bias).

    t = <GAP(u), u> at every position of the group u, mean and std (unbiased) over the positions, weight 0 and
    bias 1 at the start, one of each a group. Li et al. 2019, Spatial Group-wise Enhance, and the released
    module, which has the start and the place of the 1e-5. Ours: one pixel deviates by 0 (std of one is 0 / 0), so
    there the gate is sigmoid(bias).

    MACs: <GAP(u), u>, one an element; it is an elementwise product and a sum, in float32.
    """

    rest = sigmoid(1.0)

    def __init__(self, design: AttentionDesign, channels: int, *, gain: float = 1.0, **factory: Any) -> None:
        super().__init__(design, channels, gain=gain)
        assert design.groups is not None
        self.weight = nn.Parameter(torch.zeros(design.groups, 1, 1, 1, **factory))
        self.bias = nn.Parameter(torch.ones(design.groups, 1, 1, 1, **factory))

    def gate(self, x: Tensor) -> Tensor:
        groups = self.design.groups
        assert groups is not None
        values = x.to(wide(x.dtype))
        likeness = (values * values.mean((2, 3), keepdim=True)).unflatten(1, (groups, -1)).sum(2, keepdim=True)
        likeness = likeness - likeness.mean((3, 4), keepdim=True)  # [B, g, 1, H, W]
        if x.shape[2] * x.shape[3] > 1:
            likeness = likeness / (likeness.std((3, 4), keepdim=True) + 1e-5)
        gate = torch.sigmoid(self.weight * likeness + self.bias).to(x.dtype)
        return gate.expand(-1, -1, x.shape[1] // groups, -1, -1).flatten(1, 2)

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        assert design.groups is not None
        return 2 * design.groups

    @staticmethod
    def macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
        return channels * height * width

    @staticmethod
    def check(design: AttentionDesign, channels: int) -> None:
        check_groups(design, channels)
