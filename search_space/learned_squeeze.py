"""Squeezes with weights of their own, and the table of all squeezes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from search_space import pooling
from search_space.channel_statistics import wide
from search_space.constants import basis_rows, entries_of_channels
from search_space.design import AttentionDesign
from search_space.frequencies import ALL_FREQUENCIES, spelled_out
from search_space.squeeze import BandEnergy, Linear, Orthonormal, Squeeze, Statistics, map_size, squeeze_only

# An even mixture passes a 49th of a gradient on to each logit, which at the network's learning rate moves none of them
# (at 1 by 0.0006 in 4,300 steps); so they count 49-fold.
_SHARPNESS = len(ALL_FREQUENCIES)


class Context(Squeeze):
    """z = sum over positions of softmax_HW(w x + b) x (GCNet eq. 4): one attention map for all channels.

    The bias b moves no softmax; it is there because the published layer counts it.
    """

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__(design, channels)
        self.mask = nn.Conv2d(channels, 1, 1, **factory)

    def forward(self, x: Tensor) -> Tensor:
        values = wide(x).flatten(2)
        weights = self.mask(x.to(self.mask.weight.dtype)).flatten(2).to(values.dtype).softmax(2)  # [B, 1, HW]
        return (values @ weights.transpose(1, 2)).to(x.dtype)

    @staticmethod
    def macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
        return 2 * channels * height * width

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        return channels + 1


class LearnedFrequencies(Orthonormal):
    """z_c = sum_f softmax(49 logits of its channel group)_f DCT_f(x_c) over all 49 frequencies (FcaNet section 3.3)."""

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__(squeeze_only(design), channels)
        self.logits = nn.Parameter(torch.zeros(design.entries, len(ALL_FREQUENCIES), **factory))

    def forward(self, x: Tensor) -> Tensor:
        channels, height, width = map_size(x)
        dtype = pooling.wide(x.dtype)
        choices = basis_rows(self.design, channels, height, width, dtype, x.device, torch.contiguous_format)
        rows = (self.probabilities(dtype) @ choices.flatten(1)).unflatten(1, (height, width))
        rows = rows[entries_of_channels(self.design, channels, x.device)]
        return (x * rows).sum((2, 3)).unsqueeze(2).to(x.dtype)

    def probabilities(self, dtype: torch.dtype | None = None) -> Tensor:
        """[K, 49] how much each group hears of each frequency."""
        return (_SHARPNESS * self.logits.to(dtype or self.logits.dtype)).softmax(1)

    def chosen(self) -> str:
        """The selection that names each group's likeliest frequency: `at00.01.60`."""
        return spelled_out([ALL_FREQUENCIES[i] for i in self.logits.argmax(1).tolist()])

    @staticmethod
    def macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
        mixing = design.entries * len(ALL_FREQUENCIES) * height * width
        return mixing + channels * height * width

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        return design.entries * len(ALL_FREQUENCIES)


def squeeze_of(design: AttentionDesign) -> type[Squeeze]:
    if design.statistics:
        return Statistics
    if design.learned:
        return LearnedFrequencies
    return SQUEEZES[f"{design.squeeze}-energy" if design.statistic == "energy" else design.squeeze]


SQUEEZES: dict[str, type[Squeeze]] = {
    "context": Context,
    "dct": Linear,
    "wavelet": Linear,
    "wavelet-energy": BandEnergy,
    "recursive": Linear,
    "ortho": Linear,
}
