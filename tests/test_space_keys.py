"""Each rule of `key`, pair by pair: both spellings built, weights copied (a sign or factor folded in), same output."""

from __future__ import annotations

from math import sqrt
from typing import Any

import pytest
import torch
from test_space_oracles import one_thread  # noqa: F401
from torch import Tensor

from search_space import AttentionDesign, build

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = ((7, 7), (8, 8), (13, 13), (5, 9), (1, 1), (32, 32))
WAVELETS = ("haar", "db2", "sym4", "bior2.2")
GATES = ("mlp-r4", "conv1d", "conv1d-k5", "affine", "pfca")
EXACT = 1e-10  # pywt tabulates sym4 to 12 digits
CHANNELS = 12  # divided by 1, 2, 3, 4 but not by 7 or 10 entries: uneven groups too


def module(text: str, **options: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    layer = build(AttentionDesign.parse(text), CHANNELS, dtype=torch.float64, **options)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return layer


def maps(height: int, width: int) -> Tensor:
    return torch.randn(3, CHANNELS, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 1


def key(text: str) -> str:
    return AttentionDesign.parse(text).key


def first_weights(layer: torch.nn.Module) -> torch.nn.Parameter:
    return next(layer.parameters())


def assert_same_function(one: str, other: str) -> None:
    left, right = module(one), module(other)
    right.load_state_dict(left.state_dict())
    for height, width in SIZES:
        x = maps(height, width)
        torch.testing.assert_close(left(x), right(x), rtol=0, atol=EXACT, msg=f"{one} {other} {height}x{width}")


AVERAGES = ["dct-low1", "dct-top1", *(f"{wavelet}-d{depth}-coarse1" for wavelet in WAVELETS for depth in (1, 2, 3, 5))]


@pytest.mark.parametrize("spelling", [*AVERAGES, "dct-low1-each", "db2-d2-coarse1-each"])
def test_the_average_is_the_lowest_frequency_and_the_approximation_mean_at_any_depth(spelling: str) -> None:
    """Oracle: torch's own mean; FcaNet Theorem 1, WaveNets Theorem 1 (attention.md 5, items 2 and 4)."""
    for gate in GATES:
        if gate != "pfca" or "each" not in spelling:
            assert key(f"{spelling}/{gate}") == f"avg/{gate}"
            assert_same_function(f"avg/{gate}", f"{spelling}/{gate}")
    x = maps(7, 13)
    squeezed = module(f"{spelling}/affine").squeeze(x)  # type: ignore[operator]
    torch.testing.assert_close(squeezed[:, :, 0], x.mean((2, 3)), rtol=0, atol=EXACT)


@pytest.mark.parametrize(
    ("gate", "each"), [(gate, each) for gate in GATES for each in ("", "-each") if (gate, each) != ("pfca", "-each")]
)
def test_the_two_lowest_are_the_two_best_frequencies(gate: str, each: str) -> None:
    assert key(f"dct-low2{each}/{gate}") == key(f"dct-top2{each}/{gate}")
    assert_same_function(f"dct-low2{each}/{gate}", f"dct-top2{each}/{gate}")
    assert key(f"dct-low4{each}/{gate}") != key(f"dct-top4{each}/{gate}")  # (1, 1) is in one only


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("tail", ["", "-energy", "-each", "-energy-each"])
@pytest.mark.parametrize("wavelet", WAVELETS)
def test_the_coarsest_of_all_bands_are_all_bands(wavelet: str, depth: int, tail: str) -> None:
    every, coarse = (f"{wavelet}-d{depth}-{name}{tail}/conv1d" for name in ("all", f"coarse{3 * depth + 1}"))
    assert key(every) == key(coarse)
    assert_same_function(every, coarse)
    assert key(f"{wavelet}-d{depth}-coarse{3 * depth}{tail}/conv1d") != key(every)


@pytest.mark.parametrize("squeeze", ["dct-bottom1", "haar-d2-coarse1-energy", "dct-low1", "sym4-d1-coarse1"])
@pytest.mark.parametrize("gate", ["mlp-r4", "conv1d", "affine"])
def test_one_entry_for_each_channel_is_one_entry_by_group(squeeze: str, gate: str) -> None:
    assert key(f"{squeeze}-each/{gate}") == key(f"{squeeze}/{gate}")
    assert_same_function(f"{squeeze}-each/{gate}", f"{squeeze}/{gate}")


def band_signs(one: torch.nn.Module, other: torch.nn.Module) -> Tensor:
    """[C, K] of +-1: the sign by which the squeezed numbers of two designs differ."""
    x = maps(8, 8)
    left, right = one.squeeze(x), other.squeeze(x)  # type: ignore[operator]
    signs: Tensor = (left * right).sum(0).sign()
    torch.testing.assert_close(left, signs * right, rtol=0, atol=EXACT)
    return signs


@pytest.mark.parametrize("wavelet", WAVELETS[1:])
@pytest.mark.parametrize("selection", ["all", "details", "coarse2", "coarse3"])
@pytest.mark.parametrize("each", ["", "-each"])
@pytest.mark.parametrize("gate", ["mlp-r4", "affine"])
def test_level_one_means_agree_up_to_a_sign_that_the_first_weights_take_up(
    wavelet: str, selection: str, each: str, gate: str
) -> None:
    """attention.md 5, item 5: each is a difference of the four polyphase means, whatever the wavelet."""
    one, other = (f"{name}-d1-{selection}{each}/{gate}" for name in ("haar", wavelet))
    assert key(one) == key(other)
    left, right = module(one), module(other)
    right.load_state_dict(left.state_dict())
    signs = band_signs(left, right)
    with torch.no_grad():
        weights = first_weights(right)
        weights.mul_(signs.reshape(1, -1) if gate.startswith("mlp") else signs)
    for height, width in SIZES:
        x = maps(height, width)
        torch.testing.assert_close(left(x), right(x), rtol=0, atol=EXACT)


@pytest.mark.parametrize("gate", ["conv1d", "pfca"])
@pytest.mark.parametrize("selection", ["all", "details"])
def test_level_one_means_of_opposite_sign_stay_apart_where_no_weight_takes_it_up(gate: str, selection: str) -> None:
    """Haar's detail is even minus odd pixels, db2's odd minus even; the diagonal band keeps its sign."""
    one, other = f"haar-d1-{selection}/{gate}", f"db2-d1-{selection}/{gate}"
    assert key(one) != key(other)
    left, right = module(one), module(other)
    signs = band_signs(left, right)
    assert {-1.0, 1.0} == set(signs.flatten().tolist())
    x = maps(8, 8)
    for sign in (1, -1):  # a kernel may take up one sign for all channels, and pfca hears no common sign
        right.load_state_dict({name: sign * weight for name, weight in left.state_dict().items()})
        assert (left(x) - right(x)).abs().max() > 1e-3


@pytest.mark.parametrize("pair", [("haar", "bior2.2"), ("db2", "sym4")])
@pytest.mark.parametrize("gate", ["conv1d", "pfca"])
@pytest.mark.parametrize("selection", ["all", "details"])
def test_level_one_means_of_equal_sign_are_one_design_under_every_gate(
    pair: tuple[str, str], gate: str, selection: str
) -> None:
    """Four wavelets share two signs, so two pairs have identical rows: nothing is left to absorb."""
    one, other = (f"{wavelet}-d1-{selection}/{gate}" for wavelet in pair)
    assert_same_function(one, other)
    assert key(one) == key(other)


@pytest.mark.parametrize("wavelet", WAVELETS[1:])
@pytest.mark.parametrize("selection", ["all", "details"])
def test_a_convolution_with_a_weight_for_each_band_takes_up_level_one_signs(wavelet: str, selection: str) -> None:
    """With `each` the kernel is [1, K, k]: it has a weight, hence a sign, of its own for every band."""
    one, other = (f"{name}-d1-{selection}-each/conv1d" for name in ("haar", wavelet))
    left, right = module(one), module(other)
    signs = band_signs(left, right)[0]
    right.load_state_dict({name: weight * signs[:, None] for name, weight in left.state_dict().items()})
    for height, width in SIZES:
        x = maps(height, width)
        torch.testing.assert_close(left(x), right(x), rtol=0, atol=EXACT)
    assert key(one) == key(other)


@pytest.mark.parametrize("gate", ["mlp-r4", "affine", "conv1d", "pfca"])
@pytest.mark.parametrize("squeeze", ["{}-d2-all", "{}-d2-details", "{}-d3-coarse4", "{}-d1-all-energy"])
def test_from_level_two_on_and_for_energies_wavelets_stay_apart(squeeze: str, gate: str) -> None:
    assert len({key(f"{squeeze.format(wavelet)}/{gate}") for wavelet in WAVELETS}) == len(WAVELETS)


@pytest.mark.parametrize("gate", ["mlp-r4", "conv1d", "affine"])
@pytest.mark.parametrize("spelling", ["dct-low1", "dct-top1", "haar-d3-coarse1", "sym4-d2-coarse1"])
def test_the_published_scale_is_a_factor_that_the_first_weights_take_up(spelling: str, gate: str) -> None:
    """Oracle: orthonormal rows are sqrt(HW) times the mean (attention.md 5, item 2: W1 -> W1 / sqrt(HW))."""
    for height, width in ((7, 7), (8, 8), (5, 9)):
        left, right = module(f"avg/{gate}"), module(f"{spelling}/{gate}", scale="paper")
        right.load_state_dict(left.state_dict())
        with torch.no_grad():
            first_weights(right).div_(sqrt(height * width))
        x = maps(height, width)
        torch.testing.assert_close(left(x), right(x), rtol=0, atol=EXACT)


def test_the_published_scale_is_heard_where_no_weight_takes_it_up() -> None:
    x = maps(8, 8)
    left, right = module("avg/pfca"), module("dct-low1/pfca", scale="paper")
    assert (left(x) - right(x)).abs().max() > 1e-6
