"""Squeeze operators against NumPy, SciPy and PyWavelets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage, special, stats  # type: ignore[import-untyped]
from test_space_oracles import random_maps, resampled, wavelet_bands

from search_space import AttentionDesign, build, pooling

WAVELETS = ("haar", "db2", "sym4", "bior2.2")
SIZES = ((8, 8), (16, 8), (32, 32), (7, 7), (5, 9), (1, 3))
Array = NDArray[np.float64]


def squeezed(squeeze: str, x: Array, dtype: torch.dtype = torch.float64) -> Array:
    """[B, C, K] of the built module."""
    torch.manual_seed(0)  # context has weights
    layer = build(AttentionDesign.parse(f"{squeeze}/affine"), x.shape[1])
    values: Array = layer.squeeze(torch.from_numpy(x).to(dtype)).detach().double().numpy()  # type: ignore[operator]
    return values


def maps(height: int, width: int, channels: int = 20) -> Array:
    return np.random.default_rng(height * width).normal(0.3, 1, size=(2, channels, height, width))


@pytest.mark.parametrize("size", SIZES)
def test_statistics_are_numpys(size: tuple[int, int]) -> None:
    x = maps(*size)
    axes = (2, 3)
    np.testing.assert_allclose(squeezed("avg", x)[..., 0], x.mean(axes), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(squeezed("max", x)[..., 0], x.max(axes))
    np.testing.assert_allclose(squeezed("energy", x)[..., 0], (x**2).mean(axes), rtol=1e-12)
    # biased; below 1e-12 a variance counts as 1e-12, the module's documented guard
    np.testing.assert_allclose(squeezed("std", x)[..., 0], np.maximum(x.std(axes, ddof=0), 1e-6), rtol=1e-12)
    norm = np.sqrt((np.sqrt((x**2).sum(axes)) ** 2 + 1e-5) / x[0, 0].size)  # GCT eq. 2 over sqrt(HW)
    np.testing.assert_allclose(squeezed("l2", x)[..., 0], norm, rtol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_skewness_is_scipys_but_for_the_papers_constant(size: tuple[int, int]) -> None:
    """MCA divides by s^3 + 1e-5 (attention.md 1.28); scipy by s^3, biased."""
    x = maps(*size)
    cubed = x.std((2, 3)) ** 3
    expected = stats.skew(x.reshape(2, 20, -1), axis=2, bias=True) * cubed / (cubed + 1e-5)
    np.testing.assert_allclose(squeezed("skew", x)[..., 0], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("size_of_values", [1.0, 300.0])
def test_entropy_is_scipys_of_the_softmax(size: tuple[int, int], size_of_values: float) -> None:
    """At 300 the softmax underflows: p log p written naively is 0 times -inf (attention.md 1.8)."""
    x = maps(*size) * size_of_values
    expected = stats.entropy(special.softmax(x.reshape(2, 20, -1), axis=2), axis=2)
    np.testing.assert_allclose(squeezed("entropy", x)[..., 0], expected, rtol=1e-9, atol=1e-12)
    spread = expected.max(1, keepdims=True) - expected.min(1, keepdims=True)
    rescaled = (expected - expected.min(1, keepdims=True)) / np.maximum(spread, 1e-5)
    np.testing.assert_allclose(squeezed("relentropy", x)[..., 0], rescaled, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_the_blurred_maximum_is_that_of_scipys_gaussian_filter(size: tuple[int, int]) -> None:
    """5 x 5, sigma 1, the border repeated (attention.md 1.8; the border is our reading)."""
    x = maps(*size)
    blurred = ndimage.gaussian_filter(x, sigma=(0, 0, 1, 1), radius=(0, 0, 2, 2), mode="nearest")
    np.testing.assert_allclose(squeezed("blurmax", x)[..., 0], blurred.max((2, 3)), rtol=1e-12)


def test_several_statistics_are_their_numbers_side_by_side() -> None:
    x = maps(5, 9)
    names = ("avg", "blurmax", "relentropy", "skew")
    found = squeezed("+".join(names), x)
    assert found.shape == (2, 20, 4)
    for k, name in enumerate(names):
        np.testing.assert_array_equal(found[..., k], squeezed(name, x)[..., 0])


def test_entropies_of_equal_channels_are_rescaled_to_zero_and_not_to_nan() -> None:
    """CAT's min-max is 0 / 0 there (attention.md 1.8)."""
    x = np.repeat(maps(4, 4, channels=1), 3, axis=1)
    np.testing.assert_array_equal(squeezed("relentropy", x), 0)


def test_the_entropy_of_one_to_four_is_the_golden_one() -> None:
    """attention.md 4.4: entropy of softmax([1, 2, 3, 4]) = .94753696 nats."""
    x = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)
    np.testing.assert_allclose(squeezed("entropy", x).item(), 0.94753696, atol=1e-6)


def test_the_standard_deviation_is_the_biased_golden_one() -> None:
    """attention.md 4.4: std([1, 2, 3, 4]) biased 1.11803399."""
    x = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)
    np.testing.assert_allclose(squeezed("std", x).item(), 1.11803399, atol=1e-6)
    # the unbiased one of SRM's code, 1.29099445, is a factor sqrt(n / (n - 1)) that its weight takes up
    np.testing.assert_allclose(squeezed("std", x).item() * (4 / 3) ** 0.5, 1.29099445, atol=1e-6)


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("size", SIZES)
def test_band_energies_are_the_sums_of_squares_of_wavedec2_over_the_pixels(
    wavelet: str, depth: int, size: tuple[int, int]
) -> None:
    """Pixels of the map as analysed: resampled up to the next multiple of 2^depth."""
    x = maps(*size, channels=3)
    analysed = resampled(x, depth)
    pixels = analysed.shape[2] * analysed.shape[3]
    expected = [(band**2).sum((2, 3)) / pixels for band in wavelet_bands(analysed, wavelet, depth)]
    found = squeezed(f"{wavelet}-d{depth}-all-energy-each", x)
    np.testing.assert_allclose(found, np.stack(expected, 2), rtol=1e-9, atol=1e-12)
    details = squeezed(f"{wavelet}-d{depth}-details-energy-each", x)
    np.testing.assert_array_equal(details, found[:, :, 1:])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_energies_of_all_bands_add_up_to_the_energy_of_orthogonal_wavelets_only(depth: int) -> None:
    """Parseval (attention.md 5, item 5); bior2.2 is biorthogonal and must miss it."""
    x = maps(16, 24, channels=4)
    energy = (x**2).mean((2, 3))
    for wavelet in ("haar", "db2", "sym4"):
        total = squeezed(f"{wavelet}-d{depth}-all-energy-each", x).sum(2)
        np.testing.assert_allclose(total, energy, rtol=1e-9)
    total = squeezed(f"bior2.2-d{depth}-all-energy-each", x).sum(2)
    assert (np.abs(total / energy - 1) > 0.01).all()


@pytest.mark.parametrize(
    "squeeze",
    ["dct-top16", "dct-low3", "haar-d3-all", "db2-d2-details", "sym4-d3-all-energy", "bior2.2-d2-coarse5-energy"],
)
@pytest.mark.parametrize("channels", [16, 20])
def test_a_channel_takes_the_entry_of_its_group(squeeze: str, channels: int) -> None:
    """Oracle: the same design with every entry for each channel, and floor(c K / C) written out."""
    x = maps(9, 16, channels)
    every = squeezed(f"{squeeze}-each", x)
    grouped = squeezed(squeeze, x)
    entries = every.shape[2]
    expected = np.stack([every[:, c, (c * entries) // channels] for c in range(channels)], 1)
    assert grouped.shape == (2, channels, 1)
    np.testing.assert_allclose(grouped[..., 0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "squeeze",
    [
        "avg",
        "std",
        "l2",
        "energy",
        "dct-low4",
        "dct-learned4",
        "recursive",
        "ortho-s0",
        "context",
        "haar-d2-all",
        "db2-d2-all-energy",
    ],
)
def test_sums_are_accumulated_in_float32_when_the_map_is_half(squeeze: str) -> None:
    """Oracle: float64 of the same rounded map; 56 x 56 sums above 2,048 would be lost in float16 (attention.md 5.7)."""
    x = np.abs(maps(56, 56, channels=8)) + 4
    for dtype, relative in ((torch.float16, 2e-3), (torch.bfloat16, 2e-2)):
        rounded: Array = torch.from_numpy(x).to(dtype).double().numpy()
        exact = squeezed(squeeze, rounded)
        found = squeezed(squeeze, rounded, dtype)
        np.testing.assert_allclose(found, exact, rtol=relative, atol=relative * 0.05)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["columns", "rows"])
@pytest.mark.parametrize("size", [56, 7])
@pytest.mark.parametrize("squeeze", ["avg", "dct-low1", "dct-top4", "dct-low8-each", "haar-d2-all-each", "recursive"])
def test_bfloat16_maps_are_heard_with_rows_of_full_precision(
    squeeze: str, size: int, layout: torch.memory_format
) -> None:
    """Oracle: float64 of the same rounded map. Rows of 8 bits do not sum to 0: a mean of 64 would come through."""
    x = (64 + 8 * random_maps(8, size, size, images=2)).bfloat16().contiguous(memory_format=layout).requires_grad_()
    wide = x.detach().double().requires_grad_()
    squeeze_of = build(AttentionDesign.parse(f"{squeeze}/fc"), 8).squeeze
    found, exact = squeeze_of(x), squeeze_of(wide)  # type: ignore[operator]
    assert found.dtype == x.dtype and exact.dtype == torch.float64
    torch.testing.assert_close(found.double(), exact, rtol=2**-7, atol=5e-4 * 56 / size)
    of_found = torch.randn(exact.shape, generator=torch.Generator().manual_seed(1)).bfloat16()
    (of_x,) = torch.autograd.grad(found, x, of_found)
    (of_wide,) = torch.autograd.grad(exact, wide, of_found.double())
    assert of_x.dtype == x.dtype
    torch.testing.assert_close(of_x.double(), of_wide, rtol=2**-7, atol=2**-14 * of_wide.abs().max().item())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["columns", "rows"])
def test_no_map_is_copied_for_a_product(layout: torch.memory_format) -> None:
    x = random_maps(4, 6, 5).contiguous(memory_format=layout)
    by_position = pooling.by_position(x)
    assert by_position.data_ptr() == x.data_ptr()
    assert all(torch.equal(by_position[:, 5 * h + w], x[:, :, h, w]) for h in range(6) for w in range(5))


@pytest.mark.parametrize("squeeze", ["avg", "max", "blurmax", "std", "skew", "l2", "energy", "entropy", "relentropy"])
def test_constant_and_one_pixel_maps_are_finite_with_finite_gradient(squeeze: str) -> None:
    layer = build(AttentionDesign.parse(f"{squeeze}/affine"), 2)
    for size in ((1, 1), (4, 4)):
        x = torch.full((1, 2, *size), 3.0, requires_grad=True)
        layer.squeeze(x).sum().backward()  # type: ignore[operator]
        assert x.grad is not None and torch.isfinite(x.grad).all()


@pytest.mark.parametrize(
    "text", ["dct-top16", "haar-d2-all", "haar-d2-details-each", "recursive", "ortho-s1", "dct-learned3", "l2"]
)
def test_the_published_scale_is_the_root_of_the_area_and_touches_no_energy(text: str) -> None:
    x = torch.from_numpy(maps(7, 9))
    for squeeze, factor in ((text, (7 * 9) ** 0.5), ("haar-d2-all-energy", 1.0), ("avg", 1.0), ("std", 1.0)):
        unit, paper = (build(AttentionDesign.parse(f"{squeeze}/affine"), 20, scale=s) for s in ("unit", "paper"))
        torch.testing.assert_close(paper.squeeze(x), factor * unit.squeeze(x))  # type: ignore[operator]
