"""attention.md 6.3 rule by rule: what is the same, what is refused, and the facts of its section 5.

| 6.3 | rule | test |
| --- | --- | --- |
| 1 | average = low1 = top1 = approximation mean | test_space_keys: ..average_is_the_lowest_frequency.. |
| 2 | low2 = top2 | test_space_keys: ..two_lowest_are_the_two_best.., test_space_keys_lists |
| 3 | level-1 detail means, signs absorbed or not | test_space_keys: test_level_one_means.. (four tests) |
| 4, 6 | the sum of the four bands is a strided average | here: ..four_level_one_bands_add_up.. |
| 5 | fields without meaning; ECA's kernel at C <= 96 | test_space_validity; test_space_network_key |
| 7 | bias or none: two keys, both counts | test_space_keys: ..options_that_no_weight..; test_space_excitations |
| 8 | no sigmoid after the Gaussian gate | here: ..gaussian_gate_is_not_squashed..; golden in test_space_excitations |
| 9 | K that does not divide C; K > C | here: ..frequencies_that_do_not_divide.. |
| 10 | r > C; hidden width 1 | here: ..reduction_needs_a_hidden_number.. |
| 11 | depth and map; filter and map | here: ..depth_a_map_has_no_room_for.., ..filter_longer_than_the_map.. |
| 12 | DCT below 7 pixels | here: ..below_seven_pixels_frequencies_stay_apart.. |
| 13 | statistics of one pixel | here: ..one_pixel.. (three tests) |
| 14 | batch norm in training on one image | here: ..batch_norm_over_one_image.. |
| 15 | groups that do not divide C | here: ..groups_that_do_not_divide.. |
| 16 | learned filters of the map's size | here: ..nothing_learned_grows_with_the_map.. |
| 17, 18 | covariance; softmax gates | here: ..no_spelling.. |
| 19 | scale of basis rows | test_space_basis_dct, _wavelet, _recursive: ..norm_one_over_the_root..; test_space_starts |
| 20 | entropy of softmax over positions, signs heard | here: ..entropy_hears_signs..; test_space_squeezes |
| 21 | no attention on the projection shortcut | here: ..no_spelling.. |
| 22 | no adaptive pooling; deterministic | here: ..no_adaptive_pooling.. |
| 23 | half precision: no buffers, no overflow | here: ..half_precision..; test_space_squeezes: ..when_the_map_is_half |
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_space_modules import SOME
from test_space_oracles import random_maps, wavelet_bands
from torch.utils._python_dispatch import TorchDispatchMode

from search_space import AttentionDesign, DesignError, Site, build
from search_space.bases import analysis, basis, rank
from search_space.sites import added_params, check

WAVELETS = ("haar", "db2", "sym4", "bior2.2")


def design(text: str) -> AttentionDesign:
    return AttentionDesign.parse(text)


def refused(text: str, *sites: Site) -> str:
    with pytest.raises(DesignError) as refusal:
        check(design(text), sites)
    return str(refusal.value)


# -- section 5 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("wavelet", WAVELETS)
def test_the_approximation_after_j_levels_has_two_to_the_j_times_the_average(wavelet: str, levels: int) -> None:
    """5.1 and 5.4, orthonormal analysis of a 32 x 32 map, periodised; mean(LL_J) = 2^J GAP."""
    x = random_maps(3, 32, 32).numpy()
    approximation = x
    for matrix in analysis(wavelet, levels, 32):
        low = matrix[: len(matrix) // 2]
        approximation = low @ approximation @ low.T
    np.testing.assert_allclose(approximation.mean((2, 3)), 2**levels * x.mean((2, 3)), rtol=1e-9)


@pytest.mark.parametrize("power", [1, 2, 3, 4, 5])
def test_the_full_depth_haar_approximation_is_the_lowest_frequency(power: int) -> None:
    """5.2: LL_J = sqrt(HW) GAP = orthonormal DCT(0, 0) on 2^J x 2^J maps."""
    x = random_maps(2, 2**power, 2**power)
    published = build(design(f"haar-d{power}-coarse1/fc"), 2, scale="paper", dtype=torch.float64)
    lowest = build(design("dct-low1/fc"), 2, scale="paper", dtype=torch.float64)
    deepest = torch.from_numpy(wavelet_bands(x.numpy(), "haar", power)[0][..., 0])
    torch.testing.assert_close(published.squeeze(x), deepest, rtol=1e-10, atol=0)  # type: ignore[operator]
    torch.testing.assert_close(published.squeeze(x), lowest.squeeze(x), rtol=1e-10, atol=0)  # type: ignore[operator]


@pytest.mark.parametrize("side", [7, 14, 28, 56])
@pytest.mark.parametrize("wavelet", WAVELETS)
def test_every_pixel_of_an_odd_map_is_heard_alike(wavelet: str, side: int) -> None:
    """5.3: flooring would hear 32.65 per cent of it, and zero padding or area resampling hear all."""
    deepest = (side - 1).bit_length()
    np.testing.assert_allclose(basis(design(f"{wavelet}-d{deepest}-coarse1/fc"), side, side), 1 / side**2, rtol=1e-9)
    padded = np.pad(random_maps(1, side, side, images=1).numpy()[0, 0], (0, 2**deepest - side))
    approximation = wavelet_bands(padded, "haar", deepest)[0].item()
    assert abs(approximation * 2**deepest - padded.sum()) < 1e-9  # the reference's own identity


@pytest.mark.parametrize("size", [(8, 8), (6, 10), (2, 2), (14, 4)])
def test_the_four_level_one_bands_add_up_to_a_strided_average(size: tuple[int, int]) -> None:
    """5.6 (6.3, items 4 and 6): with rows of equal norm the sum is mean(x[0::2, 0::2]), at even sizes.

    So it is no design: under -each the bands are K numbers, and no excitation adds them before its weights.
    """
    x = random_maps(3, *size)
    bands = build(design("haar-d1-all-each/fc"), 3, dtype=torch.float64).squeeze(x)  # type: ignore[operator]
    torch.testing.assert_close(bands.sum(2), x[..., ::2, ::2].mean((2, 3)), rtol=0, atol=1e-12)
    with pytest.raises(DesignError):
        design("haar-d1-all-sum/fc")


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.float16, 1e-2)])
def test_five_levels_keep_the_precision_of_the_map(dtype: torch.dtype, most: float) -> None:
    """5.7, tolerances as given there: 32 x 32 unit normal, 2^5 GAP."""
    x = random_maps(8, 32, 32).to(dtype)
    layer = build(design("haar-d5-coarse1/fc"), 8, scale="paper")
    exact = 32 * x.double().mean((2, 3))
    found = layer.squeeze(x)[..., 0].double()  # type: ignore[operator]
    assert float(((found - exact).abs() / exact.abs().clamp_min(1)).max()) < most


# -- section 6.3 ---------------------------------------------------------------------------------------------------


def test_the_gaussian_gate_is_not_squashed_a_second_time() -> None:
    """Rule 8: a channel at the mean passes unchanged, which no sigmoid allows."""
    z = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1)
    assert build(design("avg/gaussian"), 3).excite(z)[0, 1] == 1  # type: ignore[operator]
    with pytest.raises(DesignError, match="activation"):
        AttentionDesign("avg", excitation="gaussian", activation="hard")


def test_frequencies_that_do_not_divide_the_channels_make_uneven_groups_and_too_many_are_refused() -> None:
    """Rule 9: MobileNetV2's 24 channels with 16 frequencies, where FcaNet stops; 32 with 16 channels can't be."""
    check(design("dct-top16/fc"), [Site(24, 14, 14)])
    build(design("dct-top16/fc"), 24)(random_maps(24, 14, 14).float())
    assert "top32 with 16 channels" in refused("dct-top32/fc", Site(16, 32, 32))
    check(design("dct-top32-each/fc"), [Site(16, 32, 32)])


def test_a_reduction_needs_a_hidden_number_and_layer_norm_two() -> None:
    """Rule 10: hidden width 1 works, a rank-one gate; below it is refused, as is a norm of one number, a constant."""
    check(design("avg/mlp-r16"), [Site(16, 32, 32)])
    assert "r17 with 16 channels" in refused("avg/mlp-r17", Site(16, 32, 32))
    assert "layer norm makes one hidden number a constant" in refused("avg/mlp-r16-ln", Site(16, 32, 32))
    check(design("avg/mlp-r8-ln"), [Site(16, 32, 32)])


def test_a_depth_the_map_has_no_room_for_is_refused_at_its_stage() -> None:
    """Rule 11."""
    assert "4 on a 8x8 map of 64 channels" in refused("haar-d4-all/fc", Site(16, 32, 32), Site(64, 8, 8))


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_a_filter_longer_than_the_map_wraps_around_it(wavelet: str) -> None:
    """Rule 11: sym4 has 8 taps; on 4 pixels its periodised analysis is pywt's."""
    check(design(f"{wavelet}-d2-all/fc"), [Site(16, 4, 4)])
    x = random_maps(1, 4, 4)
    found = build(design(f"{wavelet}-d2-all-energy-each/fc"), 1, dtype=torch.float64).squeeze(x)  # type: ignore[operator]
    expected = [(band**2).sum((2, 3)) / 16 for band in wavelet_bands(x.numpy(), wavelet, 2)]
    np.testing.assert_allclose(found.detach().numpy(), np.stack(expected, 2), rtol=1e-9, atol=1e-12)


def test_below_seven_pixels_frequencies_stay_apart() -> None:
    """Rule 12: FcaNet's index rule has rank 1 at 4 x 4, the last stage of a CIFAR ResNet-18."""
    assert rank(design("dct-top16/fc"), 4, 4) > 8
    assert all(rank(design("dct-low4/fc"), side, side) == 4 for side in (2, 3, 4, 5, 6, 7, 8))


@pytest.mark.parametrize("squeeze", ["std", "skew", "entropy", "relentropy"])
def test_a_statistic_that_says_nothing_of_one_pixel_is_refused_there(squeeze: str) -> None:
    """Rule 13 lists these as invalid at HW = 1: always 0, whatever the pixel."""
    message = refused(f"{squeeze}/fc", Site(64, 4, 4), Site(128, 1, 1))
    assert squeeze in message and "1x1 map of 128 channels" in message


@pytest.mark.parametrize("squeeze", ["std", "skew", "entropy", "relentropy", "avg+std"])
def test_statistics_of_one_pixel_are_finite_with_finite_gradient_if_they_are_built_all_the_same(squeeze: str) -> None:
    """Rule 13."""
    x = random_maps(4, 1, 1).requires_grad_()
    y = build(design(f"{squeeze}/fc"), 4, dtype=torch.float64)(x)
    y.sum().backward()
    assert torch.isfinite(y).all() and x.grad is not None and torch.isfinite(x.grad).all()


def test_simam_on_one_pixel_is_refused() -> None:
    """Rule 13: it divides by HW - 1."""
    assert "simam" in refused("simam", Site(64, 4, 4), Site(128, 1, 1))
    check(design("simam"), [Site(64, 1, 2)])


def test_batch_norm_over_one_image_is_refused_in_training_and_not_in_evaluation() -> None:
    """Rule 14."""
    layer = build(design("avg+std/cfc"), 4, dtype=torch.float64)
    with pytest.raises(DesignError, match="2 images or more"):
        layer.train()(random_maps(4, 5, 5, images=1))
    layer.eval()(random_maps(4, 5, 5, images=1))
    layer.train()(random_maps(4, 5, 5, images=2))


@pytest.mark.parametrize("text", ["sge-g64", "ema-g32"])
def test_groups_that_do_not_divide_the_channels_are_refused(text: str) -> None:
    """Rule 15; LCT takes fewer groups instead, as its preset says."""
    check(design(text), [Site(64, 8, 8)])
    assert "divides 80" in refused(text, Site(64, 8, 8), Site(80, 8, 8))
    check(design("avg/affine-g64"), [Site(80, 8, 8)])


def test_nothing_learned_grows_with_the_map() -> None:
    """Rule 16: FcaNet's learned C x H x W filters have no spelling; a learned choice has 49 logits a group."""
    for side in (7, 56):
        sites = [Site(256, side, side)]
        assert added_params(design("dct-learned16/fc"), sites) - added_params(design("avg/fc"), sites) == 16 * 49


@pytest.mark.parametrize(
    ("fields", "axis"),
    [
        ({"squeeze": "covariance", "excitation": "fc"}, "squeeze"),  # rule 17
        ({"squeeze": "avg", "excitation": "fc", "activation": "softmax"}, "activation"),  # rule 18
        ({"squeeze": "avg", "excitation": "fc", "placement": "shortcut"}, "placement"),  # rule 21
    ],
)
def test_what_the_reference_warns_of_has_no_spelling(fields: dict[str, str], axis: str) -> None:
    with pytest.raises(DesignError, match=axis):
        AttentionDesign(**fields)  # type: ignore[arg-type]


def test_entropy_hears_signs_and_survives_large_values() -> None:
    """Rule 20: p is the softmax over positions, so a map and its negative differ; log_softmax does not underflow."""
    layer = build(design("entropy/fc"), 4, dtype=torch.float64)
    x = random_maps(4, 4, 4)
    assert (layer.squeeze(x) - layer.squeeze(-x)).abs().min() > 1e-4  # type: ignore[operator]
    assert torch.isfinite(layer.squeeze(1e4 * x)).all()  # type: ignore[operator]


class NoAdaptivePooling(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        assert "adaptive" not in str(func), func
        return func(*args, **(kwargs or {}))


def test_no_adaptive_pooling_is_used_forwards_or_backwards() -> None:
    """Rule 22: its backward is nondeterministic on CUDA, and it exports to ONNX for divisors of the size only."""
    x = random_maps(32, 13, 11).float().requires_grad_()
    with NoAdaptivePooling():
        for one in SOME:
            build(one, 32)(x).sum().backward()


@pytest.mark.parametrize("text", ["dct-top16/fc", "recursive/fc", "ortho-s0/fc", "haar-d3-all-energy/fc", "l2/gated"])
def test_half_precision_modules_hold_no_buffer_and_overflow_no_sum(text: str) -> None:
    """Rule 23: plain float16 sums over 56 x 56 pixels of 30 overflow at 65,504."""
    layer = build(design(text), 32).half()
    assert not list(layer.buffers())
    x = torch.full((2, 32, 56, 56), 30.0, dtype=torch.float16) + random_maps(32, 56, 56, images=2).half()
    y = layer(x)
    assert y.dtype == torch.float16 and torch.isfinite(y).all()
