"""Excitations that compare channels by one number each, and the table of all excitations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from search_space.design import AttentionDesign
from search_space.excitation import Excitation, sigmoid, standardised, wide_vector
from search_space.learned_gates import CFC, FC, MLP, Affine, Conv1d


class Comparison(Excitation):
    """Base of those below: one number a channel, 1 on a zero vector, and elementwise, so no convention counts MACs."""

    @staticmethod
    def rest(design: AttentionDesign) -> float:
        return 1.0

    @staticmethod
    def macs(design: AttentionDesign, channels: int) -> int:
        return 0

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        return 0


class PFCA(Comparison):
    """gate = sigmoid(((z - m)^2 + 2 (s^2 + l)) / (4 (s^2 + l))), m and s^2 (unbiased) over the channels, l = 1e-4.

    Parameter-free channel attention (Shi et al. 2023): SimAM's inverse energy on the channel axis. Never below
    sigmoid(1/2).
    """

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__(design, channels, **factory)
        assert design.numbers == 1 and channels > 1

    def forward(self, z: Tensor) -> Tensor:
        values = wide_vector(z)
        variance, mean = torch.var_mean(values, 1, keepdim=True)
        return torch.sigmoid((values - mean).square() / (4 * (variance + 1e-4)) + 0.5).to(z.dtype)

    @staticmethod
    def rest(design: AttentionDesign) -> float:
        return sigmoid(0.5)


class Gated(Comparison):
    """gate = 1 + tanh(gamma s / sqrt(mean_c s^2 + 1e-5) + beta), s = alpha z (gated channel transformation, eq. 2-5).

    alpha starts at 1, gamma and beta at 0: the identity. Not to be mistaken for the Gaussian GCT.
    """

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__(design, channels, **factory)
        self.alpha = nn.Parameter(torch.ones(channels, **factory))
        self.gamma = nn.Parameter(torch.zeros(channels, **factory))
        self.beta = nn.Parameter(torch.zeros(channels, **factory))

    def forward(self, z: Tensor) -> Tensor:
        embedded = wide_vector(z) * self.alpha
        norm = (embedded.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return (1 + torch.tanh(self.gamma * embedded / norm + self.beta)).to(z.dtype)

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        return 3 * channels


class Gaussian(Comparison):
    """gate = exp(-z^2 / (2 c^2)), z standardised over the channels, c = 2 (Gaussian context transformer, eq. 5-8)."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.exp(-standardised(wide_vector(z), 1).square() / 8).to(z.dtype)


EXCITATIONS: dict[str, type[Excitation]] = {
    "mlp": MLP,
    "conv1d": Conv1d,
    "affine": Affine,
    "fc": FC,
    "cfc": CFC,
    "pfca": PFCA,
    "gated": Gated,
    "gaussian": Gaussian,
}
