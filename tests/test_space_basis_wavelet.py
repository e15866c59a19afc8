"""Wavelet bases against PyWavelets' periodised transforms, on maps resampled by exact area overlap."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from test_space_oracles import resampled, wavelet_bands

from search_space import AttentionDesign
from search_space.bases import analysis, bands, basis, rank

WAVELETS = ("haar", "db2", "sym4", "bior2.2")
DEPTHS = (1, 2, 3)
Array = NDArray[np.float64]


def design(wavelet: str, depth: int, selection: str = "all") -> AttentionDesign:
    return AttentionDesign("wavelet", wavelet=wavelet, depth=depth, selection=selection, excitation="affine")


def assert_band_means(wavelet: str, depth: int, size: tuple[int, int], maps: Array) -> None:
    """Rows . x = factor * (mean of the band of pywt), one positive factor a band; norms fix it, so rows are it."""
    rows = basis(design(wavelet, depth), *size)
    found = np.einsum("khw,nhw->nk", rows, maps)
    expected = np.stack([band.mean((-2, -1)) for band in wavelet_bands(resampled(maps, depth), wavelet, depth)], 1)
    for k in range(3 * depth + 1):
        norm = np.linalg.norm(rows[k])
        if norm == 0:  # a map too small for this band: pywt hears nothing either
            np.testing.assert_allclose(expected[:, k], 0, atol=1e-9)
            continue
        assert abs(norm * sqrt(size[0] * size[1]) - 1) < 1e-12
        factor = (found[:, k] @ expected[:, k]) / (expected[:, k] @ expected[:, k])
        assert factor > 0
        np.testing.assert_allclose(found[:, k], factor * expected[:, k], rtol=0, atol=1e-10)


def random_maps(size: tuple[int, int]) -> Array:
    return np.random.default_rng(0).normal(size=(6, *size))


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("size", [(8, 8), (8, 16), (16, 16), (24, 24), (32, 32)])
def test_band_means_are_those_of_wavedec2(wavelet: str, depth: int, size: tuple[int, int]) -> None:
    assert_band_means(wavelet, depth, size, random_maps(size))


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("size", [(7, 7), (13, 13), (5, 9), (14, 28), (3, 2), (1, 6), (1, 1)])
def test_other_sizes_are_resampled_by_area_first(wavelet: str, depth: int, size: tuple[int, int]) -> None:
    assert_band_means(wavelet, depth, size, random_maps(size))


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_a_constant_has_no_detail_and_its_value_as_approximation_at_every_size(wavelet: str) -> None:
    for depth in DEPTHS:
        for pixels in range(1, 34):
            for size in ((pixels, pixels), (pixels, 7)):
                squeezed = basis(design(wavelet, depth), *size).sum((1, 2))
                np.testing.assert_allclose(squeezed, [1] + [0] * (3 * depth), rtol=0, atol=1e-9)


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_the_approximation_mean_is_the_average_at_every_size(wavelet: str) -> None:
    """Oracle: 1 / HW. attention.md 5, items 1, 3 and 4."""
    for depth in (*DEPTHS, 6):
        for height in range(1, 34):
            row = basis(design(wavelet, depth, "coarse1"), height, 34 - height)
            np.testing.assert_allclose(row, 1 / (height * (34 - height)), rtol=1e-9)


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_every_row_has_norm_one_over_the_root_of_the_area_or_is_zero(wavelet: str, depth: int) -> None:
    for size in ((1, 1), (2, 2), (3, 7), (4, 4), (9, 5), (32, 32), (33, 1)):
        norms = np.linalg.norm(basis(design(wavelet, depth), *size).reshape(3 * depth + 1, -1), axis=1)
        scaled = norms * sqrt(size[0] * size[1])
        assert np.all((np.abs(scaled - 1) < 1e-12) | (norms == 0)), size


@pytest.mark.parametrize("wavelet", WAVELETS[1:])
@pytest.mark.parametrize("size", [(7, 7), (8, 8), (13, 13), (32, 32)])
def test_level_one_detail_means_agree_up_to_a_sign_and_level_two_means_do_not(
    wavelet: str, size: tuple[int, int]
) -> None:
    haar, other = basis(design("haar", 1), *size), basis(design(wavelet, 1), *size)
    for one, two in zip(haar, other, strict=True):
        assert min(np.abs(one - two).max(), np.abs(one + two).max()) < 1e-12
    haar, other = basis(design("haar", 2), *size), basis(design(wavelet, 2), *size)
    cosine = abs((haar[1] * other[1]).sum()) * size[0] * size[1]
    assert cosine < 0.99


@pytest.mark.parametrize(
    ("selection", "kept"), [("all", range(7)), ("details", range(1, 7)), ("coarse4", range(4)), ("coarse6", range(6))]
)
def test_a_selection_keeps_bands_coarsest_first(selection: str, kept: range) -> None:
    every = basis(design("db2", 2), 12, 20)
    np.testing.assert_array_equal(basis(design("db2", 2, selection), 12, 20), every[list(kept)])
    assert bands(2) == [
        (2, False, False),
        (2, True, False),
        (2, False, True),
        (2, True, True),
        (1, True, False),
        (1, False, True),
        (1, True, True),
    ]


def test_haar_bands_of_a_small_matrix_are_the_golden_ones() -> None:
    """attention.md 4.4; the axis names the band: a row difference is a difference along H."""
    x = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 17]], dtype=np.float64)
    first, second = analysis("haar", 2, 4)
    bands_of_x = first @ x @ first.T
    np.testing.assert_allclose(bands_of_x[:2, :2], np.array([[7, 11], [23, 27.5]]), atol=1e-12)
    np.testing.assert_allclose(bands_of_x[2:, :2], np.array([[-4, -4], [-4, -4.5]]), atol=1e-12)
    np.testing.assert_allclose(bands_of_x[:2, 2:], np.array([[-1, -1], [-1, -1.5]]), atol=1e-12)
    np.testing.assert_allclose(bands_of_x[2:, 2:], np.array([[0, 0], [0, 0.5]]), atol=1e-12)
    np.testing.assert_allclose((second @ bands_of_x[:2, :2] @ second.T)[0, 0], 34.25, atol=1e-12)
    assert abs(34.25 - 4 * x.mean()) < 1e-12  # the reference's own identity


@pytest.mark.parametrize("wavelet", ["haar", "db2", "sym4"])
@pytest.mark.parametrize("pixels", [2, 4, 6, 8, 16, 32])
def test_analysis_matrices_of_orthogonal_wavelets_are_orthogonal_even_on_maps_shorter_than_the_filter(
    wavelet: str, pixels: int
) -> None:
    (matrix,) = analysis(wavelet, 1, pixels)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(pixels), rtol=0, atol=1e-10)


def test_the_rank_is_the_number_of_bands_where_the_map_has_room_for_them() -> None:
    assert rank(design("haar", 3), 8, 8) == 10
    assert rank(design("haar", 1), 2, 2) == 4
    assert rank(design("haar", 1), 1, 1) == 1
