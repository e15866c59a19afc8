"""A design as an nn.Module."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from search_space.blocks import BLOCKS, Block
from search_space.design import NONE, AttentionDesign
from search_space.errors import refuse
from search_space.excitation import Excitation
from search_space.gates import EXCITATIONS
from search_space.learned_squeeze import LearnedFrequencies, squeeze_of
from search_space.sites import check_channels
from search_space.squeeze import Squeeze, check_map, map_size

SCALES = ("unit", "paper")
GATE_STARTS = ("paper", "identity")


class Attention(nn.Module):
    """y = gate(squeeze(x)) * x, the squeeze-excite-scale form of SENet eq. 2-4, or x + excitation with `-add`.

    [B, C, H, W] -> [B, C, H, W]. The state dict holds learned weights (and batch norm's statistics) only: bases are
    computed for whatever size arrives.
    """

    position = 0

    def __init__(
        self,
        design: AttentionDesign,
        channels: int,
        *,
        scale: str = "unit",
        gate_start: str = "paper",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        squeeze, excitation = parts(design)
        self.design, self.channels, self.scale, self.gate_start = design, channels, scale, gate_start
        self.pooling = squeeze(design, channels, device=device, dtype=dtype)
        self.excitation = excitation(design, channels, device=device, dtype=dtype)
        self._gain = gain(excitation.rest(design), gate_start)
        self.adds = design.fusion == "add"

    def squeeze(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, K]."""
        with torch.autocast(x.device.type, enabled=False):  # would round bases to half precision
            z: Tensor = self.pooling(x)
        return self.scaled(z, *map_size(x)[1:])

    def scaled(self, z: Tensor, height: int, width: int) -> Tensor:
        """What was squeezed of an H x W map, in the scale of this layer."""
        factor = self.pooling.paper_gain(height, width) if self.scale == "paper" else 1.0
        return z if factor == 1 else z * factor

    def excite(self, z: Tensor) -> Tensor:
        """[B, C, K] -> gate [B, C]; with `-add` what is added."""
        gate: Tensor = self.excitation(z)
        return gate if self._gain == 1 else self._gain * gate

    def forward(self, x: Tensor) -> Tensor:
        check_map(x, self.channels, self.design)
        gate = self.excite(self.squeeze(x)).to(x.dtype)[..., None, None]
        return x + gate if self.adds else x * gate

    def extra_repr(self) -> str:
        return f"{self.design}, channels={self.channels}, scale={self.scale}, gate_start={self.gate_start}"


def parts(design: AttentionDesign) -> tuple[type[Squeeze], type[Excitation]]:
    """The two classes that a squeeze-excite-scale design is made of."""
    assert design.excitation is not None
    return squeeze_of(design), EXCITATIONS[design.excitation]


def gain(rest: float, gate_start: str) -> float:
    """What the gate is multiplied by: a sigmoid gate halves every residual branch at first, which a short run feels."""
    return 1 / rest if gate_start == "identity" else 1.0


def build(design: AttentionDesign, channels: int, **options: Any) -> nn.Module:
    """The design for maps of `channels` channels: nn.Module, [B, C, H, W] -> [B, C, H, W], any H and W.

    Options: `device`, `dtype`; `scale` ("unit": every basis row has L2 norm 1/sqrt(HW), the average is the plain mean;
    "paper": DCT, wavelet and random rows are orthonormal and GCT's norm is a sum, as published); `gate_start`
    ("paper": the published gate; "identity": divided by its value on a zero squeeze, so that a sigmoid gate starts at
    1 instead of 1/2). `design.layer` is what timm takes as `attn_layer`. Raises `DesignError`.
    """
    if not isinstance(design, AttentionDesign):
        refuse("design", design, "an AttentionDesign, as PRESETS['se'] or AttentionDesign.parse('avg/mlp-r16')")
    if type(channels) is not int or channels < 1:
        refuse("channels", channels, "a whole number from 1")
    check_options(**{name: options[name] for name in ("scale", "gate_start") if name in options})
    if design == NONE:
        return nn.Identity()
    check_channels(design, channels)
    if design.squeeze == "ba":
        refuse("design", str(design), "a layer of its own; ba hears a whole residual block: use trainers.backbone")
    if not design.is_block:
        return Attention(design, channels, **options)
    block = BLOCKS[design.squeeze]
    options = {name: value for name, value in options.items() if name != "scale"}  # blocks have published scale only
    return block(design, channels, gain=gain(block.rest, options.pop("gate_start", "paper")), **options)


def check_options(scale: str = "unit", gate_start: str = "paper") -> None:
    if scale not in SCALES:
        refuse("scale", scale, ", ".join(SCALES))
    if gate_start not in GATE_STARTS:
        refuse("gate start", gate_start, ", ".join(GATE_STARTS))


def settle(net: nn.Module) -> list[AttentionDesign]:
    """The designs of a network's attentions, each learned selection replaced by what training chose.

    In the order of their `position`, which who places them sets; otherwise in that of the network's modules.
    """
    found = [module for module in net.modules() if isinstance(module, (Attention, Block))]
    return [_settled(module) for module in sorted(found, key=lambda module: module.position)]


def _settled(attention: Attention | Block) -> AttentionDesign:
    if isinstance(attention, Attention) and isinstance(attention.pooling, LearnedFrequencies):
        return replace(attention.design, selection=attention.pooling.chosen())
    return attention.design
