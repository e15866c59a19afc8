"""Each rule of `key`, pair by pair: both spellings built, weights carried over (signs folded in), same output."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from test_space_oracles import assert_same_function, order_and_signs, random_maps, trained
from torch import Tensor, nn

from search_space import AttentionDesign

CHANNELS = 12  # divided by 1, 2, 3, 4 but not by 7 or 10 entries: uneven groups too
WAVELETS = ("haar", "db2", "sym4", "bior2.2")
MIXING = ("mlp-r4", "mlp-r4-ln-bias-add", "fc-bias-hard", "cfc", "affine")  # a weight for each number of each channel
SUMMING = ("mlp-r4-shared-bias", "mlp-r4-mixed")  # several numbers a channel, one MLP
ONE_NUMBER = ("pfca", "gated", "gaussian", "affine-g3")
GATES = (*MIXING, "conv1d", "conv1d-k5-bias", *ONE_NUMBER)
EXACT = 1e-9  # pywt tabulates sym4 to 12 digits


def key(text: str) -> str:
    return AttentionDesign.parse(text).key


def gates_for(squeeze: str) -> list[str]:
    """Every gate that takes what the squeeze gives: `-each` gives several numbers unless it is one entry."""
    return [gate for gate in GATES if gate not in ONE_NUMBER or "each" not in squeeze]


AVERAGES = ["dct-low1", "dct-top1", *(f"{wavelet}-d{depth}-coarse1" for wavelet in WAVELETS for depth in (1, 2, 3, 5))]
AVERAGES += ["dct-at00", "dct-at00.00.00", "dct-at00-each", "dct-low1-each", "db2-d2-coarse1-each"]


@pytest.mark.parametrize("spelling", AVERAGES)
def test_the_average_is_the_lowest_frequency_and_the_approximation_mean_at_any_depth(spelling: str) -> None:
    """Oracle: torch's own mean; FcaNet Theorem 1, WaveNets Theorem 1 (attention.md 5, items 2 and 4)."""
    for gate in gates_for(spelling):
        assert key(f"{spelling}/{gate}") == f"avg/{gate}"
        assert_same_function(f"avg/{gate}", f"{spelling}/{gate}")
    x = random_maps(CHANNELS, 7, 13)
    squeezed = trained(f"{spelling}/affine", CHANNELS).squeeze(x)  # type: ignore[operator]
    torch.testing.assert_close(squeezed[:, :, 0], x.mean((2, 3)), rtol=0, atol=EXACT)


@pytest.mark.parametrize(
    ("gate", "each"), [*((gate, "") for gate in GATES), *((gate, "-each") for gate in (*gates_for("each"), *SUMMING))]
)
def test_the_two_lowest_are_the_two_best_frequencies(gate: str, each: str) -> None:
    assert key(f"dct-low2{each}/{gate}") == key(f"dct-top2{each}/{gate}") == f"dct-low2{each}/{gate}"
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


@pytest.mark.parametrize("squeeze", ["dct-bottom1", "haar-d2-coarse1-energy", "sym4-d1-coarse1", "dct-at35"])
@pytest.mark.parametrize("gate", [*MIXING, "conv1d"])
def test_one_entry_for_each_channel_is_one_entry_by_group(squeeze: str, gate: str) -> None:
    assert key(f"{squeeze}-each/{gate}") == key(f"{squeeze}/{gate}")
    assert_same_function(f"{squeeze}-each/{gate}", f"{squeeze}/{gate}")


@pytest.mark.parametrize("gate", [*MIXING, *SUMMING, "conv1d", "conv1d-k5-bias"])
@pytest.mark.parametrize(
    ("one", "other"), [("avg+std", "std+avg"), ("avg+max+skew", "skew+avg+max"), ("l2+entropy", "entropy+l2")]
)
def test_the_order_of_statistics_is_no_part_of_a_function(one: str, other: str, gate: str) -> None:
    assert_same_function(f"{one}/{gate}", f"{other}/{gate}")
    assert key(f"{one}/{gate}") == key(f"{other}/{gate}") == key(f"{one}/{gate}")


def signs_of(one: nn.Module, other: nn.Module) -> Tensor:
    """[C, K] of +-1: the sign by which the squeezed numbers of two designs differ, band by band."""
    x = random_maps(CHANNELS, 8, 8)
    found = order_and_signs(one.squeeze(x), other.squeeze(x))  # type: ignore[operator]
    assert found is not None and found[0] == sorted(found[0])
    return found[1]


@pytest.mark.parametrize("wavelet", WAVELETS[1:])
@pytest.mark.parametrize("selection", ["all", "details", "coarse2", "coarse3"])
@pytest.mark.parametrize("gate", [*MIXING, "gated"])
def test_level_one_means_agree_up_to_a_sign_that_the_first_weights_take_up(
    wavelet: str, selection: str, gate: str
) -> None:
    """attention.md 5, item 5: each is a difference of the four polyphase means, whatever the wavelet."""
    for each in ("", "-each") if gate != "gated" else ("",):
        one, other = (f"{name}-d1-{selection}{each}/{gate}" for name in ("haar", wavelet))
        assert key(one) == key(other)
        assert_same_function(one, other)


@pytest.mark.parametrize("selection", ["all", "details"])
@pytest.mark.parametrize("gate", ["conv1d", "conv1d-bias", "pfca", "gaussian", "affine-g3"])
def test_level_one_means_of_opposite_sign_stay_apart_where_no_weight_takes_it_up(gate: str, selection: str) -> None:
    """Haar's detail is even minus odd pixels, db2's odd minus even; the diagonal band keeps its sign."""
    one, other = f"haar-d1-{selection}/{gate}", f"db2-d1-{selection}/{gate}"
    assert key(one) != key(other)
    left, right = trained(one, CHANNELS), trained(other, CHANNELS)
    assert {-1.0, 1.0} == set(signs_of(left, right).flatten().tolist())
    x = random_maps(CHANNELS, 8, 8)
    for sign in (1, -1):  # a kernel may take up one sign for all channels; pfca and gaussian hear no common sign
        right.load_state_dict({name: sign * weight for name, weight in left.state_dict().items()})
        assert (left(x) - right(x)).abs().max() > 1e-3


@pytest.mark.parametrize("selection", ["all", "details", "coarse2"])
@pytest.mark.parametrize("gate", SUMMING)
def test_level_one_means_of_opposite_sign_stay_apart_where_one_mlp_hears_all_bands(gate: str, selection: str) -> None:
    """A first weight is common to all bands of its channel: it can turn them all, and no two wavelets ask for that."""
    one, other = f"haar-d1-{selection}-each/{gate}", f"db2-d1-{selection}-each/{gate}"
    assert key(one) != key(other)
    left, right = trained(one, CHANNELS), trained(other, CHANNELS)
    assert {-1.0, 1.0} == set(signs_of(left, right).flatten().tolist())
    x = random_maps(CHANNELS, 8, 8)
    for sign in (1, -1):
        right.load_state_dict(left.state_dict())
        with torch.no_grad():
            right.excitation.reduce.weight.mul_(sign)  # type: ignore[union-attr, operator]
        assert (left(x) - right(x)).abs().max() > 1e-3


@pytest.mark.parametrize("pair", [("haar", "bior2.2"), ("db2", "sym4")])
@pytest.mark.parametrize("gate", ["conv1d", *ONE_NUMBER, *SUMMING])
@pytest.mark.parametrize("selection", ["all", "details"])
def test_level_one_means_of_equal_sign_are_one_design_under_every_gate(
    pair: tuple[str, str], gate: str, selection: str
) -> None:
    """Four wavelets share two signs, so two pairs have identical rows: nothing is left to absorb."""
    each = "-each" if gate in SUMMING else ""
    one, other = (f"{wavelet}-d1-{selection}{each}/{gate}" for wavelet in pair)
    assert (signs_of(trained(one, CHANNELS), trained(other, CHANNELS)) == 1).all()
    assert_same_function(one, other)
    assert key(one) == key(other)


@pytest.mark.parametrize("wavelet", WAVELETS[1:])
@pytest.mark.parametrize("selection", ["all", "details"])
def test_a_convolution_with_a_weight_for_each_band_takes_up_level_one_signs(wavelet: str, selection: str) -> None:
    """With `each` the kernel is [1, K, k]: it has a weight, hence a sign, of its own for every band."""
    one, other = (f"{name}-d1-{selection}-each/conv1d" for name in ("haar", wavelet))
    assert_same_function(one, other)
    assert key(one) == key(other)


@pytest.mark.parametrize("gate", [*MIXING, "conv1d", *ONE_NUMBER])
@pytest.mark.parametrize("squeeze", ["{}-d2-all", "{}-d2-details", "{}-d3-coarse4", "{}-d1-all-energy"])
def test_from_level_two_on_and_for_energies_wavelets_stay_apart(squeeze: str, gate: str) -> None:
    assert len({key(f"{squeeze.format(wavelet)}/{gate}") for wavelet in WAVELETS}) == len(WAVELETS)


@pytest.mark.parametrize("gate", [*MIXING[:4], "affine", "conv1d", "gated"])
@pytest.mark.parametrize("spelling", ["dct-low1", "dct-at00", "haar-d3-coarse1", "sym4-d2-coarse1"])
def test_the_published_scale_is_a_factor_that_the_first_weights_take_up(spelling: str, gate: str) -> None:
    """Oracle: orthonormal rows are sqrt(HW) times the mean (attention.md 5, item 2: W1 -> W1 / sqrt(HW))."""
    for height, width in ((7, 7), (8, 8), (5, 9)):
        left, right = (
            trained(f"avg/{gate}", CHANNELS),
            trained(f"{spelling}/{gate}", CHANNELS, scale="paper"),
        )
        right.load_state_dict(left.state_dict())
        with torch.no_grad():
            next(right.parameters()).div_(sqrt(height * width))
        x = random_maps(CHANNELS, height, width)
        torch.testing.assert_close(left(x), right(x), rtol=0, atol=EXACT)


@pytest.mark.parametrize("gate", ["pfca", "gaussian", "affine-g3"])
def test_the_published_scale_is_heard_where_no_weight_takes_it_up(gate: str) -> None:
    x = random_maps(CHANNELS, 8, 8) / 100  # near the constants that keep variances from zero
    left, right = trained(f"avg/{gate}", CHANNELS), trained(f"dct-low1/{gate}", CHANNELS, scale="paper")
    assert (left(x) - right(x)).abs().max() > 1e-6


def test_a_placement_is_part_of_the_key_and_its_published_place_is_not_written() -> None:
    assert key("dct-top1/mlp-r4@mid") == "avg/mlp-r4@mid" != key("avg/mlp-r4")
    assert AttentionDesign("avg", excitation="affine", placement="after-norm").key == "avg/affine"
    assert AttentionDesign("avg", excitation="gated", placement="before-conv").key == "avg/gated"
    assert AttentionDesign("avg", excitation="gated", placement="after-norm").key == "avg/gated@after-norm"


def test_options_that_no_weight_takes_up_keep_designs_apart() -> None:
    """attention.md 6.3, item 7: bias or none is studied, so each has its own key."""
    gates = [
        "mlp-r4",
        "mlp-r4-bias",
        "mlp-r4-ln",
        "mlp-r4-hard",
        "mlp-r4-add",
        "mlp-r8",
        "fc",
        "fc-bias",
        "conv1d-bias",
    ]
    assert len({key(f"avg/{gate}") for gate in gates}) == len(gates)
    assert len({key(f"ortho-s{seed}/fc") for seed in range(5)}) == 5
    assert len({key(f"avg+max/mlp-r4{sharing}") for sharing in ("", "-shared", "-mixed")}) == 3
