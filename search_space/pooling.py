"""Statistics of maps that several operators share. All accumulate in float32, or float64 for float64 maps."""

from __future__ import annotations

from math import exp, log2
from operator import index

import torch
from torch import Tensor
from torch.nn import functional as F

_GAUSSIAN = [exp(-(offset**2) / 2) for offset in (-2, -1, 0, 1, 2)]  # sigma 1
_TAPS = [weight / sum(_GAUSSIAN) for weight in _GAUSSIAN]
BLUR_MACS = 2 * len(_TAPS)  # an element: the blur is separable, five taps along each axis
_SMALLEST_RANGE = 1e-5  # a few float32 roundings of an entropy of a 224-pixel map


def wide(dtype: torch.dtype) -> torch.dtype:
    """What statistics of maps of this dtype accumulate in."""
    return torch.promote_types(dtype, torch.float32)


def layout(x: Tensor) -> torch.memory_format:
    """The memory layout of a map: channels_last only if it is laid out so and not as usual, too."""
    rows = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if rows else torch.contiguous_format


def average(x: Tensor, dims: int | tuple[int, ...], keepdim: bool = False) -> Tensor:
    """Mean over `dims` in the map's dtype: no half-precision sum that could overflow."""
    if dims == (2, 3) and not keepdim and multiplies_halves(x):
        return _average_of_halves(x)
    return x.mean(dims, keepdim, dtype=wide(x.dtype)).to(x.dtype)


def _average_of_halves(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C] as a product with a row of ones, of which a power of two is taken to be near the mean."""
    pixels = index(x.shape[2]) * index(x.shape[3])
    power = 2.0 ** -round(log2(pixels))
    return inner_products(x, x.new_full((1, pixels), power))[:, 0] / (pixels * power)


def multiplies_halves(x: Tensor) -> bool:
    """Whether products of matrices with this map are best made of it as it is: a CPU accumulates those of bfloat16 in
    float32, and reads, and in the backward writes, no wide map for it."""
    return x.dtype == torch.bfloat16 and x.device.type == "cpu"


def inner_products(x: Tensor, rows: Tensor) -> Tensor:
    """[B, C, H, W] with rows [K, HW] of the same dtype -> [B, K, C]."""
    return torch.bmm(rows.expand(x.shape[0], -1, -1), by_position(x))


def by_position(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, HW, C], a view in either layout: products of matrices with it copy no map."""
    if layout(x) is torch.channels_last:
        return x.permute(0, 2, 3, 1).flatten(1, 2)
    return x.flatten(2).transpose(1, 2)


def max_and_mean(x: Tensor, dim: int) -> Tensor:
    """[B, ...] -> [B, 2, ... without `dim`]: CBAM's and Triplet's two planes, maximum first."""
    return torch.stack([x.amax(dim), average(x, dim)], 1)


def gaussian_blur(x: Tensor) -> Tensor:
    """[B, C, H, W] -> same shape and dtype: 5 x 5 Gaussian of sigma 1, any size, constants are kept.

    The border pixel is repeated outwards, by concatenation: the backward of CUDA's replicate padding is
    nondeterministic, and reflection needs three pixels.
    """
    blurred = x.to(wide(x.dtype))
    for dim in (2, 3):
        size = blurred.shape[dim]
        first, last = blurred.narrow(dim, 0, 1), blurred.narrow(dim, size - 1, 1)
        padded = torch.cat([first, first, blurred, last, last], dim)
        taps = [tap * padded.narrow(dim, i, size) for i, tap in enumerate(_TAPS)]
        blurred = (taps[0] + taps[4]) + (taps[1] + taps[3]) + taps[2]  # mirrored maps blur to mirrored bits
    return blurred.to(x.dtype)


def entropy(x: Tensor, dim: int) -> Tensor:
    """-sum p log p in nats, p = softmax over `dim`, which is removed. float32 for half maps: see `min_max`."""
    log_p = F.log_softmax(x, dim, dtype=wide(x.dtype))  # log(softmax) would underflow to -inf, times 0 is nan
    return -(log_p.exp() * log_p).sum(dim)


def spatial_entropy(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C], in nats, of the softmax over the positions. float32 for half maps."""
    return entropy(x.flatten(2), 2)


def min_max(z: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """(z - min) / (max - min) over `dim`, in [0, 1]; where all are equal, 0 instead of 0 / 0.

    A range below 1e-5 counts as 1e-5, so that rounding is not blown up to a signal. Half-precision entropies are
    too coarse for this: keep them in float32 until after it.
    """
    low, high = z.amin(dim, keepdim=True), z.amax(dim, keepdim=True)
    return (z - low) / (high - low).clamp_min(_SMALLEST_RANGE)
