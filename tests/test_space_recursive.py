"""WaveNet-C's recursion against really convolving, and OrthoNets' random filters."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch
from test_space_oracles import random_maps
from torch import Tensor
from torch.nn import functional as F

from search_space import AttentionDesign, DesignError, build
from search_space.bases import basis, orthonormal_rows, rank
from search_space.sites import Site, check

RECURSIVE = AttentionDesign.parse("recursive/affine")
# orthonormal 2x2 filters of the Haar wavelet: mean, row, column and diagonal differences
FILTERS = torch.tensor([[[1, 1], [1, 1]], [[1, 1], [-1, -1]], [[1, -1], [1, -1]], [[1, -1], [-1, 1]]]).double() / 2


def recursion(x: Tensor, which: int) -> Tensor:
    """[B, C, H, W] -> [B, C]: one filter with stride 2, to its own output, until one pixel is left."""
    kernel = FILTERS[which].expand(x.shape[1], 1, 2, 2)
    while x.shape[2] > 1:
        x = F.conv2d(x, kernel, stride=2, groups=x.shape[1])
    return x[:, :, 0, 0]


@pytest.mark.parametrize("side", [2, 4, 8, 16, 32])
def test_each_filter_is_really_convolved_down_to_one_pixel(side: int) -> None:
    """Published scale: orthonormal filters; powers of two, where the recursion needs no border."""
    x = random_maps(8, side, side)
    layer = build(AttentionDesign.parse("recursive-each/affine"), 8, scale="paper", dtype=torch.float64)
    expected = torch.stack([recursion(x, which) for which in range(4)], 2)
    torch.testing.assert_close(layer.squeeze(x), expected, rtol=0, atol=1e-11)  # type: ignore[operator]


@pytest.mark.parametrize("channels", [4, 18, 64, 512, 1024, 2048, 1300])
def test_channels_take_the_four_filters_in_chunks_of_512(channels: int) -> None:
    """Oracle: the chunk's quarters, written as a loop; the last chunk may be shorter."""
    x = random_maps(channels, 8, 8, images=1)
    layer = build(RECURSIVE, channels, scale="paper", dtype=torch.float64)
    expected = torch.empty(1, channels, dtype=torch.float64)
    for start in range(0, channels, 512):
        chunk = min(512, channels - start)
        for c in range(chunk):
            which = c * 4 // chunk
            expected[:, start + c] = recursion(x[:, start + c : start + c + 1], which)[:, 0]
    torch.testing.assert_close(layer.squeeze(x)[..., 0], expected, rtol=0, atol=1e-11)  # type: ignore[operator]


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (7, 7), (8, 8), (14, 14), (13, 28), (56, 56), (1, 9)])
def test_the_first_filter_is_the_average_at_every_size(size: tuple[int, int]) -> None:
    """WaveNets, Theorem 1, and attention.md 5.3: a recursion that floors would hear a third of a 7 x 7 map."""
    row = basis(RECURSIVE, *size)[0]
    np.testing.assert_allclose(row, 1 / (size[0] * size[1]), rtol=1e-12)


def test_a_recursion_that_floors_would_not_be_the_average() -> None:
    """attention.md 5.3: 32.65 per cent of the area at 7, 14, 28 and 56 pixels. The oracle's own fact."""
    for side in (7, 14, 28, 56):
        heard = torch.ones(1, 1, side, side, dtype=torch.float64, requires_grad=True)
        recursion(heard, 0).sum().backward()
        assert heard.grad is not None
        assert abs(float((heard.grad != 0).double().mean()) - 0.3265) < 1e-4


@pytest.mark.parametrize("size", [(2, 2), (7, 7), (8, 8), (5, 9), (14, 14)])
def test_rows_have_norm_one_over_the_root_of_the_area_and_are_independent(size: tuple[int, int]) -> None:
    rows = basis(RECURSIVE, *size).reshape(4, -1)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1) * sqrt(size[0] * size[1]), 1, rtol=1e-12)
    assert rank(RECURSIVE, *size) == 4


def test_four_filters_need_four_channels_and_each_needs_none() -> None:
    with pytest.raises(DesignError, match="recursive"):
        check(RECURSIVE, [Site(3, 8, 8)])
    check(AttentionDesign.parse("recursive-each/affine"), [Site(1, 8, 8)])


@pytest.mark.parametrize(("channels", "size"), [(16, (8, 8)), (49, (7, 7)), (12, (4, 3)), (5, (33, 2))])
def test_random_filters_are_orthonormal(channels: int, size: tuple[int, int]) -> None:
    rows = orthonormal_rows(7, channels, *size).reshape(channels, -1)
    np.testing.assert_allclose(rows @ rows.T, np.eye(channels), rtol=0, atol=1e-12)


def test_random_filters_are_gram_schmidt_of_the_seeds_gaussian_vectors() -> None:
    """Oracle: Gram-Schmidt written out on NumPy's frozen RandomState stream."""
    vectors = np.random.RandomState(3).standard_normal((6, 20))
    expected: list[np.ndarray] = []
    for vector in vectors:
        rest = vector - sum((vector @ one) * one for one in expected)
        expected.append(rest / np.linalg.norm(rest))
    np.testing.assert_allclose(orthonormal_rows(3, 6, 4, 5).reshape(6, 20), expected, rtol=0, atol=1e-12)


def test_one_seed_is_one_basis_and_another_seed_another() -> None:
    def rows(seed: int) -> np.ndarray:
        basis.cache_clear()
        return basis(AttentionDesign.parse(f"ortho-s{seed}/affine"), 8, 8, 16)

    np.testing.assert_array_equal(rows(5), rows(5))
    for other in (0, 6, 999_999):
        assert np.abs(rows(5) - rows(other)).max() > 0.01


def test_a_channel_has_a_filter_of_its_own_while_there_are_pixels() -> None:
    x = random_maps(16, 4, 4)
    layer = build(AttentionDesign.parse("ortho-s2/affine"), 16, scale="paper", dtype=torch.float64)
    filters = torch.from_numpy(orthonormal_rows(2, 16, 4, 4))
    torch.testing.assert_close(layer.squeeze(x)[..., 0], (x * filters).sum((2, 3)), rtol=0, atol=1e-12)  # type: ignore[operator]


@pytest.mark.parametrize(("channels", "pixels"), [(32, 16), (40, 9), (7, 1)])
def test_where_channels_outnumber_pixels_contiguous_channels_share_a_filter(channels: int, pixels: int) -> None:
    side = round(sqrt(pixels))
    x = random_maps(channels, side, side)
    layer = build(AttentionDesign.parse("ortho-s2/affine"), channels, scale="paper", dtype=torch.float64)
    filters = torch.from_numpy(orthonormal_rows(2, pixels, side, side))
    shared = filters[[c * pixels // channels for c in range(channels)]]
    torch.testing.assert_close(layer.squeeze(x)[..., 0], (x * shared).sum((2, 3)), rtol=0, atol=1e-12)  # type: ignore[operator]
