"""What papers and released code fix to the last digit: parameter counts, golden vectors, starts.

All numbers are quoted from the house's reference on published attention (section in brackets), none from this code.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from search_space.blocks import BLOCKS
from search_space.blocks.bridge import Bridge
from search_space.blocks.wavenet_ae import analysis
from search_space.design import AttentionDesign

R18 = 11_689_512, [64] * 2 + [128] * 2 + [256] * 2 + [512] * 2
R34 = 21_797_672, [64] * 3 + [128] * 4 + [256] * 6 + [512] * 3
R50 = 25_557_032, [256] * 3 + [512] * 4 + [1024] * 6 + [2048] * 3
# MobileNetV2's hidden widths of the 16 blocks that expand
MBV2 = 3_504_872, [96, 144, 144, *[192] * 3, *[384] * 4, *[576] * 3, *[960] * 3]


@pytest.mark.parametrize(
    ("text", "backbone", "total"),
    [
        ("cbam-r16", R18, 11_779_392),  # [4.1 row 11]
        ("cbam-r16", R34, 21_960_468),  # [4.1 row 11]
        ("cbam-r16", R50, 28_089_624),  # [4.1 row 12]
        ("sge-g64", R50, 25_559_080),  # [4.2 row 34]
        ("triplet-k7", R50, 25_561_832),  # [4.2 row 35]
        ("simam", R50, 25_557_032),  # [1.7: 25.56M, no parameters]
    ],
)
def test_a_backbone_with_the_block_has_its_published_parameters(
    text: str, backbone: tuple[int, list[int]], total: int
) -> None:
    design, (plain, widths) = AttentionDesign.parse(text), backbone
    built = sum(p.numel() for width in widths for p in BLOCKS[design.squeeze](design, width).parameters())
    assert plain + built == total


def test_ba_resnet_50_has_its_published_parameters() -> None:
    """[4.2 row 38]: 28,706,376; a bottleneck of C channels has two earlier convolutions of C / 4."""
    design, (plain, widths) = AttentionDesign.parse("ba-r16"), R50
    bridges = [Bridge(design, width, (width // 4, width // 4)) for width in widths]
    assert plain + sum(p.numel() for bridge in bridges for p in bridge.parameters()) == 28_706_376


def test_mobilenet_v2_with_coordinate_attention_has_the_published_rounding() -> None:
    """[1.23, 1.6]: 3.95M, with the attention on the hidden width of the 16 blocks that expand."""
    design, (plain, widths) = AttentionDesign.parse("coordinate-r32"), MBV2
    assert f"{(plain + sum(BLOCKS['coordinate'].params(design, width) for width in widths)) / 1e6:.2f}M" == "3.95M"


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (2048, 32), (24, 8)])
def test_ema_has_the_tables_parameters_a_block(channels: int, groups: int) -> None:
    """[2]: (C / g)^2 * 10 + 4 C / g."""
    design = AttentionDesign.parse(f"ema-g{groups}")
    expected = (channels // groups) ** 2 * 10 + 4 * (channels // groups)
    assert sum(p.numel() for p in BLOCKS["ema"](design, channels).parameters()) == expected


def test_simam_gates_as_the_golden_vector() -> None:
    """[4.4], lambda 1e-4, float64 at 1e-6."""
    gate = BLOCKS["simam"](AttentionDesign.parse("simam"), 1).gate(torch.tensor([[[[1.0, 2], [3, 4]]]]).double())
    golden = torch.tensor([[0.69793416, 0.63123014], [0.63123014, 0.69793416]], dtype=torch.float64)
    torch.testing.assert_close(gate[0, 0], golden, atol=1e-6, rtol=0)


def test_the_haar_analysis_gives_the_golden_bands() -> None:
    """[4.4]: orthonormal Haar on 4 x 4, named by the difference that is taken."""
    x = torch.tensor([[[[1.0, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 17]]]]).double()
    golden = [[[7, 11], [23, 27.5]], [[-4, -4], [-4, -4.5]], [[-1, -1], [-1, -1.5]], [[0, 0], [0, 0.5]]]
    torch.testing.assert_close(analysis(x)[0, :, 0], torch.tensor(golden, dtype=torch.float64), atol=1e-12, rtol=0)


def started(text: str) -> nn.Module:
    torch.manual_seed(0)
    design = AttentionDesign.parse(text)
    return BLOCKS[design.squeeze](design, 64)


def test_sge_starts_with_weights_of_zero_and_biases_of_one() -> None:
    """[1.22]: weight 0, bias 1, so every gate starts at sigmoid(1) = .731058579 on any map; a zoo's bias 0 is wrong."""
    gate = started("sge-g64").gate(torch.randn(2, 64, 5, 5))
    torch.testing.assert_close(gate, torch.full_like(gate, 0.731058579))


def test_cat_starts_at_a_half_on_any_map() -> None:
    """[1.8]: the learned factors start at 0, so both branches are sigmoid(0), whatever their mixture."""
    gate = started("cat-r16").gate(torch.randn(2, 64, 5, 5))
    torch.testing.assert_close(gate, torch.full_like(gate, 0.5))


def test_cbams_batch_norm_has_the_released_settings() -> None:
    """[1.19]: eps 1e-5, momentum .01."""
    norms = [module for module in started("cbam-r16").modules() if isinstance(module, nn.BatchNorm2d)]
    assert [(norm.eps, norm.momentum, norm.num_features) for norm in norms] == [(1e-5, 0.01, 1)]


@pytest.mark.parametrize(("text", "given"), [("ema-g32", 48), ("sge-g64", 96), ("ema-g32", 16), ("sge-g64", 32)])
def test_groups_that_do_not_divide_the_channels_are_refused(text: str, given: int) -> None:
    """[6.3 rows 9, 15]: C % groups; 16 channels have no 32 groups."""
    design = AttentionDesign.parse(text)
    with pytest.raises(ValueError, match=rf"groups: '{text} with {given} channels' .* divides {given}"):
        BLOCKS[design.squeeze](design, given)


@pytest.mark.parametrize(
    ("text", "channels", "allowed"),
    [("cbam-r17", 16, "r16"), ("cat-r17", 16, "r16"), ("wavenet-ae-r65", 16, "r64")],
)
def test_a_reduction_that_leaves_no_hidden_unit_is_refused(text: str, channels: int, allowed: str) -> None:
    design = AttentionDesign.parse(text)
    with pytest.raises(ValueError, match=f"reduction: .* allowed: r1 to {allowed}"):
        BLOCKS[design.squeeze](design, channels)


def test_coordinate_attention_is_never_narrower_than_eight() -> None:
    """[1.23]: m = max(8, C // 32)."""
    design = AttentionDesign.parse("coordinate-r32")
    hidden = [BLOCKS["coordinate"](design, channels).reduce.out_channels for channels in (4, 256, 320)]
    assert hidden == [8, 8, 10]
