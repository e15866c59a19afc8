"""Where a design sits in the blocks of each family. The oracle of most tests is the order in which modules run."""

import copy

import pytest
import timm
import torch
from block_orders import GHOST, ORDER
from placed import DEAF, ROWS, SMALL, SPLITS, Mark, say
from torch import Tensor

from search_space import NONE, AttentionDesign
from search_space.blocks import Block
from search_space.errors import DesignError
from search_space.layered import Layered
from search_space.module import Attention
from search_space.vocabulary import PLACEMENTS
from trainers.backbones import backbone, sites
from trainers.families import places


@pytest.mark.parametrize(
    ("name", "block", "placement", "order"),
    [(*where, placement, order) for where, rows in ORDER.items() for placement, order in rows.items()],
)
def test_attention_runs_between_the_modules_that_the_placement_names(name, block, placement, order):
    log: list[str] = []
    with torch.device("meta"), torch.no_grad():
        net = backbone(name, num_classes=2).eval()
        inside = net.get_submodule(block)
        for path, module in inside.named_modules():
            if path and not list(module.children()):
                module.register_forward_hook(say(log, GHOST.get(path, path)))
        inside.register_forward_pre_hook(lambda module, inputs: log.append("start"))
        inside.register_forward_hook(say(log, "end"))
        for place in places(net, placement):
            place.put(Mark(log, place.channels))
        net(torch.empty(1, 3, 64, 64))
    ran = log[log.index("start") + 1 : log.index("end")]
    wanted = set(order.split())
    assert [word for word in ran if word in wanted] == order.split()


@pytest.mark.parametrize(
    ("name", "placement"), [(name, placement) for name, possible in SMALL.items() for placement in possible]
)
def test_an_identity_at_every_place_leaves_the_output_bit_for_bit(name, placement):
    torch.manual_seed(0)
    plain = backbone(name, num_classes=3).eval()
    with torch.no_grad():
        for parameter in plain.parameters():  # timm starts last norms at 0 and layer scales at 1e-6: nothing to see
            parameter.add_(0.1 * torch.randn_like(parameter))
    marked, log, x = copy.deepcopy(plain), [], torch.randn(1, 3, 64, 96)
    for place in places(marked, placement):
        place.put(Mark(log, place.channels))
    with torch.no_grad():
        expected = plain(x)
        assert expected.std() > 0
        assert torch.equal(marked(x), expected)
    design = AttentionDesign("avg", excitation="affine", placement=placement)
    assert len(log) == len(sites(name, 64, design)) > 0


SEEDED = ["avg/mlp-r4", "simam", "avg+max/conv1d@mid", "l2/gated", "ba-r4"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (name, text)
        for name, possible in [*SMALL.items(), ("resnet8", PLACEMENTS)]
        for text in SEEDED
        if AttentionDesign.parse(text).placement in possible and not (text == "ba-r4" and name in DEAF)
    ],
)
def test_one_seed_starts_every_design_from_the_same_network(name, text):
    torch.manual_seed(5)
    plain = [*backbone(name, num_classes=3).parameters()]
    torch.manual_seed(5)
    net = backbone(name, AttentionDesign.parse(text), num_classes=3)
    gates = [module for module in net.modules() if isinstance(module, Attention | Block)]
    of_gates = {id(parameter) for gate in gates for parameter in gate.parameters()}
    weights = [parameter for parameter in net.parameters() if id(parameter) not in of_gates]
    assert gates and len(weights) == len(plain)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(weights, plain, strict=True))


@pytest.mark.parametrize("name", SMALL)
def test_every_placement_and_the_bridge_train_at_an_odd_size(name):
    """Every weight of the network and of the gates gets a gradient."""
    for text in ("simam", "avg/mlp-r2", "avg/mlp-r2@before-conv", "avg/affine@mid", "ba-r2"):
        design = AttentionDesign.parse(text)
        if design.placement not in SMALL[name] or (text == "ba-r2" and name in DEAF):
            continue
        net = backbone(name, design, num_classes=3, image_size=75)
        net(torch.randn(2, 3, 75, 75)).square().sum().backward()
        assert all(parameter.grad is not None for parameter in net.parameters()), text


@pytest.mark.parametrize(
    ("name", "block", "readers"),
    [
        ("resnet18", "layer2.0", ["conv2"]),
        ("resnext50_32x4d", "layer1.0", ["conv2", "conv3"]),
        (SPLITS, "layer1.0", ["conv3"]),
        ("mobilenetv2_050", "blocks.1.0", ["conv_dw", "conv_pwl"]),
        ("mobilenetv2_050", "blocks.0.0", ["conv_pw"]),
        ("regnetx_002", "s1.b1", ["conv2.conv", "conv3.conv"]),
        ("ghostnet_050", "blocks.1.0", ["conv_dw", "ghost2.0.primary_conv.0"]),
        ("ghostnet_050", "blocks.0.0", ["ghost2.0.primary_conv.0"]),
        ("convnext_atto", "stages.1.blocks.0", ["mlp.0.fc1", "mlp.0.fc2"]),
        (ROWS, "stages.1.blocks.0", ["mlp.0.fc1", "mlp.0.fc2"]),
        ("placed:two_kernels", "layer1.0", ["conv2", "conv3"]),
        ("placed:mobile", "1", []),
        ("placed:mobile", "3", ["conv_dw", "conv_pw"]),
        ("placed:mobile", "4", ["conv_pwl"]),
        ("placed:universal", "1", ["pw_exp", "dw_mid", "pw_proj"]),
        ("placed:universal", "2", ["dw_mid", "pw_proj", "dw_end.0"]),
        ("placed:own_blocks", "stages.0.0", ["conv2_kxk"]),
        ("placed:own_blocks", "stages.1.0", ["conv2_kxk", "conv2b_kxk", "conv3_1x1"]),
        ("placed:own_blocks", "stages.1.1", ["conv2_kxk", "conv3_1x1"]),
        ("placed:own_blocks", "stages.1.2", ["conv2_kxk"]),
        ("placed:own_blocks", "stages.1.3", ["conv2_1x1"]),
        ("placed:cross_stages", "stages.0.blocks.0", ["conv2", "conv3"]),
        ("placed:cross_stages", "stages.1.blocks.0", ["conv2.0"]),
        ("placed:norm_free", "stages.1.0", ["conv2", "conv2b", "conv3"]),
        ("nf_resnet26", "stages.1.0", ["conv2", "conv3"]),
    ],
)
def test_the_bridge_hears_what_the_next_convolution_reads(name, block, readers):
    """Oracle: the inputs of the later convolutions, where there is no attention of the network's own between."""
    net = backbone(name, AttentionDesign.parse("ba-r4"), num_classes=2).eval()
    inside = net.get_submodule(block)
    bridge = next(module for module in inside.modules() if isinstance(module, Block))
    heard: list[Tensor] = []
    read: list[Tensor] = []
    for linear in list(bridge.bridges)[:-1]:
        linear.register_forward_pre_hook(lambda module, inputs: heard.append(inputs[0]))
    for path in readers:
        dims = (1, 2) if name == ROWS else (2, 3)
        inside.get_submodule(path).register_forward_pre_hook(
            lambda module, inputs, dims=dims: read.append(inputs[0].mean(dims))
        )
    with torch.no_grad():
        net(torch.randn(2, 3, 64, 64))
    assert len(heard) == len(readers)
    for ours, theirs in zip(heard, read, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_bridge_of_an_aggregating_block_hears_each_map_that_is_concatenated():
    """Oracle: what VoVNet's last convolution reads is the block's input beside them."""
    net = backbone("placed:aggregated", AttentionDesign.parse("ba-r4"), num_classes=2).eval()
    block = net.stages[2].blocks[1]
    heard: list[Tensor] = []
    read: list[Tensor] = []
    for linear in list(block.attn[1].bridges)[:-1]:
        linear.register_forward_pre_hook(lambda module, inputs: heard.append(inputs[0]))
    block.conv_concat.register_forward_pre_hook(lambda module, inputs: read.extend(inputs[0].mean((2, 3)).split(24, 1)))
    with torch.no_grad():
        net(torch.randn(2, 3, 64, 64))
    assert len(heard) == 2 and len(read) == 3
    for ours, theirs in zip(heard, read[1:], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_sites_of_a_bridge_name_the_channels_it_hears():
    """He et al. 2016, table 1; ConvNeXt's branch is C, C, 4C wide."""
    found = sites("resnet50", 64, AttentionDesign.parse("ba-r16"))
    assert [site.sources for site in found] == [(w, w) for w, n in ((64, 3), (128, 4), (256, 6), (512, 3))
                                                for _ in range(n)]  # fmt: skip
    assert sites("convnext_tiny", 64, AttentionDesign.parse("ba-r4"))[0] == (96, 16, 16, (96, 384))
    assert all(site.sources == () for site in sites("resnet50", 64))


@pytest.mark.parametrize("name", ["resnet18", ROWS])
def test_a_copy_of_a_bridged_network_hears_its_own_convolutions(name):
    torch.manual_seed(0)
    net = backbone(name, AttentionDesign.parse("ba-r4"), num_classes=2).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = net(x)
        twin = copy.deepcopy(net)
        for parameter in net.parameters():
            parameter.zero_()
        assert torch.equal(twin(x), expected)
        assert not torch.equal(net(x), expected)


@pytest.mark.parametrize(
    ("name", "text"),
    [("resnet8", "simam"), ("resnet8", "ba-r4"), (ROWS, "ba-r4")],
)
def test_a_network_with_attention_exports_and_its_weights_move_by_name(name, text):
    design = AttentionDesign.parse(text)
    torch.manual_seed(0)
    net, x = backbone(name, design, num_classes=2).eval(), torch.randn(2, 3, 32, 32)
    torch.manual_seed(1)
    other = backbone(name, design, num_classes=2).eval()
    with torch.no_grad():
        expected = net(x)
        assert not torch.equal(other(x), expected)
        other.load_state_dict(net.state_dict())
        assert torch.equal(other(x), expected)
        torch.testing.assert_close(torch.export.export(net, (x,), strict=False).module()(x), expected)


def test_layered_designs_follow_the_order_of_the_sites_and_their_number_is_checked():
    texts = ["avg/mlp-r4", "avg/mlp-r8", "avg/conv1d-k3"]
    net = backbone("resnet8", Layered(tuple(map(AttentionDesign.parse, texts))), num_classes=2)
    assert [str(module.design) for module in net.modules() if isinstance(module, Attention)] == texts
    with pytest.raises(DesignError, match="3"):
        backbone("resnet8", Layered((AttentionDesign.parse("simam"),) * 2), num_classes=2)


def test_the_plain_network_has_nothing_of_ours_in_it():
    names = [name for name, _ in backbone("convnext_atto", NONE, num_classes=2).named_modules()]
    assert names == [name for name, _ in timm.create_model("convnext_atto", num_classes=2).named_modules()]
