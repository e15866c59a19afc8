"""What all blocks share: the forward pass, the cost interface, and the sizes that they refuse."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from search_space.design import AttentionDesign
from search_space.errors import refuse
from search_space.squeeze import check_map


class Block(nn.Module):
    """A published attention that is no squeeze-excite-scale product: y = x * gain * gate(x), [B, C, H, W] -> same.

    Any height and width, batches of one included; what the mathematics forbids raises `DesignError`. Statistics
    accumulate in float32, the gate is cast to the map's dtype.

    Subclasses give `gate`, `rest` (the gate's value before anything is heard) and closed forms of their cost:
    `params`, buffers excluded, and `macs` for one image. MACs are those of convolutions, linear layers, matrix
    products, and of products with the map that are inner products (squares summed to a variance, p log p, a fixed
    filter); norms, pooling and gates times maps count 0.
    """

    rest: ClassVar[float]
    position = 0

    def __init__(self, design: AttentionDesign, channels: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.check(design, channels)
        self.design, self.channels, self.gain = design, channels, gain

    def gate(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> a gate that broadcasts to it."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        check_map(x, self.channels, self.design)
        gate = self.gate(x)
        if self.gain != 1:
            gate = self.gain * gate
        return x * gate.to(x.dtype)

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        raise NotImplementedError

    @staticmethod
    def macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
        raise NotImplementedError

    @staticmethod
    def check(design: AttentionDesign, channels: int) -> None:
        """Raises `DesignError` if the design is impossible with so many channels."""

    def extra_repr(self) -> str:
        return f"{self.design}, channels={self.channels}, gain={self.gain:g}"


class PlaneGate(nn.Module):
    """[B, 2, P, Q] -> sigmoid(BN(conv_k)) [B, 1, P, Q], no bias, BN momentum .01: CBAM's spatial gate."""

    def __init__(self, kernel: int, **factory: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False, **factory)
        self.norm = nn.BatchNorm2d(1, eps=1e-5, momentum=0.01, **factory)

    def forward(self, planes: Tensor) -> Tensor:
        return torch.sigmoid(self.norm(self.conv(planes)))

    @staticmethod
    def params(kernel: int) -> int:
        return 2 * kernel**2 + 2


def check_groups(design: AttentionDesign, channels: int) -> None:
    assert design.groups is not None
    if channels % design.groups:
        largest = max(groups for groups in range(1, design.groups + 1) if channels % groups == 0)
        allowed = f"a number of groups that divides {channels}, as {design.squeeze}-g{largest}"
        refuse("groups", f"{design} with {channels} channels", allowed)


def check_reduction(design: AttentionDesign, channels: int, widest: int) -> None:
    """Refuses an MLP without a hidden unit; `widest` is the width that the reduction divides."""
    assert design.reduction is not None
    if design.reduction > widest:
        refuse("reduction", f"{design} with {channels} channels", f"r1 to r{widest}")


def check_normalisable(block: Block, x: Tensor) -> None:
    """Refuses batch statistics of one value, which torch would refuse in words about its own arguments."""
    batch, _, height, width = x.shape
    # the batch is asked last: an exported program must not fix it
    if block.training and height == 1 and width == 1 and batch == 1:
        refuse(
            "map",
            f"{block.design} on one 1x1 map in training",
            "two images or more, a larger map, or evaluation mode; its batch norm needs two values",
        )
