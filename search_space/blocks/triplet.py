"""Triplet attention: CBAM's spatial gate over each pair of the three axes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from search_space.blocks.base import Block, PlaneGate, check_normalisable
from search_space.design import AttentionDesign
from search_space.pooling import max_and_mean


class Triplet(Block):
    """gate[c, i, j] = (g_cw[c, j] + g_hc[i, c] + g_hw[i, j]) / 3, each g = sigmoid(BN(conv_k([max; mean]))).

    max and mean run over the axis that the plane lacks: H, W, C. Misra et al. 2021, Rotate to Attend. Ours:
    the batch norm's momentum is .01, as in CBAM, whose spatial gate this is.
    """

    rest = 0.5

    def __init__(self, design: AttentionDesign, channels: int, *, gain: float = 1.0, **factory: Any) -> None:
        super().__init__(design, channels, gain=gain)
        kernel = _kernel(design)
        self.cw, self.hc, self.hw = (PlaneGate(kernel, **factory) for _ in range(3))

    def gate(self, x: Tensor) -> Tensor:
        check_normalisable(self, x)
        cw = self.cw(max_and_mean(x, 2)).transpose(1, 2)  # [B, 1, C, W] -> [B, C, 1, W]
        hc = self.hc(max_and_mean(x, 3).transpose(2, 3)).permute(0, 3, 2, 1)  # [B, 1, H, C] -> [B, C, H, 1]
        gate: Tensor = (cw + hc + self.hw(max_and_mean(x, 1))) / 3
        return gate

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        return 3 * PlaneGate.params(_kernel(design))

    @staticmethod
    def macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
        planes = height * width + channels * width + height * channels
        return 2 * _kernel(design) ** 2 * planes


def _kernel(design: AttentionDesign) -> int:
    assert design.kernel is not None
    return design.kernel
