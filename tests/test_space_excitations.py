"""Excitations against plain NumPy and the published counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from search_space import AttentionDesign, Site, build
from search_space.sites import added_macs, added_params
from search_space.widths import channel_groups, kernel_size

RESNET20 = [Site(c, s, s) for c, s in ((16, 32), (32, 16), (64, 8)) for _ in range(3)]
RESNET34 = [Site(c, s, s) for c, s, n in ((64, 56, 3), (128, 28, 4), (256, 14, 6), (512, 7, 3)) for _ in range(n)]
RESNET50 = [Site(c, s, s) for c, s, n in ((256, 56, 3), (512, 28, 4), (1024, 14, 6), (2048, 7, 3)) for _ in range(n)]
Array = NDArray[np.float64]


def sigmoid(x: Array) -> Array:
    gate: Array = 1 / (1 + np.exp(-x))
    return gate


def built(text: str, channels: int, **options: Any) -> tuple[torch.nn.Module, list[Array]]:
    """The module with random weights, and these as arrays in the order of the state dict."""
    torch.manual_seed(0)
    layer = build(AttentionDesign.parse(text), channels, dtype=torch.float64, **options)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer, [parameter.detach().numpy() for parameter in layer.state_dict().values()]


def excite(layer: torch.nn.Module, z: Array) -> Array:
    with torch.no_grad():
        gate: Array = layer.excite(torch.from_numpy(z)).numpy()  # type: ignore[operator]
    return gate


def numbers(channels: int, count: int) -> Array:
    return np.random.default_rng(0).normal(size=(5, channels, count))


@pytest.mark.parametrize(("squeeze", "count"), [("avg", 1), ("haar-d1-all-each", 4)])
@pytest.mark.parametrize("reduction", [1, 3, 4, 12])
def test_the_mlp_is_two_bias_free_layers_with_a_relu_between(squeeze: str, count: int, reduction: int) -> None:
    layer, (first, second) = built(f"{squeeze}/mlp-r{reduction}", 12)
    z = numbers(12, count)
    assert first.shape == (12 // reduction, 12 * count)
    expected = sigmoid(np.maximum(z.reshape(5, -1) @ first.T, 0) @ second.T)
    np.testing.assert_allclose(excite(layer, z), expected, rtol=1e-12)


@pytest.mark.parametrize(("squeeze", "count"), [("avg", 1), ("haar-d1-all-each", 4)])
@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_the_convolution_is_numpys_correlation_with_zero_padding(squeeze: str, count: int, kernel: int) -> None:
    layer, (weight,) = built(f"{squeeze}/conv1d-k{kernel}", 12)
    z = numbers(12, count)
    padded = np.pad(z, ((0, 0), (kernel // 2, kernel // 2), (0, 0)))
    expected = np.stack(
        [sum(np.correlate(sample[:, k], weight[0, k], mode="valid") for k in range(count)) for sample in padded]
    )
    np.testing.assert_allclose(excite(layer, z), sigmoid(expected), rtol=1e-12)


@pytest.mark.parametrize(("squeeze", "count"), [("avg", 1), ("haar-d1-all-each", 4)])
def test_the_affine_gate_hears_each_channel_alone(squeeze: str, count: int) -> None:
    layer, (weight, bias) = built(f"{squeeze}/affine", 12)
    z = numbers(12, count)
    np.testing.assert_allclose(excite(layer, z), sigmoid(np.einsum("bck,ck->bc", z, weight) + bias), rtol=1e-12)


def test_a_fresh_affine_gate_is_one_half_everywhere() -> None:
    layer = build(AttentionDesign.parse("avg/affine"), 3)
    gate = layer.excite(torch.randn(2, 3, 1))  # type: ignore[operator]
    assert gate.tolist() == [[0.5] * 3] * 2


def test_the_parameter_free_gate_is_the_golden_one() -> None:
    """attention.md 4.4: PFCA on U = [1, 2, 3, 4], unbiased variance, l = 1e-4."""
    layer, weights = built("avg/pfca", 4)
    found = excite(layer, np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1))
    np.testing.assert_allclose(found[0], [0.69793416, 0.63123014, 0.63123014, 0.69793416], atol=1e-6)
    assert weights == []


def test_the_parameter_free_gate_is_the_inverse_energy_over_channels() -> None:
    layer, _ = built("avg/pfca", 12)
    z = numbers(12, 1)[..., 0]
    deviation = (z - z.mean(1, keepdims=True)) ** 2
    energy = deviation / (4 * (z.var(1, ddof=1, keepdims=True) + 1e-4)) + 0.5
    np.testing.assert_allclose(excite(layer, z[..., None]), sigmoid(energy), rtol=1e-12)


def test_the_gaussian_gate_is_the_golden_one_and_is_not_squashed_again() -> None:
    """attention.md 4.4: [1, 2, 3, 4], c = 2, eps 1e-5, biased variance; the zoo's bug would give .16530127."""
    layer, weights = built("avg/gaussian", 4)
    found = excite(layer, np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1))
    np.testing.assert_allclose(found[0], [0.79851766, 0.97531011, 0.97531011, 0.79851766], atol=1e-6)
    assert weights == []


@pytest.mark.parametrize(
    ("channels", "groups"), [(2, 1), (4, 1), (8, 2), (16, 4), (30, 6), (32, 8), (64, 16), (256, 64), (512, 64), (7, 1)]
)
def test_lcts_groups_are_sixty_four_or_as_many_as_keep_four_channels(channels: int, groups: int) -> None:
    """Oracle: of the divisors of C, the largest that is at most 64 and leaves 4 channels in a group."""
    assert channel_groups(AttentionDesign.parse("avg/affine-g64"), channels) == groups
    assert channels % groups == 0
    assert channel_groups(AttentionDesign.parse("avg/affine-g1"), channels) == 1


KERNELS = {16: 3, 24: 3, 32: 3, 64: 3, 96: 3, 128: 5, 160: 5, 256: 5, 320: 5, 512: 5, 960: 5, 1024: 5, 2048: 7}


@pytest.mark.parametrize(("channels", "kernel"), KERNELS.items())
def test_the_adaptive_kernel_is_ecas_rule(channels: int, kernel: int) -> None:
    """attention.md 1.2: the paper's formula, evaluated there for every width of the usual networks."""
    assert kernel_size(AttentionDesign.parse("avg/conv1d"), channels) == kernel
    layer = build(AttentionDesign.parse("avg/conv1d"), channels)
    assert sum(p.numel() for p in layer.parameters()) == kernel


def test_the_adaptive_kernel_is_odd_and_never_shrinks_with_the_width() -> None:
    kernels = [kernel_size(AttentionDesign.parse("avg/conv1d"), channels) for channels in range(1, 3000)]
    assert all(kernel % 2 == 1 for kernel in kernels)
    assert kernels == sorted(kernels)
    assert kernel_size(AttentionDesign.parse("avg/conv1d-k9"), 16) == 9


SE_PARAMS = {64: 512, 128: 2_048, 256: 8_192, 512: 32_768, 1024: 131_072, 2048: 524_288}


@pytest.mark.parametrize(("channels", "params"), SE_PARAMS.items())
def test_se_has_the_published_number_of_weights(channels: int, params: int) -> None:
    """attention.md 4.3: SE per block without biases, r = 16."""
    site = Site(channels, 7, 7)
    assert added_params(AttentionDesign.parse("avg/mlp-r16"), [site]) == params
    assert added_macs(AttentionDesign.parse("avg/mlp-r16"), [site]) == params
    assert sum(p.numel() for p in build(AttentionDesign.parse("avg/mlp-r16"), channels).parameters()) == params


@pytest.mark.parametrize(
    ("text", "sites", "params"),
    [
        ("avg/mlp-r16", RESNET50, 28_071_976 - 25_557_032),  # 4.2 row 28 less torchvision's ResNet-50
        ("dct-top16/mlp-r16", RESNET50, 28_071_976 - 25_557_032),
        ("dct-top16/mlp-r16", RESNET34, 21_954_856 - 21_797_672),  # 4.2 row 27 less torchvision's ResNet-34
        ("avg/conv1d", RESNET50, 86),  # 1.2: formula on block outputs
        ("avg/mlp-r16", RESNET20, 2_016),  # 4.2: 40,820,960 - 40,818,944 and 280,340 - 278,324
        ("avg/mlp-r8", RESNET20, 282_356 - 278_324),
        ("avg/mlp-r4", RESNET20, 286_388 - 278_324),
        ("avg/conv1d", RESNET20, 278_351 - 278_324),
        ("avg/affine", RESNET20, 278_996 - 278_324),  # LCT: a weight and a bias a channel
        ("avg/affine-g64", RESNET20, 278_996 - 278_324),
        ("avg/affine-g64", RESNET50, 25_587_240 - 25_557_032),  # 4.2 row 36
        ("avg/mlp-r16-bias", RESNET50, 28_088_024 - 25_557_032),  # 4.1 row 8: SE with biases
        ("avg/mlp-r16-bias", RESNET34, 21_958_868 - 21_797_672),  # 4.1 row 7
        ("avg/mlp-r16-bias", RESNET20, 280_697 - 278_324),  # 4.1 row 16
        ("context/mlp-r16-ln-bias-add", RESNET50, 28_105_032 - 25_557_032),  # 4.2 row 33: GC
        ("avg+std/cfc", RESNET50, 25_617_448 - 25_557_032),  # 4.1 row 24: SRM
        ("avg+std/cfc", RESNET20, 279_668 - 278_324),  # 4.2 row 52
        ("avg+max/mlp-r16-shared-bias", RESNET50, 28_088_024 - 25_557_032),  # CBAM's channel part has SE's weights
        ("recursive/mlp-r16", RESNET34, 21_954_856 - 21_797_672),  # 1.5: WaveNet-C 21.95M
        ("ortho-s0/mlp-r16", RESNET50, 28_071_976 - 25_557_032),  # 4.2 row 28
        ("avg+std/conv1d-k3-bias", RESNET20, 9 * 7),  # 2: 2 k + 1 a block
        ("avg+skew/conv1d-k7-bias", RESNET20, 9 * 15),
        ("l2/gated", RESNET20, 3 * 3 * (16 + 32 + 64)),  # 1.25: 3 C
        ("avg/fc-bias-hard", RESNET20, 3 * (16**2 + 32**2 + 64**2 + 16 + 32 + 64)),  # 2: C^2 + C
        ("dct-learned16/mlp-r16", RESNET20, 2_016 + 9 * 16 * 49),
        ("avg/gaussian", RESNET20, 0),
        ("avg/pfca", RESNET20, 0),
        ("none", RESNET20, 0),
    ],
)
def test_whole_networks_gain_the_published_number_of_weights(text: str, sites: list[Site], params: int) -> None:
    assert added_params(AttentionDesign.parse(text), sites) == params


@pytest.mark.parametrize(
    ("sites", "elements"), [(RESNET20, 86_016), (RESNET34, 1_379_840), (RESNET50, 5_519_360)], ids=["20", "34", "50"]
)
def test_a_frequency_for_each_channel_costs_one_product_an_element(sites: list[Site], elements: int) -> None:
    """attention.md 4.3: sum(CHW) over block outputs, FcaNet's stated overhead over SE."""
    se, fca = (added_macs(AttentionDesign.parse(text), sites) for text in ("avg/mlp-r16", "dct-top16/mlp-r16"))
    assert fca - se == elements
    assert added_macs(AttentionDesign.parse("dct-low1/mlp-r16"), sites) == se
    four = added_macs(AttentionDesign.parse("dct-low4-each/affine"), sites)
    assert four == 4 * elements + 4 * sum(site.channels for site in sites)
    assert added_macs(AttentionDesign.parse("none"), sites) == 0
