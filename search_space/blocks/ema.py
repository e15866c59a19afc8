"""EMA: efficient multi-scale attention across the positions of a channel group."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from search_space.blocks.base import Block, check_groups
from search_space.design import AttentionDesign
from search_space.pooling import average


class EMA(Block):
    """A spatial gate for each of g groups of c = C / g channels; the weights are shared by the groups.

    With u one group:  [h; w] = conv1x1([mean_W u; mean_H u]),  p = GN(u sigmoid(h) sigmoid(w)),  q = conv3x3(u),
    gate = sigmoid(softmax(GAP p) . q + softmax(GAP q) . p), the products over channels: one number a position.

    Ouyang et al. 2023, Efficient Multi-Scale Attention Module with Cross-Spatial Learning, and the released
    module: both convolutions have biases, GN has c groups. A group norm of one channel has mean `norm.bias`, so
    softmax(GAP p) is a constant of the weights; it is computed as published. Where in a network it stands is open.
    """

    rest = 0.5  # sigmoid(0), up to the mean of the 3 x 3 convolution's random biases

    def __init__(self, design: AttentionDesign, channels: int, *, gain: float = 1.0, **factory: Any) -> None:
        super().__init__(design, channels, gain=gain)
        width = _width(design, channels)
        self.strips = nn.Conv2d(width, width, 1, **factory)
        self.local = nn.Conv2d(width, width, 3, padding=1, **factory)
        self.norm = nn.GroupNorm(width, width, **factory)

    def gate(self, x: Tensor) -> Tensor:
        groups, (height, width) = self.design.groups, x.shape[2:]
        assert groups is not None
        grouped = x.unflatten(1, (groups, -1)).flatten(0, 1)  # [B g, c, H, W]
        rows, columns = average(grouped, 3, keepdim=True), average(grouped, 2, keepdim=True).transpose(2, 3)
        rows, columns = torch.sigmoid(self.strips(torch.cat([rows, columns], 2))).split([height, width], 2)
        strips = self._normalise(grouped * rows * columns.transpose(2, 3))
        local = self.local(grouped)
        logits = _attend(strips, local) + _attend(local, strips)  # [B g, 1, H W]
        gate = torch.sigmoid(logits).unflatten(0, (-1, groups)).unflatten(3, (height, width))
        return gate.expand(-1, -1, x.shape[1] // groups, -1, -1).flatten(1, 2)

    def _normalise(self, u: Tensor) -> Tensor:
        # not self.norm(u): nn.GroupNorm refuses a single value, even in evaluation; normalised, it is the bias
        return torch.group_norm(u, self.norm.num_groups, self.norm.weight, self.norm.bias, self.norm.eps)

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        width = _width(design, channels)
        return 10 * width**2 + 4 * width

    @staticmethod
    def macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
        """Strips, 3 x 3 convolution, and the two matrix products of one row with [c, HW]."""
        per_group = _width(design, channels)
        return channels * per_group * (height + width + 9 * height * width) + 2 * channels * height * width

    @staticmethod
    def check(design: AttentionDesign, channels: int) -> None:
        check_groups(design, channels)


def _attend(query: Tensor, values: Tensor) -> Tensor:
    """softmax over channels of the query's averages, times the values: [B g, c, H, W] twice -> [B g, 1, HW]."""
    weights = torch.softmax(average(query, (2, 3)), 1).to(values.dtype)
    return weights.unsqueeze(1) @ values.flatten(2)


def _width(design: AttentionDesign, channels: int) -> int:
    assert design.groups is not None
    return channels // design.groups
