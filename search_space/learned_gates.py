"""Excitations that learn how to weigh a channel's numbers, one module each: MLP, convolution, affine, FC, CFC."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from search_space.design import AttentionDesign
from search_space.errors import refuse
from search_space.excitation import HALF, Excitation, sigmoid, standardised, wide_vector
from search_space.widths import channel_groups, hidden_width, kernel_size


class MLP(Excitation):
    """gate = sigmoid(W2 relu(W1 z)), W1 [C // r, C K], W2 [C, C // r] (SENet eq. 3).

    `-bias`: b1 and b2, starting at 0; `-ln`: layer norm before the ReLU (GCNet); `-add`: no sigmoid, W2 and b2 start
    at 0, so that x + t starts as x. `-shared`: one MLP on each of the K numbers, logits summed (CBAM eq. 2);
    `-mixed`: that sum with K learned weights, which start at 0 (CAT).
    """

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__(design, channels, **factory)
        hidden = hidden_width(design, channels)
        self.shared = design.sharing is not None
        inputs = channels * (1 if self.shared else design.numbers)
        self.reduce = nn.Linear(inputs, hidden, bias=design.bias, **factory)
        self.norm = nn.LayerNorm(hidden, **factory) if design.norm else nn.Identity()
        self.expand = nn.Linear(hidden, channels, bias=design.bias, **factory)
        self.mix = nn.Parameter(torch.zeros(design.numbers, **factory)) if design.sharing == "mixed" else None
        if design.bias:
            nn.init.zeros_(self.reduce.bias)
            nn.init.zeros_(self.expand.bias)
        if design.fusion == "add":
            self.activation = nn.Identity()
            if self.mix is None:  # two zeros in a row would never learn
                nn.init.zeros_(self.expand.weight)

    def forward(self, z: Tensor) -> Tensor:
        inputs = z.transpose(1, 2) if self.shared else z.flatten(1)
        logits = self.expand(torch.relu(self.norm(self.reduce(inputs))))
        if self.mix is not None:
            logits = (logits * self.mix[:, None]).sum(1)
        elif self.shared:
            logits = logits.sum(1)
        gate: Tensor = self.activation(logits)
        return gate

    @staticmethod
    def rest(design: AttentionDesign) -> float:
        return 1.0 if design.fusion == "add" else HALF

    @staticmethod
    def macs(design: AttentionDesign, channels: int) -> int:
        hidden, numbers = hidden_width(design, channels), design.numbers
        mixing = channels * numbers if design.sharing == "mixed" else 0
        return hidden * channels * (2 * numbers if design.sharing else numbers + 1) + mixing

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        hidden, numbers = hidden_width(design, channels), design.numbers
        weights = hidden * channels * (2 if design.sharing else numbers + 1)
        biases = (hidden + channels) * design.bias + 2 * hidden * design.norm
        return weights + biases + (numbers if design.sharing == "mixed" else 0)


class Conv1d(Excitation):
    """gate = sigmoid(conv1d_k(z)) over neighbouring channels, zero-padded (ECA eq. 9); `-bias` starts at 0."""

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__(design, channels, **factory)
        kernel = kernel_size(design, channels)
        self.conv = nn.Conv1d(design.numbers, 1, kernel, padding=kernel // 2, bias=design.bias, **factory)
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, z: Tensor) -> Tensor:
        gate: Tensor = self.activation(self.conv(z.transpose(1, 2))).squeeze(1)
        return gate

    @staticmethod
    def macs(design: AttentionDesign, channels: int) -> int:
        return kernel_size(design, channels) * design.numbers * channels

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        return kernel_size(design, channels) * design.numbers + design.bias


class Affine(Excitation):
    """gate_c = sigmoid(<w_c, z_c> + b_c), each channel for itself; w and b start at 0.

    `-gG` is LCT (eq. 2-5): z is standardised within channel groups first, and b starts at 1.
    """

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__(design, channels, **factory)
        self.groups = channel_groups(design, channels) if design.groups else None
        self.weight = nn.Parameter(torch.zeros(channels, design.numbers, **factory))
        self.bias = nn.Parameter(torch.full((channels,), float(self.groups is not None), **factory))

    def forward(self, z: Tensor) -> Tensor:
        if self.groups is not None:
            grouped = wide_vector(z).unflatten(1, (self.groups, -1))
            z = standardised(grouped, 2).flatten(1).unsqueeze(2).to(z.dtype)
        gate: Tensor = self.activation((z * self.weight).sum(2) + self.bias)
        return gate

    @staticmethod
    def rest(design: AttentionDesign) -> float:
        if design.groups is None:
            return HALF
        return 4 / 6 if design.activation == "hard" else sigmoid(1.0)

    @staticmethod
    def macs(design: AttentionDesign, channels: int) -> int:
        return channels * design.numbers

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        return channels * (design.numbers + 1)


class FC(Excitation):
    """gate = sigmoid(W z), W [C, C K], one layer; with `-bias-hard` effective SE (ESE). W starts small, b at 0."""

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__(design, channels, **factory)
        self.full = nn.Linear(channels * design.numbers, channels, bias=design.bias, **factory)
        if design.bias:
            nn.init.zeros_(self.full.bias)

    def forward(self, z: Tensor) -> Tensor:
        gate: Tensor = self.activation(self.full(z.flatten(1)))
        return gate

    @staticmethod
    def macs(design: AttentionDesign, channels: int) -> int:
        return channels * channels * design.numbers

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        return channels * channels * design.numbers + channels * design.bias


class CFC(Excitation):
    """gate_c = sigmoid(BN(<w_c, z_c>)), w starting at 0: SRM's channel-wise fully connected layer (eq. 3-5)."""

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__(design, channels, **factory)
        self.weight = nn.Parameter(torch.zeros(channels, design.numbers, **factory))
        self.norm = nn.BatchNorm1d(channels, **factory)

    def forward(self, z: Tensor) -> Tensor:
        if self.training and z.shape[0] == 1:
            refuse("batch of cfc in training", 1, "2 images or more (batch norm over images), or eval mode")
        gate: Tensor = self.activation(self.norm((z * self.weight).sum(2)))
        return gate

    @staticmethod
    def macs(design: AttentionDesign, channels: int) -> int:
        return channels * design.numbers

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        return channels * (design.numbers + 2)
