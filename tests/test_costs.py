"""Counts of networks against fvcore on plainly written gates, and against each other. Literature: its own file."""

import copy

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn

from search_space import NONE, PRESETS, AttentionDesign, DesignError, Space, UserError
from search_space.module import Attention
from search_space.sites import Site, added_macs, added_params
from trainers import backbone, cost, design_cost, sites
from trainers.costs import CONVENTIONS
from trainers.timm_import import prepare

prepare()
from timm.models.res2net import Bottle2neck  # noqa: E402
from timm.models.resnet import ResNet  # noqa: E402


def narrow_res2net(num_classes: int) -> nn.Module:
    """Five blocks, 64 to 256 channels, which every preset fits."""
    return ResNet(
        Bottle2neck, (1, 2, 1, 1), num_classes, base_width=32, channels=(16, 32, 32, 64), block_args={"scale": 4}
    )


COUNTED = PRESETS | {"energies": AttentionDesign.parse("haar-d1-all-energy-each/conv1d")}


@pytest.mark.parametrize(("network", "size"), [("resnet18-cifar", 16), ("test_costs:narrow_res2net", 64)])
@pytest.mark.parametrize("name", COUNTED)
def test_the_closed_form_equals_the_count_of_the_built_network(name, network, size):
    """Oracle: numel of the built network's parameters, and fvcore on it with the gates replaced."""
    built = backbone(network, COUNTED[name], num_classes=10)
    assert design_cost(COUNTED[name], network, size, 10) == cost(built, size)


@pytest.mark.parametrize("name", ["ema", "gc", "sge"])
def test_a_design_that_the_network_refuses_has_no_cost(name):
    with pytest.raises(DesignError, match="with 24 channels"):
        backbone("regnetx_002", PRESETS[name], num_classes=10)
    with pytest.raises(DesignError, match="24 channels"):
        design_cost(PRESETS[name], "regnetx_002", 64, 10)


@pytest.mark.parametrize(
    "name",
    [
        *("resnet18d", "seresnet18", "res2net50_48w_2s", "mobilenetv2_050", "regnetx_002", "regnety_002"),
        *("ecaresnet26t", "ghostnet_050", "convnext_atto", "skresnet18", "gernet_s", "repvgg_a0", "darknet17"),
        *("test_efficientnet", "mobilenetv3_small_050", "mobilenetv4_conv_small_050", "lcnet_050", "test_nfnet"),
        *("ese_vovnet19b_slim_dw", "regnetz_b16_evos"),
    ],
)
def test_a_network_of_every_family_can_be_counted(name):
    """Oracle: fvcore's own count of its convolutions and linear layers, the only products that these networks have."""
    net = backbone(name, num_classes=10)
    assert cost(net, 64).macs == cost(net, 64, "layers").macs > 0


def test_fused_self_attention_is_counted_as_its_products_of_matrices():
    """Oracle: queries with keys and weights with values, 32 heads of 64 channels, of the mean and 7 x 7 positions."""
    net = backbone("resnet50_clip", num_classes=10)
    assert cost(net, 224).macs - cost(net, 224, "layers").macs == 2 * 2048 * 50 * 50


def test_the_conventions_differ_by_the_squeeze_and_by_what_fvcore_counts_besides():
    """Oracle: C H W of the three maps; 2 an element for fvcore's batch norms in eval mode, of every norm's map."""
    net = backbone("resnet8", PRESETS["fca-ts"], num_classes=10)
    squeezed, layers, fvcore = (cost(net, 32, convention) for convention in CONVENTIONS)
    maps = [16 * 32 * 32, 32 * 16 * 16, 64 * 8 * 8]
    assert squeezed.macs - layers.macs == sum(maps)
    norms = 3 * maps[0] + 3 * maps[1] + 3 * maps[2]  # stem and a block; two blocks with a projection
    assert fvcore.macs - layers.macs == 2 * norms
    assert [found.convention for found in (squeezed, layers, fvcore)] == list(CONVENTIONS.values())
    assert squeezed.params == layers.params == fvcore.params


def test_a_convention_that_does_not_exist_is_refused_and_the_others_are_named():
    with pytest.raises(UserError, match=r"'flops' does not exist; allowed: layers\+squeeze, layers, fvcore"):
        cost(nn.Conv2d(3, 4, 1), 8, "flops")


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


def test_a_network_in_half_precision_costs_the_same():
    net = backbone("resnet8", PRESETS["fca-ts"], num_classes=3)
    assert cost(copy.deepcopy(net).bfloat16(), 32) == cost(net, 32)
