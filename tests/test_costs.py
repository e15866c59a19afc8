"""Counts against the literature, against fvcore on plainly written gates, and against each other."""

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn

from search_space import NONE, PRESETS, AttentionDesign, Space, UserError
from search_space.module import Attention
from search_space.sites import Site, added_macs, added_params
from trainers import backbone, cost, design_cost, sites

# (preset, backbone, image size, classes, params, MACs or None, source)
PUBLISHED = [
    ("none", "resnet18", 224, 1000, 11_689_512, 1_814_073_344, "imgclsmob assert; closed form of conv + fc"),
    ("none", "resnet34", 224, 1000, 21_797_672, 3_663_761_408, "imgclsmob assert; closed form of conv + fc"),
    ("none", "resnet50", 224, 1000, 25_557_032, 4_089_184_256, "imgclsmob assert; FcaNet's 4.09 G"),
    ("none", "resnet101", 224, 1000, 44_549_160, 7_801_405_440, "imgclsmob assert; closed form of conv + fc"),
    ("se", "resnet18", 224, 1000, 11_776_552, None, "2/r sum N C^2 (SENet), bias-free"),
    ("se", "resnet34", 224, 1000, 21_954_856, None, "FcaNet and WaveNet-C print 21.95 M"),
    ("se", "resnet50", 224, 1000, 28_071_976, None, "SRM README; FcaNet prints 28.07 M"),
    ("eca", "resnet50", 224, 1000, 25_557_118, None, "paper's kernel rule: 86 more than ResNet-50 (timm's ECA)"),
    ("eca", "resnet18", 224, 1000, 11_689_548, None, "paper's kernel rule on block widths"),
    ("fca-ts", "resnet50", 224, 1000, 28_071_976, None, "FcaNet adds no parameters to SE"),
    ("fca-lf", "resnet34", 224, 1000, 21_954_856, None, "FcaNet adds no parameters to SE"),
    ("none", "resnet20", 32, 100, 278_324, 40_818_944, "imgclsmob assert; closed form of conv + fc"),
    ("none", "resnet56", 32, 100, 861_620, 125_753_600, "imgclsmob assert; closed form of conv + fc"),
    ("none", "resnet110", 32, 100, 1_736_564, 253_155_584, "imgclsmob assert; closed form of conv + fc"),
    ("se", "resnet20", 32, 100, 280_340, 40_820_960, "40,818,944 + 2,016, bias-free"),
    ("eca", "resnet20", 32, 100, 278_351, None, "k = 3 in each of nine blocks"),
    ("none", "resnet18-cifar", 32, 100, 11_220_132, 555_468_800, "ZAM prints 11.22 M"),
    ("se", "resnet18-cifar", 32, 100, 11_307_172, None, "2/r sum N C^2"),
    ("none", "resnet50-cifar", 32, 100, 23_705_252, 1_298_014_208, "EMA README prints 23.71 M"),
]


@pytest.mark.parametrize(("preset", "name", "size", "classes", "params", "macs", "source"), PUBLISHED)
def test_counts_match_the_literature_to_the_last_digit(preset, name, size, classes, params, macs, source):
    found = design_cost(PRESETS[preset], name, size, classes)
    assert found.params == params, source
    assert macs is None or found.macs == macs, source


# sum of C H W over block outputs: one multiply-accumulate an attended element. Oracle: FcaNet's stated 0.04-0.13 %
ELEMENTS = {"resnet18": 752_640, "resnet34": 1_379_840, "resnet50": 5_519_360}


@pytest.mark.parametrize(("name", "elements"), ELEMENTS.items())
def test_a_dct_squeeze_adds_one_mac_an_attended_element_to_se(name, elements):
    se, fca = (design_cost(PRESETS[preset], name, 224, 1000).macs for preset in ("se", "fca-ts"))
    assert fca - se == elements


ENERGIES = AttentionDesign.parse("haar-d2-all-energy-each/conv1d")


@pytest.mark.parametrize("design", [*PRESETS.values(), ENERGIES], ids=str)
@pytest.mark.parametrize(("name", "size"), [("resnet8", 32), ("resnet18", 64)])
def test_the_closed_form_equals_the_count_of_the_built_network(design, name, size):
    """Oracle: numel of the built network's parameters, and fvcore on it with the gates replaced."""
    if design.depth and name == "resnet18":
        size = 128  # its last map is 4 x 4
    assert design_cost(design, name, size, 10) == cost(backbone(name, design, num_classes=10), size)


def test_the_network_is_left_untouched_by_counting():
    net = backbone("resnet8", PRESETS["se"], num_classes=3).train()
    before = str(net)
    cost(net, 32)
    assert str(net) == before and net.training


def fvcore_macs(gate: nn.Module, x: torch.Tensor) -> int:
    analysis = FlopCountAnalysis(gate, (x,)).unsupported_ops_warnings(False)
    return int(analysis.total())


class PlainSE(nn.Module):
    def __init__(self, C, r):
        super().__init__()
        self.a, self.b = nn.Linear(C, C // r, bias=False), nn.Linear(C // r, C, bias=False)

    def forward(self, x):
        return x * torch.sigmoid(self.b(torch.relu(self.a(x.mean((2, 3))))))[:, :, None, None]


class PlainFca(PlainSE):
    """Squeeze written as a matrix product of every channel with its own filter."""

    def forward(self, x):
        B, C = x.shape[:2]
        z = x.view(B, C, 1, -1) @ torch.ones(C, x[0, 0].numel(), 1)
        return x * torch.sigmoid(self.b(torch.relu(self.a(z.view(B, C)))))[:, :, None, None]


class PlainECA(nn.Module):
    def __init__(self, k, K=1):
        super().__init__()
        self.conv = nn.Conv1d(K, 1, k, padding=k // 2, bias=False)

    def forward(self, x):
        z = x.mean((2, 3))[:, None].expand(-1, self.conv.in_channels, -1)
        return x * torch.sigmoid(self.conv(z))[0, :, :, None, None]


PLAIN = [
    ("avg/mlp-r16", PlainSE(64, 16)),
    ("avg/mlp-r4", PlainSE(64, 4)),
    ("dct-top16/mlp-r16", PlainFca(64, 16)),
    ("haar-d1-all/mlp-r8", PlainFca(64, 8)),
    ("avg/conv1d-k5", PlainECA(5)),
    ("avg/conv1d", PlainECA(3)),
]


@pytest.mark.parametrize(("text", "plain"), PLAIN, ids=[text for text, _ in PLAIN])
def test_the_closed_form_of_a_gate_equals_fvcore_on_the_same_gate_written_plainly(text, plain):
    assert added_macs(AttentionDesign.parse(text), [Site(64, 8, 8)]) == fvcore_macs(plain, torch.zeros(1, 64, 8, 8))


def test_band_energies_cost_what_their_matrix_products_cost():
    """Oracle: fvcore on the products of one depth-1 analysis, plus one square a detail and approximation element."""

    class Plain(nn.Module):
        def forward(self, x):
            along_w = nn.functional.linear(x, torch.ones(8, 8))
            return nn.functional.linear(along_w.transpose(2, 3), torch.ones(8, 8))

    products = fvcore_macs(Plain(), torch.zeros(1, 16, 8, 8))
    found = added_macs(AttentionDesign.parse("haar-d1-all-energy/pfca"), [Site(16, 8, 8)])
    assert found == products + 16 * 64


def test_spellings_of_one_function_cost_the_same():
    space, places = Space(), [Site(64, 16, 16), Site(128, 8, 8)]
    costs: dict[str, set] = {}
    outside = [AttentionDesign.parse(text) for text in ("dct-low1/mlp-r4", "haar-d2-coarse1/mlp-r4")]
    for design in [*space.designs(), *outside]:
        costs.setdefault(design.key, set()).add((added_params(design, places), added_macs(design, places)))
    assert all(len(found) == 1 for found in costs.values())
    assert len(costs) > 500


def test_work_that_would_be_missed_is_an_error_and_not_a_zero():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return torch.fft.rfft2(self.conv(x))

    with pytest.raises(UserError, match="fft"):
        cost(Hidden(), 8)


def test_any_network_can_be_counted():
    """Oracle: 3 * 8 * 9 taps at 16 x 16 positions, 8 * 5 of the classifier."""
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)]
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), *pooled)
    assert cost(net, 16).macs == 3 * 8 * 9 * 256 + 40


def test_a_gate_that_is_applied_twice_is_counted_twice():
    """Oracle: the two maps' own closed forms."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.gate = nn.Conv2d(3, 16, 1), Attention(PRESETS["fca-ts"], 16)

        def forward(self, x):
            x = self.gate(self.conv(x))
            return self.gate(x[:, :, ::2, ::2])

    added = added_macs(PRESETS["fca-ts"], [Site(16, 32, 32), Site(16, 16, 16)])
    plain = nn.Conv2d(3, 16, 1)
    assert cost(Twice(), 32).macs == cost(plain, 32).macs + added


def test_none_adds_nothing():
    places = sites("resnet20", 32)
    assert added_params(NONE, places) == added_macs(NONE, places) == 0
