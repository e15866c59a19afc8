"""What an excitation is: squeezed numbers [B, C, K] -> gate [B, C]; and the mathematics several share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from search_space import pooling
from search_space.design import AttentionDesign

HALF = 0.5  # sigmoid(0), and hard sigmoid of 0


def sigmoid(value: float) -> float:
    return float(torch.sigmoid(torch.tensor(value, dtype=torch.float64)))


class Excitation(nn.Module):
    """Base of all excitations: `forward(z: [B, C, K]) -> gate [B, C]`, and its cost in closed form.

    Every one starts with a gate of about `rest(design)`, its value on the zero vector, before it has learned anything.
    """

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__()
        hard = design.activation == "hard"
        self.activation: nn.Module = nn.Hardsigmoid() if hard else nn.Sigmoid()

    @staticmethod
    def rest(design: AttentionDesign) -> float:
        return HALF

    @staticmethod
    def macs(design: AttentionDesign, channels: int) -> int:
        raise NotImplementedError

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        raise NotImplementedError


def wide_vector(z: Tensor) -> Tensor:
    """[B, C, 1] -> [B, C] in float32 at least."""
    return z.squeeze(2).to(pooling.wide(z.dtype))


def standardised(z: Tensor, dim: int) -> Tensor:
    """(z - mean) / sqrt(var + 1e-5) along `dim`, var biased."""
    variance, mean = torch.var_mean(z, dim, correction=0, keepdim=True)
    return (z - mean) / torch.sqrt(variance + 1e-5)
