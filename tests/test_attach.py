"""A design in any network of the user's: `attach`."""

import copy

import pytest
import timm
import torch
from torch import nn

from search_space import NONE, AttentionDesign, DesignError, UserError
from search_space.attachment import attach, width_of
from search_space.layered import Layered
from search_space.module import Attention
from trainers.backbones import backbone

SE = AttentionDesign.parse("avg/mlp-r2")


def little() -> nn.Sequential:
    """Two stages that a user might write."""

    def stage(channels: int, out: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU())

    return nn.Sequential(stage(3, 8), stage(8, 12), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 2))


def gates(net: nn.Module) -> list[Attention]:
    return [module for module in net.modules() if isinstance(module, Attention)]


def test_attaching_after_the_last_norms_is_the_backbone_of_that_design_bit_for_bit():
    torch.manual_seed(3)
    ours = backbone("resnet18", AttentionDesign.parse("avg/mlp-r16"), num_classes=4).eval()
    torch.manual_seed(3)
    plain = timm.create_model("resnet18", num_classes=4).eval()
    net = attach(AttentionDesign.parse("avg/mlp-r16"), plain, "layer*.bn2")
    assert net is plain
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(net(x), ours(x))


def test_attaching_to_resnet50_gives_the_published_number_of_parameters():
    """SE without biases, 28,071,976: SRM's README."""
    with torch.device("meta"):
        net = attach(AttentionDesign.parse("avg/mlp-r16"), timm.create_model("resnet50"), "layer*.*.bn3")
    assert sum(parameter.numel() for parameter in net.parameters()) == 28_071_976


@pytest.mark.parametrize(
    "where",
    [
        "*.1",
        ["0.1", "1.1"],
        ("0.[1]", "1.1"),
        nn.BatchNorm2d,
        lambda name, module: isinstance(module, nn.BatchNorm2d),
    ],
)
def test_where_is_a_pattern_several_a_type_or_a_function(where):
    net = little()
    net = attach(SE, net, where)
    assert [type(net[stage][1]) for stage in (0, 1)] == [nn.Sequential] * 2
    assert [[type(module) for module in net[stage][1]] for stage in (0, 1)] == [[nn.BatchNorm2d, Attention]] * 2
    assert [gate.channels for gate in gates(net)] == [8, 12]
    assert net(torch.randn(2, 3, 9, 7)).shape == (2, 2)


def test_before_puts_it_in_front_with_the_channels_that_come_in():
    net = attach(SE, little(), "1.0", before=True)
    assert [type(module) for module in net[1][0]] == [Attention, nn.Conv2d]
    assert gates(net)[0].channels == 8


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("2.1", ["selects no module", "near names", "1.1"]),
        ("nothing*", ["selects no module", "its modules: 0, 0.0"]),
        (nn.GroupNorm, ["GroupNorm", "selects no module"]),
        ([], ["selects no module"]),
        ("1*", ["'1.0'", "'1'", "inside another"]),
        (nn.ReLU, ["'0.2' (ReLU)", "channels="]),
    ],
)
def test_a_where_that_cannot_be_meant_is_refused_and_the_network_stays_as_it_was(where, words):
    net = little()
    with pytest.raises(UserError) as caught:
        attach(SE, net, where)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert [type(module) for module in net.modules()] == [type(module) for module in little().modules()]


def test_channels_stands_in_where_no_module_tells_them():
    net = attach(SE, little(), "0.2", channels=8)
    assert gates(net)[0].channels == 8
    net(torch.randn(2, 3, 5, 5))


def test_none_attaches_nothing_but_its_where_is_checked():
    names = [name for name, _ in little().named_modules()]
    assert [name for name, _ in attach(NONE, little(), "*.1").named_modules()] == names
    with pytest.raises(UserError, match="selects no module"):
        attach(NONE, little(), "x")


def test_a_bridge_is_refused_and_sent_to_the_known_backbones():
    with pytest.raises(UserError, match=r"residual block.*trainers\.backbone"):
        attach(AttentionDesign.parse("ba-r4"), little(), "*.1")


def test_layered_designs_are_given_out_in_the_order_of_the_modules():
    designs = Layered((AttentionDesign.parse("avg/mlp-r4"), AttentionDesign.parse("avg/conv1d")))
    assert tuple(gate.design for gate in gates(attach(designs, little(), "*.1"))) == designs.designs
    with pytest.raises(DesignError, match="2 joined"):
        attach(designs, little(), "0.1")


def test_an_impossible_design_leaves_the_network_as_it_was():
    net = little()
    with pytest.raises(DesignError, match="reduction"):
        attach(AttentionDesign.parse("avg/mlp-r10"), net, "*.1")  # 12 channels could, 8 can't
    assert not gates(net)


def test_the_layer_follows_the_module_in_device_dtype_and_mode():
    net = attach(SE, little().double().to("meta").eval(), "*.1")
    assert {(p.device.type, p.dtype) for gate in gates(net) for p in gate.parameters()} == {("meta", torch.float64)}
    assert not any(module.training for module in net.modules())


def test_a_module_with_two_names_stays_one_module_with_one_attention():
    norm = nn.BatchNorm2d(8)
    net = nn.Sequential(nn.Conv2d(3, 8, 1), norm, nn.ReLU(), norm)
    attach(SE, net, nn.BatchNorm2d)
    assert net[1] is net[3] and len(gates(net)) == 1


def test_attaching_twice_chains_both():
    net = attach(AttentionDesign.parse("avg/conv1d"), little(), "1.1")
    attach(SE, net, "1.1")
    assert [gate.channels for gate in gates(net)] == [12, 12]
    net(torch.randn(1, 3, 6, 6))


def test_the_start_and_scale_of_build_are_passed_on():
    with pytest.raises(DesignError, match="gate start"):
        attach(SE, little(), "*.1", gate_start="loud")
    with pytest.raises(DesignError, match="scale"):
        attach(SE, little(), "*.1", scale="loud")
    plain = little().eval()
    net = attach(AttentionDesign.parse("avg/affine"), copy.deepcopy(plain), "*.1", gate_start="identity")
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(net(x), plain(x))  # affine starts at zero weights: twice sigmoid(0) is 1


def test_an_attached_network_copies_exports_and_loads():
    torch.manual_seed(0)
    net, other, x = attach(SE, little(), "*.1").eval(), attach(SE, little(), "*.1").eval(), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        expected = net(x)
        other.load_state_dict(net.state_dict())
        assert torch.equal(other(x), expected)
        assert torch.equal(copy.deepcopy(net)(x), expected)
        torch.testing.assert_close(torch.export.export(net, (x,), strict=False).module()(x), expected)


@pytest.mark.parametrize(
    ("module", "before", "after"),
    [
        (nn.Conv2d(6, 8, 3), 6, 8),
        (nn.BatchNorm2d(5), 5, 5),
        (nn.GroupNorm(2, 4), 4, 4),
        (nn.LayerNorm([7, 7, 9]), 9, 9),
        (nn.Linear(3, 4), 3, 4),
        (nn.Sequential(nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Dropout()), 6, 8),
        (nn.Sequential(nn.Conv2d(6, 8, 3), Attention(AttentionDesign.parse("avg/conv1d"), 8)), 6, 8),
        (nn.GELU(), None, None),
    ],
)
def test_a_module_tells_the_width_before_and_after_it(module, before, after):
    assert (width_of(module, before=True), width_of(module)) == (before, after)
