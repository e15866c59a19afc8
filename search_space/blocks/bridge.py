"""Bridge attention: the gate of a residual block hears every convolution of the block."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from search_space.blocks.base import Block, check_reduction
from search_space.design import AttentionDesign
from search_space.errors import refuse
from search_space.pooling import average
from search_space.widths import hidden_width


class _Heard(threading.local):
    """Module and average of every source of the forward pass that this thread is in."""

    def __init__(self) -> None:
        self.sources: list[tuple[nn.Module, Tensor]] = []


class Bridge(Block):
    """gate = sigmoid(W relu(sum_i BN(W_i GAP(u_i)))), u_i the output of the residual block's i-th convolution.

    W_i: C_i -> C // r, W: C // r -> C, no biases. Zhao et al. 2022, BA-Net, and the released module: earlier
    convolutions are heard after norm and ReLU, the last one, x itself, after its norm. A batch of one cannot train.

    Args:
        sources: channels of every earlier convolution, in order; x is the last source and not named.

    `hear` is a forward hook for the modules that end the earlier convolutions, one distinct module each:
    `block.act1.register_forward_hook(bridge.hear)`. As a bound method it is copied with the network, and the copy
    hears its own. The averages live from `hear` to the end of `forward`, in each thread its own, so that threads may
    share a network; copies and pickles never hold them.
    """

    rest = 0.5

    def __init__(
        self,
        design: AttentionDesign,
        channels: int,
        sources: Sequence[int],
        *,
        gain: float = 1.0,
        **factory: Any,
    ) -> None:
        super().__init__(design, channels, gain=gain)
        self.sources = tuple(sources)
        hidden = hidden_width(design, channels)
        self.bridges = nn.ModuleList(
            nn.Sequential(nn.Linear(source, hidden, bias=False, **factory), nn.BatchNorm1d(hidden, **factory))
            for source in (*self.sources, channels)
        )
        self.expand = nn.Linear(hidden, channels, bias=False, **factory)
        self._heard = _Heard()

    def hear(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        """A forward hook. Raises `RuntimeError` if the outputs do not come as `sources` says."""
        so_far = self._heard.sources
        if any(earlier is module for earlier, _ in so_far):
            so_far.clear()  # the last forward was aborted before the gate
        expected = self.sources[len(so_far)] if len(so_far) < len(self.sources) else None
        if output.shape[1] != expected:
            heard, given = len(so_far), output.shape[1]
            so_far.clear()
            raise RuntimeError(
                f"bridge attention: heard {given} channels as source {heard + 1}; "
                f"expected sources of {self.sources} channels, in this order, then the gated map"
            )
        so_far.append((module, average(output, (2, 3))))

    def gate(self, x: Tensor) -> Tensor:
        heard = [average_of_source for _, average_of_source in self._heard.sources]
        self._heard.sources.clear()
        if len(heard) != len(self.sources):
            raise RuntimeError(
                f"bridge attention: heard {len(heard)} of {len(self.sources)} sources before the gated map; "
                "register `hear` as a forward hook of the module that ends each earlier convolution"
            )
        if self.training and x.shape[0] == 1:
            refuse(
                "batch",
                f"{self.design} with a batch of one in training",
                "two images or more, or evaluation mode; its batch norm needs two values",
            )
        bridged = [bridge(z) for bridge, z in zip(self.bridges, [*heard, average(x, (2, 3))], strict=True)]
        hidden = torch.relu(torch.stack(bridged).sum(0))
        return torch.sigmoid(self.expand(hidden))[..., None, None]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_heard"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._heard = _Heard()

    @staticmethod
    def params(design: AttentionDesign, channels: int, sources: Sequence[int]) -> int:  # type: ignore[override]
        # without its sources a bridge has no count; a default would be a wrong number
        hidden = hidden_width(design, channels)
        return Bridge.macs(design, channels, 1, 1, sources) + 2 * hidden * (len(sources) + 1)

    @staticmethod
    def macs(  # type: ignore[override]
        design: AttentionDesign, channels: int, height: int, width: int, sources: Sequence[int]
    ) -> int:
        return hidden_width(design, channels) * (sum(sources) + 2 * channels)

    @staticmethod
    def check(design: AttentionDesign, channels: int) -> None:
        check_reduction(design, channels, channels)
