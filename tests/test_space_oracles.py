"""What several tests of the room are measured against: exact area resampling, pywt's levels; and a fixture."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
import pywt
import torch
from numpy.typing import NDArray

from search_space import bases

Array = NDArray[np.float64]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Maps of a few pixels are slower on several threads, and by a hundredfold on a machine that is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
