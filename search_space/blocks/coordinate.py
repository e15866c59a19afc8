"""Coordinate attention: one gate along each axis of the map."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_space.blocks.base import Block
from search_space.design import AttentionDesign
from search_space.pooling import average
from search_space.widths import strip_width


class Coordinate(Block):
    """gate[c, i, j] = sigmoid(W_h f_i)_c sigmoid(W_w f_j)_c, f = hardswish(BN(W [mean_W x; mean_H x])).

    W: C -> m = max(8, C // r); W_h, W_w: m -> C; all 1 x 1 convolutions with biases, W shared by both axes, its norm
    over the H + W positions together. Hou et al. 2021, Coordinate Attention, and the released module (m's
    floor, hard swish). A batch of one 1 x 1 map has two positions, so it trains.
    """

    rest = 0.25  # sigmoid(0)^2, up to the random biases

    def __init__(self, design: AttentionDesign, channels: int, *, gain: float = 1.0, **factory: Any) -> None:
        super().__init__(design, channels, gain=gain)
        hidden = strip_width(design, channels)
        self.reduce = nn.Conv2d(channels, hidden, 1, **factory)
        self.norm = nn.BatchNorm2d(hidden, **factory)
        self.rows = nn.Conv2d(hidden, channels, 1, **factory)
        self.columns = nn.Conv2d(hidden, channels, 1, **factory)

    def gate(self, x: Tensor) -> Tensor:
        strips = torch.cat([average(x, 3, keepdim=True), average(x, 2, keepdim=True).transpose(2, 3)], 2)
        strips = F.hardswish(self.norm(self.reduce(strips)))
        rows, columns = strips.split([x.shape[2], x.shape[3]], 2)
        return torch.sigmoid(self.rows(rows)) * torch.sigmoid(self.columns(columns.transpose(2, 3)))

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        hidden = strip_width(design, channels)
        return 3 * channels * hidden + 3 * hidden + 2 * channels

    @staticmethod
    def macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
        return 2 * (height + width) * channels * strip_width(design, channels)
