"""What several tests of the room are measured against: exact area resampling, pywt's levels, weights carried over."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import pywt
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search_space import AttentionDesign, bases, build

Array = NDArray[np.float64]


def trained(text: str, channels: int, seed: int = 0, **options: Any) -> nn.Module:
    """The design's float64 module with random weights."""
    layer = build(AttentionDesign.parse(text), channels, dtype=torch.float64, **options)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(0.7 * torch.randn(parameter.shape, dtype=torch.float64, generator=generator))
    return layer


def random_maps(channels: int, height: int, width: int, images: int = 3) -> Tensor:
    """float64, with a mean that is not zero."""
    generator = torch.Generator().manual_seed(height * 100 + width)
    return torch.randn(images, channels, height, width, dtype=torch.float64, generator=generator) + 0.5


def order_and_signs(one: Tensor, other: Tensor) -> tuple[list[int], Tensor] | None:
    """[B, C, K] twice -> (j of every k, signs [C, K]) with other_k = sign_k one_j exactly; None if there are none."""
    order, signs = [], []
    for k in range(other.shape[2]):
        for j in range(one.shape[2]):
            sign = (one[:, :, j] * other[:, :, k]).sum(0).sign()
            if j not in order and (sign * one[:, :, j] - other[:, :, k]).abs().max() < 1e-9:
                order.append(j)
                signs.append(sign)
                break
        else:
            return None
    return order, torch.stack(signs, 1)


@torch.no_grad()
def carry_over(one: nn.Module, other: nn.Module, x: Tensor) -> None:
    """Gives `other` the weights of `one`, first weights reordered and their signs turned as the squeezed numbers ask.

    Fails if the numbers differ by more than order and sign, or by signs for which the excitation has no weights.
    """
    other.load_state_dict(one.state_dict())
    found = order_and_signs(one.squeeze(x), other.squeeze(x))  # type: ignore[operator]
    assert found is not None, "the squeezed numbers differ by more than order and sign"
    order, signs = found
    design: Any = other.design
    gate: Any = other.excitation
    if design.sharing or design.groups or design.excitation in ("pfca", "gaussian"):
        assert (signs == 1).all(), "no weight takes up a sign here"
        if design.sharing == "mixed":
            gate.mix.copy_(gate.mix[order])
    elif design.excitation == "conv1d":
        assert (signs == signs[0]).all(), "a kernel is the same for all channels"
        gate.conv.weight.copy_(gate.conv.weight[:, order] * signs[0][:, None])
    elif design.excitation == "gated":
        gate.alpha.mul_(signs[:, 0])
    elif design.excitation in ("affine", "cfc"):
        gate.weight.copy_(gate.weight[:, order] * signs)
    else:
        first = gate.reduce.weight if design.excitation == "mlp" else gate.full.weight
        by_channel = first.unflatten(1, signs.shape)
        first.copy_((by_channel[:, :, order] * signs).flatten(1))


def assert_same_function(one: str, other: str, channels: int = 12) -> None:
    """Both spellings built, weights carried over, the same output at even, odd, small and one-pixel sizes."""
    left, right = trained(one, channels), trained(other, channels)
    carry_over(left, right, random_maps(channels, 8, 8))
    for height, width in ((7, 7), (8, 8), (13, 6), (5, 9), (1, 1), (16, 16)):
        x = random_maps(channels, height, width)
        message = f"{one} {other} {height}x{width}"
        # pywt tabulates sym4 to 12 digits
        torch.testing.assert_close(left(x), right(x), rtol=0, atol=1e-9, msg=message)


def area_resampling(cells: int, pixels: int) -> list[list[Fraction]]:
    """Weights [cells][pixels]: cell i covers [i, i + 1] * pixels / cells; the share of it that lies on each pixel."""
    weights = []
    for i in range(cells):
        low, high = Fraction(i * pixels, cells), Fraction((i + 1) * pixels, cells)
        shares = [max(Fraction(0), min(high, Fraction(j + 1)) - max(low, Fraction(j))) for j in range(pixels)]
        weights.append([share / (high - low) for share in shares])
    return weights


def resampled(x: Array, depth: int) -> Array:
    """[..., H, W] area-resampled up to the next multiples of 2^depth."""
    for axis in (-2, -1):
        pixels = x.shape[axis]
        cells = pixels
        while cells % 2**depth:
            cells += 1
        weights = np.array([[float(w) for w in row] for row in area_resampling(cells, pixels)])
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ weights.T, -1, axis)
    return x


def wavelet_bands(x: Array, wavelet: str, depth: int) -> list[Array]:
    """pywt's periodised bands of [..., H, W], coarsest first: approximation, then per level row, column, diagonal.

    Level by level, since `wavedec2` warns where the filter is longer than the map; the numbers are the same.
    """
    found: list[Array] = []
    for _ in range(depth):
        x, details = pywt.dwt2(x, wavelet, mode="periodization")
        found = [*details, *found]
    return [x, *found]


@pytest.mark.parametrize("pixels", range(1, 15))
def test_resampling_is_the_exact_overlap_of_areas(pixels: int) -> None:
    for cells in range(1, 17):
        exact = np.array([[float(w) for w in row] for row in area_resampling(cells, pixels)])
        np.testing.assert_allclose(bases.overlap(cells, pixels), exact, rtol=0, atol=1e-15)


def test_the_bands_of_the_oracle_are_those_of_wavedec2() -> None:
    x = np.random.default_rng(0).normal(size=(32, 64))
    approximation, *details = pywt.wavedec2(x, "db2", mode="periodization", level=3)
    flat = [approximation, *(band for level in details for band in level)]
    for band, expected in zip(wavelet_bands(x, "db2", 3), flat, strict=True):
        np.testing.assert_array_equal(band, expected)
