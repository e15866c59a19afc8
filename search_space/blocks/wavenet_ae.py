"""WaveNet auto-encoder: SE on the four bands of a one-level Haar analysis, then synthesis."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_space.blocks.base import Block, check_reduction
from search_space.design import AttentionDesign
from search_space.pooling import layout, wide
from search_space.squeeze import check_map

_BANDS = 4


class WaveNetAE(Block):
    """y = S(gate * A(x)), gate = sigmoid(W2 relu(W1 z)) for each of the 4 C bands of A, no biases, reduction r of 4 C.

    A: orthonormal Haar analysis, S: its synthesis; all gates 1 is the identity. An odd side is padded with a zero
    at its end and cropped after synthesis. After Salman et al. 2022, WaveNets: Wavelet Channel Attention Networks.

    Ours: z is the mean of the approximation but the mean absolute value of a detail band. A detail's mean is near 0 in
    any texture, whatever its contrast; it would tell the MLP about the borders only.

    MACs: one an element of the padded map for the analysis, another for the synthesis: a coefficient is one
    multiplication, by 1/2, and sums. (As a dense 2 x 2 convolution each would be four.)
    """

    rest = 0.5

    def __init__(self, design: AttentionDesign, channels: int, *, gain: float = 1.0, **factory: Any) -> None:
        super().__init__(design, channels, gain=gain)
        bands, hidden = _BANDS * channels, _hidden(design, channels)
        self.reduce = nn.Linear(bands, hidden, bias=False, **factory)
        self.expand = nn.Linear(hidden, bands, bias=False, **factory)

    def forward(self, x: Tensor) -> Tensor:
        check_map(x, self.channels, self.design)
        bands = analysis(x.to(wide(x.dtype)))
        gated = bands * (self.gain * self.band_gate(bands, x.dtype)).to(bands.dtype)
        cropped = synthesis(gated)[..., : x.shape[2], : x.shape[3]]
        return cropped.to(x.dtype).contiguous(memory_format=layout(x))

    def band_gate(self, bands: Tensor, dtype: torch.dtype) -> Tensor:
        """[B, 4, C, H / 2, W / 2] -> [B, 4, C, 1, 1]; the MLP runs in `dtype`."""
        approximation, details = bands[:, :1], bands[:, 1:].abs()
        z = torch.cat([approximation.mean((3, 4)), details.mean((3, 4))], 1).flatten(1).to(dtype)
        gate = torch.sigmoid(self.expand(torch.relu(self.reduce(z))))
        return gate.unflatten(1, (_BANDS, -1))[..., None, None]

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        return 2 * _BANDS * channels * _hidden(design, channels)

    @staticmethod
    def macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
        padded = channels * (height + height % 2) * (width + width % 2)
        return 2 * padded + WaveNetAE.params(design, channels)

    @staticmethod
    def check(design: AttentionDesign, channels: int) -> None:
        check_reduction(design, channels, _BANDS * channels)


def analysis(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, 4, C, ceil(H / 2), ceil(W / 2)]: approximation, then row, column, diagonal differences."""
    x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
    top, bottom = x[:, :, 0::2], x[:, :, 1::2]
    sums, differences = top + bottom, top - bottom
    bands = [part for pair in (sums, differences) for part in _sum_and_difference(pair)]
    approximation, column, row, diagonal = bands
    return torch.stack([approximation, row, column, diagonal], 1) / 2


def synthesis(bands: Tensor) -> Tensor:
    """The inverse of `analysis`, at its padded size."""
    approximation, row, column, diagonal = bands.unbind(1)
    sums = _interleave(approximation + column, approximation - column, 3)
    differences = _interleave(row + diagonal, row - diagonal, 3)
    return _interleave(sums + differences, sums - differences, 2) / 2


def _sum_and_difference(x: Tensor) -> tuple[Tensor, Tensor]:
    left, right = x[..., 0::2], x[..., 1::2]
    return left + right, left - right


def _interleave(even: Tensor, odd: Tensor, dim: int) -> Tensor:
    return torch.stack([even, odd], dim + 1).flatten(dim, dim + 1)


def _hidden(design: AttentionDesign, channels: int) -> int:
    assert design.reduction is not None
    return _BANDS * channels // design.reduction
