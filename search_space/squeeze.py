"""Squeeze operators: [B, C, H, W] -> [B, C, K], one function each, and the table of them at the end.

All accumulate in float32 (float64 for float64 maps) and return the map's dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from search_space import bases
from search_space.design import AttentionDesign

# keeps the gradient of a square root finite on constant channels; far below any statistic of a normalised map
_EPSILON = 1e-5


def linear(design: AttentionDesign, x: Tensor) -> Tensor:
    """z_c = <b_k, x_c>: average, DCT coefficients (FcaNet eq. 9) and wavelet band means, one inner product each."""
    _, channels, height, width = x.shape
    channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    rows = _basis_tensor(
        _basis_of(design),
        channels,
        height,
        width,
        dtype=torch.promote_types(x.dtype, torch.float32),
        device=x.device,
        channels_last=channels_last,
    )
    if design.each:
        return (x.to(rows.dtype).flatten(2) @ rows.flatten(1).T).to(x.dtype)
    # one multiply-accumulate an element; on CPUs faster than the batched matrix products that say the same
    return (x * rows).sum((2, 3)).unsqueeze(2).to(x.dtype)


def maximum(_: AttentionDesign, x: Tensor) -> Tensor:
    """z_c = max over H, W (CBAM's second pooling)."""
    return x.amax((2, 3)).unsqueeze(2)


def standard_deviation(_: AttentionDesign, x: Tensor) -> Tensor:
    """z_c = sqrt(mean (x - mean x)^2 + eps): biased, so one pixel has none and no division by zero."""
    values = _wide(x).flatten(2)
    return torch.sqrt(values.var(2, correction=0, keepdim=True) + _EPSILON).to(x.dtype)


def energy(_: AttentionDesign, x: Tensor) -> Tensor:
    """z_c = mean of x^2 over H, W."""
    return _wide(x).square().mean((2, 3)).unsqueeze(2).to(x.dtype)


def band_energy(design: AttentionDesign, x: Tensor) -> Tensor:
    """z_c = sum of squares of one band / HW: by Parseval the bands of an orthogonal wavelet add up to `energy`."""
    assert design.wavelet is not None and design.depth is not None
    approximation = _wide(x)
    found: list[Tensor] = []  # finest level first, in each: row, column, diagonal differences
    pixels = 1
    for level in range(design.depth):
        along_h = _analysis_tensor(design.wavelet, design.depth, x.shape[2], level, approximation)
        along_w = _analysis_tensor(design.wavelet, design.depth, x.shape[3], level, approximation)
        pixels = max(pixels, len(along_h) * len(along_w))  # of the map as resampled for the first level
        coefficients = along_h @ approximation @ along_w.T
        top, bottom = coefficients.chunk(2, 2)
        approximation, column = top.chunk(2, 3)
        row, diagonal = bottom.chunk(2, 3)
        found = [band.square().sum((2, 3)) / pixels for band in (row, column, diagonal)] + found
    found.insert(0, approximation.square().sum((2, 3)) / pixels)
    energies = torch.stack([found[i] for i in bases.selected_bands(design)], 2)
    if not design.each:
        group = torch.from_numpy(bases.group_of_channel(x.shape[1], design.entries)).to(x.device)
        energies = energies[:, torch.arange(x.shape[1], device=x.device), group].unsqueeze(2)
    return energies.to(x.dtype)


@dataclass(frozen=True)
class Squeeze:
    """An operator and its multiply-accumulates for one image, in closed form: (design, C, H, W) -> MACs."""

    apply: Callable[[AttentionDesign, Tensor], Tensor]
    macs: Callable[[AttentionDesign, int, int, int], int]


def squeeze_of(design: AttentionDesign) -> Squeeze:
    name = design.squeeze
    if name == "wavelet":
        name = f"wavelet-{design.statistic}"
    return SQUEEZES[name]


def _linear_macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
    return channels * height * width * design.numbers


def _band_energy_macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
    """What is executed: two dense products a level, then the squares."""
    assert design.wavelet is not None and design.depth is not None
    total = 0
    for along_h, along_w in zip(
        bases.analysis(design.wavelet, design.depth, height),
        bases.analysis(design.wavelet, design.depth, width),
        strict=True,
    ):
        (rows, height), (columns, width) = along_h.shape, along_w.shape
        total += rows * height * width + rows * width * columns
        total += rows * columns - rows * columns // 4  # squares of the three detail bands
    return channels * (total + rows * columns // 4)


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _basis_of(design: AttentionDesign) -> AttentionDesign:
    """The design without its excitation, so that one basis tensor serves all gates."""
    return AttentionDesign(
        design.squeeze,
        wavelet=design.wavelet,
        depth=design.depth,
        selection=design.selection,
        each=design.each,
        excitation="affine",
    )


@lru_cache(maxsize=256)
def _basis_tensor(
    design: AttentionDesign,
    channels: int,
    height: int,
    width: int,
    *,
    dtype: torch.dtype,
    device: torch.device,
    channels_last: bool,
) -> Tensor:
    """[K, H, W] if every channel takes every row, else [1, C, H, W] with each channel's own row."""
    with torch.inference_mode(False):  # kept for a training that may come after
        rows = torch.from_numpy(bases.basis(design, height, width))
        if not design.each:
            rows = rows[torch.from_numpy(bases.group_of_channel(channels, len(rows)))].unsqueeze(0)
            if channels_last:
                rows = rows.contiguous(memory_format=torch.channels_last)
        return rows.to(device=device, dtype=dtype)


def _analysis_tensor(wavelet: str, depth: int, pixels: int, level: int, like: Tensor) -> Tensor:
    return _analysis_tensors(wavelet, depth, pixels, like.dtype, like.device)[level]


@lru_cache(maxsize=256)
def _analysis_tensors(
    wavelet: str, depth: int, pixels: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, ...]:
    matrices = bases.analysis(wavelet, depth, pixels)
    with torch.inference_mode(False):
        return tuple(torch.from_numpy(matrix).to(device=device, dtype=dtype) for matrix in matrices)


def _one_a_pixel(_: AttentionDesign, channels: int, height: int, width: int) -> int:
    return channels * height * width


def _no_product(_: AttentionDesign, channels: int, height: int, width: int) -> int:
    """Additions and comparisons only: average pooling is no inner product in any paper's count."""
    return 0


SQUEEZES: dict[str, Squeeze] = {
    "avg": Squeeze(linear, _no_product),
    "max": Squeeze(maximum, _no_product),
    "std": Squeeze(standard_deviation, _one_a_pixel),
    "energy": Squeeze(energy, _one_a_pixel),
    "dct": Squeeze(linear, _linear_macs),
    "wavelet-mean": Squeeze(linear, _linear_macs),
    "wavelet-energy": Squeeze(band_energy, _band_energy_macs),
}
