"""Counts against the literature to the last digit: the house's reference on published attention, section 4.

Numbers in brackets are its rows. [V] stands in somebody's source or table, [D] is a closed form that agrees with what
papers print, rounded. Not covered, because the network or the design is not here:

    9, 10, 13, 19, 29, 30, 42-45   no such rows
    15, 17 (R164bn), 18 (PreResNet-20)   pre-activation and CIFAR bottleneck ResNets
    20   GhostNet: timm's layout squeezes to other widths, 5,182,508; 5.18 M is tested in test_placement.py
    21   MobileNetV3, whose blocks have attention of their own at places of their own
    22   imgclsmob's two MobileNetV2s: one without a classifier bias, one with an expansion in its first block
    23, 40   SKNet: attention over branches that replaces a convolution
    37   ConCA: its excitation is an MLP for every channel
    39   SDA-ResNet-86: attention over the depth of a stage
    4.3  CIFAR ResNet-101; Haar analyses as depthwise convolutions or recursions: ours are one inner product a number
"""

from __future__ import annotations

import pytest

from search_space import NONE, PRESETS, Layered, Site, find_design
from search_space.sites import added_macs, added_params
from search_space.widths import kernel_size
from trainers import backbone, cost, design_cost, sites
from trainers.costs import plain_cost

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")

# (design, backbone, image size, classes, params, MACs or None, source)
PUBLISHED = [
    ("none", "resnet18", 224, 1000, 11_689_512, 1_814_073_344, "[1] imgclsmob assert; [3.3] conv + fc"),
    ("none", "resnet34", 224, 1000, 21_797_672, 3_663_761_408, "[2] imgclsmob assert; [3.3] conv + fc"),
    ("none", "resnet50", 224, 1000, 25_557_032, 4_089_184_256, "[3] imgclsmob assert; [3.3] FcaNet's 4.09 G"),
    ("none", "resnet101", 224, 1000, 44_549_160, 7_801_405_440, "[4] imgclsmob assert; [3.3] conv + fc"),
    ("none", "resnet152", 224, 1000, 60_192_808, 11_513_626_624, "[5] imgclsmob assert; [3.3] conv + fc"),
    ("se-bias", "resnet18", 224, 1000, 11_778_592, None, "[6] imgclsmob assert"),
    ("se-bias", "resnet34", 224, 1000, 21_958_868, None, "[7] imgclsmob assert"),
    ("se-bias", "resnet50", 224, 1000, 28_088_024, None, "[8] imgclsmob assert"),
    ("cbam", "resnet18", 224, 1000, 11_779_392, None, "[11] imgclsmob assert"),
    ("cbam", "resnet34", 224, 1000, 21_960_468, None, "[11] imgclsmob assert"),
    ("cbam", "resnet50", 224, 1000, 28_089_624, None, "[12] imgclsmob assert"),
    ("none", "resnet20", 32, 100, 278_324, 40_818_944, "[14] imgclsmob assert; [4.2] conv + fc"),
    ("none", "resnet56", 32, 100, 861_620, 125_753_600, "[15] imgclsmob assert; [4.2] conv + fc"),
    ("none", "resnet110", 32, 100, 1_736_564, 253_155_584, "[15] imgclsmob assert; [4.2] conv + fc"),
    ("se-bias", "resnet20", 32, 100, 280_697, None, "[16] imgclsmob assert"),
    ("se-bias", "resnet20", 32, 10, 274_847, None, "[16] imgclsmob assert"),
    ("se-bias", "resnet56", 32, 100, 868_739, None, "[17] imgclsmob assert"),
    ("se-bias", "resnet110", 32, 100, 1_750_802, None, "[17] imgclsmob assert"),
    ("none", "mobilenetv2_100", 224, 1000, 3_504_872, 300_774_272, "[22] torchvision's layout; [3.3] conv + fc"),
    ("srm", "resnet50", 224, 1000, 25_617_448, None, "[24] SRM README"),
    ("se", "resnet50", 224, 1000, 28_071_976, None, "[24, 28] SRM README; FcaNet prints 28.07 M"),
    ("none", "resnet32", 32, 10, 466_906, None, "[25] SRM README"),
    ("se", "resnet32", 32, 10, 470_266, None, "[25] SRM README"),
    ("srm", "resnet32", 32, 10, 469_146, None, "[25] SRM README"),
    *(
        (design, name, 224, 1000, params, None, "[26-28] 2/r sum N C^2; FcaNet, OrthoNet and WaveNet-C add none to SE")
        for name, params in (("resnet18", 11_776_552), ("resnet34", 21_954_856), ("resnet50", 28_071_976))
        for design in ("se", "fca-lf", "fca-ts", "wavenet-c", "ortho")
    ),
    ("eca", "resnet50", 224, 1000, 25_557_118, None, "[31] the paper's kernel rule, and timm's ECA: 86"),
    ("eca", "resnet18", 224, 1000, 11_689_548, None, "[32] the paper's kernel rule: 3 3 5 5, twice each, so 36"),
    ("gc", "resnet50", 224, 1000, 28_105_032, None, "[33] SDA README prints 28.11 M"),
    ("sge", "resnet50", 224, 1000, 25_559_080, None, "[34] PytorchInsight prints 25.56 M"),
    ("triplet", "resnet50", 224, 1000, 25_561_832, None, "[35] its README prints 25.56 M"),
    ("lct", "resnet50", 224, 1000, 25_587_240, None, "[36] 2 C a block"),
    ("ba", "resnet50", 224, 1000, 28_706_376, None, "[38] the paper prints 28.71 M"),
    ("simam", "resnet50", 224, 1000, 25_557_032, None, "[1.7] no parameters: 25.56 M"),
    ("none", "seresnet18", 224, 1000, 11_779_624, None, "[41] timm prints 11.78 M; hidden width 8 or more"),
    ("none", "seresnet34", 224, 1000, 21_960_416, None, "[41] timm prints 21.96 M"),
    ("none", "seresnet50", 224, 1000, 28_088_024, None, "[41] timm prints 28.09 M"),
    ("none", "res2net50_26w_4s", 224, 1000, 25_699_120, 4_255_166_464, "[46, 1.13] README prints 25.70 M, 4.2 G"),
    ("none", "res2net50_14w_8s", 224, 1000, 25_059_816, 4_178_898_944, "[46, 1.13] README prints 25.06 M, 4.2 G"),
    ("none", "res2net50_48w_2s", 224, 1000, 25_287_304, 4_159_832_064, "[46, 1.13] README prints 25.29 M, 4.2 G"),
    ("none", "res2net101_26w_4s", 224, 1000, 45_206_688, 8_066_974_464, "[46, 1.13] README prints 45.21 M, 8.1 G"),
    ("none", "resnet18-cifar", 32, 100, 11_220_132, 555_468_800, "[47] ZAM prints 11.22 M"),
    ("none", "resnet50-cifar", 32, 100, 23_705_252, 1_298_014_208, "[48, 49] EMA README prints 23.71 M"),
    ("avg/mlp-r16", "resnet18-cifar", 32, 100, 11_307_172, None, "[50] 2/r sum N C^2"),
    ("avg/mlp-r8", "resnet18-cifar", 32, 100, 11_394_212, None, "[50] 2/r sum N C^2"),
    ("avg/mlp-r4", "resnet18-cifar", 32, 100, 11_568_292, None, "[50] 2/r sum N C^2"),
    ("se-bias", "resnet18-cifar", 32, 100, 11_309_212, None, "[50] with biases"),
    ("avg/mlp-r16", "resnet20", 32, 100, 280_340, 40_820_960, "[51] 2/r sum N C^2; [4.2] 40,818,944 + 2,016"),
    ("avg/mlp-r8", "resnet20", 32, 100, 282_356, None, "[51] 2/r sum N C^2"),
    ("avg/mlp-r4", "resnet20", 32, 100, 286_388, None, "[51] 2/r sum N C^2"),
    ("srm", "resnet20", 32, 100, 279_668, None, "[52] 4 C a block"),
    ("eca", "resnet20", 32, 100, 278_351, None, "[52] k = 3 in each of nine blocks"),
    ("lct", "resnet20", 32, 100, 278_996, None, "[52] 2 C a block"),
    ("ema", "resnet50-cifar", 32, 100, 23_903_620, None, "[1.6] at all 16 block outputs"),
]


@pytest.mark.parametrize(("text", "name", "size", "classes", "params", "macs", "source"), PUBLISHED)
def test_counts_match_the_literature_to_the_last_digit(text, name, size, classes, params, macs, source):
    found = design_cost(find_design(text), name, size, classes)
    assert found.params == params, source
    assert macs is None or found.macs == macs, source


ROUNDED = [
    ("se-bias", "resnet101", "49.33", "[41] timm"),
    ("se-bias", "resnet152", "66.82", "[41] timm"),
    ("cbam", "resnet101", "49.33", "[1.22] PytorchInsight"),
    ("avg/mlp-r24-bias@mid", "mobilenetv2_100", "3.89", "[1.1, 1.6] SE in the tables of EMA and CA"),
    ("cbam-r24@mid", "mobilenetv2_100", "3.89", "[1.6] CBAM in the tables of EMA and CA"),
    ("coordinate@mid", "mobilenetv2_100", "3.95", "[1.23] its README"),
]


@pytest.mark.parametrize(("text", "name", "millions", "source"), ROUNDED)
def test_counts_round_to_what_tables_print(text, name, millions, source):
    found = design_cost(find_design(text), name, 224, 1000)
    assert f"{found.params / 1e6:.2f}" == millions, source


@pytest.mark.parametrize(
    ("name", "kernels", "depths", "added"),
    [
        ("resnet18", (3, 5, 7, 7), (2, 2, 2, 2), 44),  # [32] 11,689,556
        ("resnet34", (3, 3, 5, 7), (3, 4, 6, 3), 72),
        ("resnet50", (3, 5, 5, 7), (3, 4, 6, 3), 80),  # [31] 25,557,112, the abstract's 80
        ("resnet101", (3, 3, 5, 7), (3, 4, 23, 3), 157),
    ],
)
def test_ecas_released_kernels_are_a_design_for_each_stage(name, kernels, depths, added):
    """[1.2] the checkpoints' kernels were chosen by hand, one a stage."""
    texts = [f"avg/conv1d-k{kernel}" for kernel, depth in zip(kernels, depths, strict=True) for _ in range(depth)]
    design = find_design(" | ".join(texts))
    assert isinstance(design, Layered)
    assert added_params(design, sites(name, 224)) == added


@pytest.mark.parametrize("reduction", [4, 8, 16, 32])
@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("resnet18", {64: 2, 128: 2, 256: 2, 512: 2}),
        ("resnet34", {64: 3, 128: 4, 256: 6, 512: 3}),
        ("resnet50", {256: 3, 512: 4, 1024: 6, 2048: 3}),
        ("resnet101", {256: 3, 512: 4, 1024: 23, 2048: 3}),
        ("resnet152", {256: 3, 512: 8, 1024: 36, 2048: 3}),
    ],
)
def test_se_adds_the_closed_form_of_its_paper(name, blocks, reduction):
    """[1.1] 2/r sum N C^2 parameters, and as many multiply-accumulates, over N blocks of C channels a stage."""
    design, places = find_design(f"avg/mlp-r{reduction}"), sites(name, 224)
    closed = 2 * sum(N * C * C for C, N in blocks.items()) // reduction
    assert added_params(design, places) == added_macs(design, places) == closed


# [4.3] SE a block: without biases, with biases
SE_BLOCKS = {
    64: (512, 580),
    128: (2_048, 2_184),
    256: (8_192, 8_464),
    512: (32_768, 33_312),
    1024: (131_072, 132_160),
    2048: (524_288, 526_464),
}


@pytest.mark.parametrize(("channels", "params"), SE_BLOCKS.items())
def test_se_adds_the_published_figures_to_a_block(channels, params):
    place = [Site(channels, 7, 7)]
    assert tuple(added_params(PRESETS[name], place) for name in ("se", "se-bias")) == params


# [1.2, 4.3] of the paper's formula
KERNELS = {16: 3, 24: 3, 32: 3, 64: 3, 96: 3, **dict.fromkeys((128, 160, 256, 320, 512, 960, 1024), 5), 2048: 7}


@pytest.mark.parametrize(("channels", "kernel"), KERNELS.items())
def test_ecas_kernel_follows_the_papers_rule(channels, kernel):
    assert added_params(PRESETS["eca"], [Site(channels, 7, 7)]) == kernel == kernel_size(PRESETS["eca"], channels)


# [2] parameters a block of C channels, d = C / 16
C, D = 256, 16
BLOCK = {
    "ese": C * C + C,
    "gc": C + 1 + 2 * C * D + C + 3 * D,
    "fca-nas": 2 * C * D + 16 * 49,  # and the logits of 16 groups over 49 frequencies, of our reading
    "pfca": 0,
    "simam": 0,
    "srm": 4 * C,
    "cbam-channel": 2 * C * D + C + D,
    "cat-channel": 2 * C * D + 3,
    "mca-e": 2 * 3 + 1,
    "mca-s": 2 * 7 + 1,
    "lct": 2 * C,
    "gct": 3 * C,
    "gaussian-gct": 0,
    "coordinate": 3 * C * 8 + 2 * C + 8 + 2 * 8,  # hidden 8; biases, and one batch norm
    "triplet": 300,
    "sge": 128,
    "ema": (C // 32) ** 2 * 10 + 4 * C // 32,
}


@pytest.mark.parametrize(("preset", "params"), BLOCK.items())
def test_a_block_has_the_parameters_of_the_comparison_table(preset, params):
    assert added_params(PRESETS[preset], [Site(C, 14, 14)]) == params


# [4.3] sum of C H W over block outputs: one multiply-accumulate an attended element
ELEMENTS = {
    ("resnet18", 224): 752_640,
    ("resnet34", 224): 1_379_840,
    ("resnet50", 224): 5_519_360,
    ("resnet101", 224): 8_931_328,
    ("resnet152", 224): 13_146_112,
    ("resnet20", 32): 86_016,
    ("resnet56", 32): 258_048,
    ("resnet110", 32): 516_096,
    ("resnet18-cifar", 32): 245_760,
    ("resnet34-cifar", 32): 450_560,
    ("resnet50-cifar", 32): 1_802_240,
}


@pytest.mark.parametrize("preset", ["fca-ts", "fca-lf", "ortho", "wavenet-c"])
@pytest.mark.parametrize(("network", "elements"), ELEMENTS.items(), ids=str)
def test_one_filter_a_channel_adds_one_mac_an_attended_element_to_se(preset, network, elements):
    # every filter of top16 needs a channel, of which ResNet-20 has 16
    places = sites(*network)
    assert added_macs(PRESETS[preset], places) - added_macs(PRESETS["se"], places) == elements


@pytest.mark.parametrize(
    ("name", "percent"), [("resnet18", 0.0415), ("resnet34", 0.0377), ("resnet50", 0.1350), ("resnet101", 0.1145)]
)
def test_fcanets_squeeze_costs_the_share_that_its_paper_states(name, percent):
    """[1.4, 4.3] "0.04 % - 0.13 %" more than SE."""
    places = sites(name, 224)
    added = added_macs(PRESETS["fca-ts"], places) - added_macs(PRESETS["se"], places)
    assert round(100 * added / plain_cost(name, 224, 1000).macs, 4) == percent


R50_BATCH_NORMS, R50_POOLING = 22_227_968, 100_352  # [3.3] what fvcore's own total adds


@pytest.mark.parametrize(
    ("convention", "macs"),
    [
        ("layers+squeeze", 4_089_184_256),
        ("layers", 4_089_184_256),
        ("fvcore", 4_089_184_256 + R50_BATCH_NORMS + R50_POOLING),
    ],
)
def test_the_three_conventions_of_resnet50(convention, macs):
    """[3.3]: without attention there is no squeeze, so the first two agree."""
    assert cost(backbone("resnet50", NONE, num_classes=1000), 224, convention).macs == macs
