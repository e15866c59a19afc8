"""A design as an nn.Module."""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from search_space.design import NONE, AttentionDesign, refuse
from search_space.excitation import EXCITATIONS
from search_space.sites import check_channels
from search_space.squeeze import squeeze_of

SCALES = ("unit", "paper")
GATE_STARTS = ("paper", "identity")


class Attention(nn.Module):
    """y = gate(squeeze(x)) * x, the squeeze-excite-scale form of SENet eq. 2-4. [B, C, H, W] -> [B, C, H, W].

    The state dict holds the excitation's weights only: bases are computed for whatever size arrives.
    """

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
        if scale not in SCALES:
            refuse("scale", scale, ", ".join(SCALES))
        if gate_start not in GATE_STARTS:
            refuse("gate start", gate_start, ", ".join(GATE_STARTS))
        check_channels(design, channels)
        assert design.excitation is not None
        self.design, self.channels, self.scale, self.gate_start = design, channels, scale, gate_start
        excitation = EXCITATIONS[design.excitation]
        self.excitation = excitation(design, channels, device=device, dtype=dtype)
        # starting at the identity: without it a sigmoid gate halves every residual branch, which a short run feels
        self._gain = 1 / excitation.rest if gate_start == "identity" else 1.0
        self._squeeze = squeeze_of(design)
        self._orthonormal = scale == "paper" and design.squeeze in ("dct", "wavelet") and design.statistic == "mean"

    def squeeze(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, K]."""
        with torch.autocast(x.device.type, enabled=False):  # would round bases to half precision
            z = self._squeeze.apply(self.design, x)
        return z * sqrt(x.shape[2] * x.shape[3]) if self._orthonormal else z

    def excite(self, z: Tensor) -> Tensor:
        """[B, C, K] -> gate [B, C]."""
        gate: Tensor = self.excitation(z)
        return self._gain * gate

    def forward(self, x: Tensor) -> Tensor:
        gate = self.excite(self.squeeze(x)).to(x.dtype)
        return x * gate[..., None, None]

    def extra_repr(self) -> str:
        return f"{self.design}, channels={self.channels}, scale={self.scale}, gate_start={self.gate_start}"


def build(design: AttentionDesign, channels: int, **options: Any) -> nn.Module:
    """The design for maps of `channels` channels: nn.Module, [B, C, H, W] -> [B, C, H, W], any H and W.

    Options: `device`, `dtype`; `scale` ("unit": every basis row has L2 norm 1/sqrt(HW), the average is the plain mean;
    "paper": DCT and wavelet rows are orthonormal, as published); `gate_start` ("paper": the published gate;
    "identity": divided by its value on a zero squeeze, so that a sigmoid gate starts at 1 instead of 1/2).
    `functools.partial(build, design)` is what timm takes as `attn_layer`. Raises `DesignError`.
    """
    return nn.Identity() if design == NONE else Attention(design, channels, **options)
