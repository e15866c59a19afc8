"""DCT bases against scipy's orthonormal DCT-II, FcaNet's published tables, and exact area folding below 7 pixels."""

from __future__ import annotations

from fractions import Fraction
from math import cos, floor, pi, sqrt

import numpy as np
import pytest
import scipy.fft  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from test_space_oracles import area_resampling

from search_space import AttentionDesign, build
from search_space.bases import basis, dct_vector, entry_of_channel, frequencies, rank

# copied from attention.md 1.4, which read them in cfzd/FcaNet
TABLES = {
    "top": """0 0 6 0 0 1 1 4 5 1 3 0 0 0 3 2 4 6 3 5 5 2 6 5 5 3 3 4 2 2 6 1
              0 1 0 5 2 0 2 0 0 6 0 4 6 3 5 2 6 3 3 3 5 1 1 2 4 2 1 1 3 0 5 3""",
    "low": """0 0 1 1 0 2 2 1 2 0 3 4 0 1 3 0 1 2 3 4 5 0 1 2 3 4 5 6 1 2 3 4
              0 1 0 1 2 0 1 2 2 3 0 0 4 3 1 5 4 3 2 1 0 6 5 4 3 2 1 0 6 5 4 3""",
    "bottom": """6 1 3 3 2 4 1 2 4 4 5 1 4 6 2 5 6 1 6 2 2 4 3 3 5 5 6 2 5 5 3 6
                 6 4 4 6 6 3 1 4 4 5 6 5 2 2 5 1 4 3 5 0 3 1 1 2 4 2 1 1 5 3 3 3""",
}
PUBLISHED = {
    name: list(zip(*([int(i) for i in line.split()] for line in text.splitlines()), strict=True))
    for name, text in TABLES.items()
}
Array = NDArray[np.float64]


def design(selection: str) -> AttentionDesign:
    return AttentionDesign("dct", selection=selection, excitation="affine")


@pytest.mark.parametrize("family", ["top", "low", "bottom"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 8, 16, 31, 32])
def test_the_frequencies_are_the_published_tables_in_their_order(family: str, count: int) -> None:
    assert frequencies(f"{family}{count}") == PUBLISHED[family][:count]


def test_the_tables_have_the_published_structure() -> None:
    """attention.md 1.4: overlap counts; top and bottom are two ends of one ranking of all 49."""
    low, top, bottom = (frequencies(f"{family}32") for family in ("low", "top", "bottom"))
    for count, overlap in {1: 1, 2: 2, 4: 2, 8: 5, 16: 11, 32: 23}.items():
        assert len(set(low[:count]) & set(top[:count])) == overlap
    assert top[17:] == bottom[17:][::-1]
    assert len(set(top) & set(bottom)) == 15
    assert len(set(top) | set(bottom)) == 49
    assert all(len(set(table)) == 32 for table in (low, top, bottom))


@pytest.mark.parametrize("size", [(7, 7), (8, 8), (13, 13), (14, 14), (16, 16), (32, 32), (56, 56), (14, 8), (7, 30)])
@pytest.mark.parametrize("family", ["top", "low", "bottom"])
def test_rows_are_scipys_orthonormal_dct_functions(family: str, size: tuple[int, int]) -> None:
    """Oracle: the inverse of scipy's orthonormal transform on a delta at FcaNet's index u (H // 7), v (W // 7)."""
    height, width = size
    rows = basis(design(f"{family}32"), height, width)
    for row, (u, v) in zip(rows, PUBLISHED[family], strict=True):
        delta = np.zeros(size)
        delta[u * (height // 7), v * (width // 7)] = 1
        expected = scipy.fft.idctn(delta, norm="ortho") / sqrt(height * width)
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-13)


def test_a_coefficient_is_scipys_forward_transform() -> None:
    x = np.random.default_rng(0).normal(size=(16, 28))
    found = (basis(design("top16"), 16, 28) * x).sum((1, 2))
    transform = scipy.fft.dctn(x, norm="ortho") / sqrt(16 * 28)
    np.testing.assert_allclose(found, [transform[u * 2, v * 4] for u, v in PUBLISHED["top"][:16]], rtol=0, atol=1e-13)


def test_seven_pixel_rows_are_the_golden_ones() -> None:
    """attention.md 4.4."""
    one = [0.52112089, 0.41790651, 0.23192061, 0, -0.23192061, -0.41790651, -0.52112089]
    six = [0.11894244, -0.33326932, 0.48158812, -0.53452248, 0.48158812, -0.33326932, 0.11894244]
    np.testing.assert_allclose(dct_vector(0, 7), [0.37796447] * 7, atol=1e-6)
    np.testing.assert_allclose(dct_vector(1, 7), one, atol=1e-6)
    np.testing.assert_allclose(dct_vector(6, 7), six, atol=1e-6)


def test_fcanets_squeeze_of_a_ramp_is_the_golden_one() -> None:
    """attention.md 4.4: x[i, j] = (7 i + j) / 49, top16 in order, published scale."""
    golden = [3.42857143, -0.28413169, 0, -0.00771334, 0, -1.98892185, 0, 0]
    golden += [-0.05399341, 0, -0.20316150, 0, 0, -0.02902307, 0, 0]
    ramp = torch.arange(49, dtype=torch.float64).reshape(1, 1, 7, 7).expand(1, 16, 7, 7) / 49
    for text in ("dct-top16/affine", "dct-top16-each/affine"):
        layer = build(AttentionDesign.parse(text), 16, scale="paper", dtype=torch.float64)
        z = layer.squeeze(ramp)  # type: ignore[operator]
        found = z[0, :, 0] if z.shape[2] == 1 else z[0, 3]
        np.testing.assert_allclose(found.numpy(), golden, atol=1e-6)


@pytest.mark.parametrize("pixels", range(1, 7))
@pytest.mark.parametrize("frequency", range(7))
def test_below_seven_pixels_the_seven_grid_is_folded_by_area(frequency: int, pixels: int) -> None:
    """Oracle: exact overlaps as fractions; each cell averages the cosine of the 7 pixels it covers."""
    wave = [cos(pi * frequency * (t + 0.5) / 7) for t in range(7)]
    averaged = np.array(
        [sum(float(w) * value for w, value in zip(row, wave, strict=True)) for row in area_resampling(pixels, 7)]
    )
    norm = np.linalg.norm(averaged)
    expected = averaged / norm if norm > 1e-9 else np.zeros(pixels)
    np.testing.assert_allclose(dct_vector(frequency, pixels), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (4, 4), (5, 5), (6, 9), (3, 14), (7, 7), (33, 9)])
def test_every_row_has_norm_one_over_the_root_of_the_area_or_is_zero(size: tuple[int, int]) -> None:
    for family in ("low", "top", "bottom"):
        norms = np.linalg.norm(basis(design(f"{family}32"), *size).reshape(32, -1), axis=1) * sqrt(size[0] * size[1])
        assert np.all((np.abs(norms - 1) < 1e-12) | (norms == 0))
        assert norms[0] > 0 or family == "bottom"


def test_small_maps_hear_as_many_independent_frequencies_as_they_can() -> None:
    """FcaNet's own rule has rank 1 at 4 pixels (attention.md 1.4); a map of one pixel has one number to give."""
    assert rank(design("top16"), 7, 7) == 16
    assert rank(design("top16"), 56, 56) == 16
    assert rank(design("top16"), 1, 1) == 1
    assert 1 < rank(design("top16"), 4, 4) <= 16
    assert rank(design("low2"), 2, 2) == 2


@pytest.mark.parametrize(("channels", "entries"), [(64, 16), (16, 16), (64, 10), (7, 4), (12, 7), (3, 1)])
def test_channel_c_takes_entry_floor_of_ck_over_c(channels: int, entries: int) -> None:
    groups = entry_of_channel(design("low4"), channels, entries)
    assert list(groups) == [floor(Fraction(c * entries, channels)) for c in range(channels)]
    assert set(groups) == set(range(entries))


def test_groups_are_fcanets_contiguous_ones_when_the_entries_divide_the_channels() -> None:
    """Oracle: FcaNet's loop, written out: group g owns channels g C / K up to (g + 1) C / K."""
    expected = [g for g in range(16) for _ in range(64 // 16)]
    assert list(entry_of_channel(design("low16"), 64, 16)) == expected


def test_a_list_of_frequencies_is_its_rows_in_its_order() -> None:
    rows = basis(design("at60.00.35.60"), 14, 9)
    for row, (u, v) in zip(rows, [(6, 0), (0, 0), (3, 5), (6, 0)], strict=True):
        delta = np.zeros((14, 9))
        delta[u * 2, v] = 1
        np.testing.assert_allclose(row, scipy.fft.idctn(delta, norm="ortho") / sqrt(14 * 9), rtol=0, atol=1e-13)


def test_a_learned_selection_chooses_among_all_forty_nine_frequencies_in_reading_order() -> None:
    rows = basis(design("learned16"), 7, 7)
    assert len(rows) == 49
    gram = rows.reshape(49, 49) @ rows.reshape(49, 49).T * 49
    np.testing.assert_allclose(gram, np.eye(49), rtol=0, atol=1e-12)
    np.testing.assert_allclose(rows[7 * 2 + 5], basis(design("at25"), 7, 7)[0], rtol=0, atol=1e-15)
