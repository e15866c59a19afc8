"""CAT: channel and spatial attention that learn how much each of three poolings, and each other, count."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from search_space.blocks.base import Block, check_reduction
from search_space.design import AttentionDesign
from search_space.pooling import BLUR_MACS, average, entropy, gaussian_blur, min_max, spatial_entropy
from search_space.widths import hidden_width

_KERNEL = 7


class CAT(Block):
    """gate = w_c A_c + w_s A_s, (w_c, w_s) = softmax of two learned numbers.

    A_c = sigmoid(sum_i a_i MLP(z_i)), z = average, maximum of the blurred map (5 x 5, sigma 1), entropy of the softmax
    over HW, min-max normalised over the channels; the MLP is C -> C // r -> C, shared, without biases.
    A_s = sigmoid(sum_i b_i conv7x7(m_i)), m = the same three over the channels of each position, the entropy
    normalised over the positions; the convolution is 1 -> 1, shared, without bias. a, b and the two numbers start
    at 0: every gate is 1/2, and the first step moves a and b only.

    Wu et al. 2022, CAT: Learning to Collaborate Channel and Spatial Attention from Multi-Information Fusion (arXiv
    2212.06335); no code was released. Ours where the paper is silent: no biases; the blur repeats the border pixel;
    both entropies keep their sign; one blurred map serves both branches; the two maps are mixed as gates, before they
    meet x. The convolution is linear, so sum_i b_i conv(m_i) is executed as conv(sum_i b_i m_i).

    MACs: blur 10 an element, entropies 1 each, three passes of the MLP, one convolution.
    """

    rest = 0.5

    def __init__(self, design: AttentionDesign, channels: int, *, gain: float = 1.0, **factory: Any) -> None:
        super().__init__(design, channels, gain=gain)
        hidden = hidden_width(design, channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden, bias=False, **factory),
            nn.ReLU(),
            nn.Linear(hidden, channels, bias=False, **factory),
        )
        self.conv = nn.Conv2d(1, 1, _KERNEL, padding=_KERNEL // 2, bias=False, **factory)
        self.channel_factors = nn.Parameter(torch.zeros(3, **factory))
        self.spatial_factors = nn.Parameter(torch.zeros(3, **factory))
        self.mix = nn.Parameter(torch.zeros(2, **factory))

    def gate(self, x: Tensor) -> Tensor:
        blurred = gaussian_blur(x)
        channel_weight, spatial_weight = torch.softmax(self.mix, 0).unbind()
        return channel_weight * self.channel_gate(x, blurred) + spatial_weight * self.spatial_gate(x, blurred)

    def channel_gate(self, x: Tensor, blurred: Tensor) -> Tensor:
        """[B, C, 1, 1]."""
        unevenness = min_max(spatial_entropy(x), 1).to(x.dtype)
        squeezed = torch.stack([average(x, (2, 3)), blurred.amax((2, 3)), unevenness], 1)  # [B, 3, C]
        logits = (self.channel_factors[:, None] * self.mlp(squeezed)).sum(1)
        return torch.sigmoid(logits)[..., None, None]

    def spatial_gate(self, x: Tensor, blurred: Tensor) -> Tensor:
        """[B, 1, H, W]."""
        unevenness = min_max(entropy(x, 1), (1, 2)).to(x.dtype)
        squeezed = torch.stack([average(x, 1), blurred.amax(1), unevenness], 1)  # [B, 3, H, W]
        mixed = (self.spatial_factors[:, None, None] * squeezed).sum(1, keepdim=True)
        return torch.sigmoid(self.conv(mixed))

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        return 2 * channels * hidden_width(design, channels) + _KERNEL**2 + 3 + 3 + 2

    @staticmethod
    def macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
        poolings = (BLUR_MACS + 2) * channels * height * width
        return poolings + 6 * channels * hidden_width(design, channels) + _KERNEL**2 * height * width

    @staticmethod
    def check(design: AttentionDesign, channels: int) -> None:
        check_reduction(design, channels, channels)
