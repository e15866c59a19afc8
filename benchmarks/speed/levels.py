"""The linear squeezes as public code computes them: level by level, or by a product as large as the map.

Wavelets as `ptwt` and `pytorch_wavelets` have them, a strided convolution for each level; WaveNet-C's recursion down to
one pixel; FcaNet's and OrthoNets' product of the map with their filters, which is then summed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pywt
import torch
import torch.nn.functional as F
from torch import Tensor

from search_space import AttentionDesign, bases

Transform = Callable[[Tensor], Tensor]
"""Maps [B, C, H, W] -> numbers [B, C, K], up to a factor for each."""


def level_by_level(design: AttentionDesign, x: Tensor) -> Transform:
    """For maps like `x`, filters and indices ready."""
    channels, height, width = x.shape[1:]
    of_channel = torch.from_numpy(bases.entry_of_channel(design, channels, design.entries))
    if design.squeeze == "wavelet":
        filters = _wavelet_filters(design).to(x.dtype).repeat(channels, 1, 1, 1)
        chosen = torch.tensor(bases.selected_bands(design))
        return partial(_wavelet, design=design, filters=filters, chosen=chosen, of_channel=of_channel)
    if design.squeeze == "recursive":
        signs = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=x.dtype)
        four = torch.stack([torch.outer(h, w) for w in signs for h in signs])  # in the order of `bases.recursive`
        own = four[:, None].repeat(channels, 1, 1, 1) if design.each else four[of_channel, None]
        return partial(_recursive, filters=own)
    if design.squeeze == "avg":
        return lambda x: x.mean((2, 3))[..., None]
    wide = torch.promote_types(x.dtype, torch.float32)  # as public layers keep them
    rows = torch.from_numpy(bases.basis(design, height, width, channels)).to(wide)
    if design.each:
        return lambda x: torch.stack([(x * row).sum((2, 3)) for row in rows], 2)
    index = torch.from_numpy(bases.entry_of_channel(design, channels, len(rows)))
    own = rows[index][None].contiguous(memory_format=_layout(x))
    return lambda x: (x * own).sum((2, 3))[..., None]


def _layout(x: Tensor) -> torch.memory_format:
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def _wavelet_filters(design: AttentionDesign) -> Tensor:
    """[4, 1, n, n]: approximation, then row, column, diagonal differences."""
    assert design.wavelet is not None
    low, high = (torch.tensor(taps[::-1], dtype=torch.float64) for taps in pywt.Wavelet(design.wavelet).filter_bank[:2])
    return torch.stack([torch.outer(h, w) for h, w in ((low, low), (high, low), (low, high), (high, high))])[:, None]


def _wavelet(x: Tensor, *, design: AttentionDesign, filters: Tensor, chosen: Tensor, of_channel: Tensor) -> Tensor:
    """Each level a depthwise convolution of stride 2 on the periodic map; then the mean of each band."""
    assert design.depth is not None
    B, C, *_ = x.shape
    means: list[Tensor] = []
    taps = filters.shape[-1]
    for _ in range(design.depth):
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), mode="replicate") if _is_odd(x) else x
        before = taps // 2 - 1
        after = taps - 2 - before
        found = F.conv2d(_periodic(x, before, after), filters, stride=2, groups=C).unflatten(1, (C, 4))
        x = found[:, :, 0]
        means = [found[:, :, 1:].mean((3, 4)), *means]
    every = torch.cat([x.mean((2, 3))[..., None], *means], 2)[..., chosen]  # [B, C, bands]
    return every if design.each else every.gather(2, of_channel[None, :, None].expand(B, C, 1))


def _recursive(x: Tensor, *, filters: Tensor) -> Tensor:
    """2 x 2 filters of stride 2, each on its own output, until one pixel is left."""
    C = x.shape[1]
    while x.shape[-1] > 1:
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2)) if _is_odd(x) else x
        x = F.conv2d(x, filters, stride=2, groups=x.shape[1])  # at first one group a channel, then one a filter
    return x.flatten(1).unflatten(1, (C, -1))


def _periodic(x: Tensor, before: int, after: int) -> Tensor:
    if max(before, after) <= min(x.shape[2:]):
        return F.pad(x, (before, after, before, after), mode="circular") if before + after else x
    for dim in (2, 3):  # round more than once
        index = torch.arange(-before, x.shape[dim] + after) % x.shape[dim]
        x = x.index_select(dim, index)
    return x


def _is_odd(x: Tensor) -> bool:
    return bool(x.shape[2] % 2 or x.shape[3] % 2)
