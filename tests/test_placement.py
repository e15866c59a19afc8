"""Where a design sits in the blocks of each family. The oracle of most tests is the order in which modules run."""

import copy
from collections.abc import Callable

import pytest
import timm
import torch
from timm.models.convnext import ConvNeXt
from timm.models.res2net import Bottle2neck
from timm.models.resnet import ResNet
from torch import Tensor, nn

from search_space import NONE, AttentionDesign
from search_space.blocks import Block
from search_space.errors import DesignError
from search_space.layered import Layered
from search_space.module import Attention
from search_space.vocabulary import PLACEMENTS
from trainers.backbones import backbone, sites
from trainers.families import places

ROWS, SPLITS = "test_placement:channels_last", "test_placement:splits"
SMALL = ["resnet18", SPLITS, "mobilenetv2_050", "regnety_002", "ghostnet_050", "convnext_atto", ROWS]


def splits(num_classes: int) -> nn.Module:
    """A narrow Res2Net of five blocks, four splits each."""
    width = {"base_width": 32, "channels": (8, 16, 16, 24), "block_args": {"scale": 4}}
    return ResNet(Bottle2neck, (1, 2, 1, 1), num_classes=num_classes, **width)


def channels_last(num_classes: int) -> nn.Module:
    """A ConvNeXt that passes [B, H, W, C] on inside its blocks, as convnext_tiny does and the smaller ones don't."""
    return ConvNeXt(num_classes=num_classes, depths=(1, 1, 1, 1), dims=(8, 16, 24, 32), conv_mlp=False)


# residual branch of one block, written from timm's forward functions; @ is the attention
ORDER = {
    ("resnet18", "layer1.1"): {
        "after-norm": "conv1 bn1 act1 conv2 bn2 @ act2",
        "before-norm": "conv1 bn1 act1 conv2 @ bn2 act2",
        "before-conv": "@ conv1 bn1 act1 @ conv2 bn2 act2",
        "mid": "conv1 bn1 act1 @ conv2 bn2 act2",
    },
    ("resnext50_32x4d", "layer2.1"): {
        "after-norm": "conv1 bn1 act1 conv2 bn2 act2 conv3 bn3 @ act3",
        "before-norm": "conv1 bn1 act1 conv2 @ bn2 act2 conv3 bn3 act3",
        "before-conv": "@ conv1 bn1 act1 @ conv2 bn2 act2 @ conv3 bn3 act3",
        "mid": "conv1 bn1 act1 conv2 bn2 act2 @ conv3 bn3 act3",
    },
    ("wide_resnet50_2", "layer2.1"): {"after-norm": "conv1 bn1 act1 conv2 bn2 act2 conv3 bn3 @ act3"},
    ("seresnet18", "layer1.1"): {  # the network's own attention stays, ours follows
        "after-norm": "conv1 bn1 act1 conv2 bn2 se.fc1 se.act se.fc2 se.gate @ act2",
    },
    ("res2net50_26w_4s", "layer1.1"): {
        "after-norm": "conv1 bn1 relu convs.0 bns.0 relu convs.1 bns.1 relu convs.2 bns.2 relu conv3 bn3 @ relu",
        "before-norm": "conv1 bn1 relu convs.0 @ bns.0 relu convs.1 @ bns.1 relu convs.2 @ bns.2 relu conv3 bn3 relu",
        "before-conv": "@ conv1 bn1 relu @ convs.0 bns.0 relu @ convs.1 bns.1 relu @ convs.2 bns.2 relu"
        " @ conv3 bn3 relu",
        "mid": "conv1 bn1 relu convs.0 bns.0 relu convs.1 bns.1 relu convs.2 bns.2 relu @ conv3 bn3 relu",
    },
    ("mobilenetv2_050", "blocks.1.0"): {
        "after-norm": "conv_pw bn1.act conv_dw bn2.act conv_pwl @",
        "before-norm": "conv_pw bn1.act conv_dw @ bn2.act conv_pwl",
        "before-conv": "@ conv_pw bn1.act @ conv_dw bn2.act @ conv_pwl",
        "mid": "conv_pw bn1.act conv_dw bn2.act @ conv_pwl",
    },
    ("mobilenetv2_050", "blocks.0.0"): {
        "after-norm": "conv_dw bn1.act conv_pw @",
        "before-norm": "conv_dw @ bn1.act conv_pw",
        "before-conv": "@ conv_dw bn1.act @ conv_pw",
        "mid": "conv_dw bn1.act @ conv_pw",
    },
    ("regnetx_002", "s2.b1"): {
        "after-norm": "conv1.conv conv1.bn.act conv2.conv conv2.bn.act conv3.conv @ act3",
        "before-norm": "conv1.conv conv1.bn.act conv2.conv @ conv2.bn.act conv3.conv act3",
        "before-conv": "@ conv1.conv conv1.bn.act @ conv2.conv conv2.bn.act @ conv3.conv act3",
        "mid": "conv1.conv conv1.bn.act conv2.conv conv2.bn.act @ conv3.conv act3",
    },
    ("ghostnet_050", "blocks.1.0"): {  # with stride, so with a depthwise convolution between the two ghost modules
        "after-norm": "1p 1c conv_dw bn_dw 2p 2c 2n @",
        "before-norm": "1p 1c conv_dw bn_dw 2p 2c @ 2n",
        "before-conv": "@ 1p 1c @ conv_dw bn_dw @ 2p 2c 2n",
        "mid": "1p 1c conv_dw bn_dw @ 2p 2c 2n",
    },
    (ROWS, "stages.0.blocks.0"): {
        "after-norm": "conv_dw norm mlp.fc1 mlp.act mlp.fc2 @",
        "before-norm": "conv_dw @ norm mlp.fc1 mlp.act mlp.fc2",
        "before-conv": "@ conv_dw norm @ mlp.fc1 mlp.act @ mlp.fc2",
        "mid": "conv_dw norm mlp.fc1 mlp.act @ mlp.fc2",
    },
    ("convnextv2_atto", "stages.0.blocks.0"): {"mid": "conv_dw norm mlp.fc1 mlp.act mlp.grn @ mlp.fc2"},
    ("convnext_atto", "stages.0.blocks.0"): {
        "after-norm": "conv_dw norm mlp.fc1 mlp.act mlp.fc2 @",
        "before-norm": "conv_dw @ norm mlp.fc1 mlp.act mlp.fc2",
        "before-conv": "@ conv_dw norm @ mlp.fc1 mlp.act @ mlp.fc2",
        "mid": "conv_dw norm mlp.fc1 mlp.act @ mlp.fc2",
    },
}
_GHOST = {
    "ghost1.primary_conv.0": "1p",
    "ghost1.cheap_operation.0": "1c",
    "ghost2.primary_conv.0": "2p",
    "ghost2.cheap_operation.0": "2c",
    "ghost2.cheap_operation.1": "2n",
}


class Mark(nn.Module):
    """The identity, which writes down that it ran and what it saw."""

    def __init__(self, log: list[str], channels: int) -> None:
        super().__init__()
        self.log, self.channels = log, channels

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1] == self.channels
        self.log.append("@")
        return x


def _say(log: list[str], name: str) -> Callable[..., None]:
    return lambda module, inputs, output: log.append(name)


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
                module.register_forward_hook(_say(log, _GHOST.get(path, path)))
        inside.register_forward_pre_hook(lambda module, inputs: log.append("start"))
        inside.register_forward_hook(_say(log, "end"))
        for place in places(net, placement):
            place.put(Mark(log, place.channels))
        net(torch.empty(1, 3, 64, 64))
    ran = log[log.index("start") + 1 : log.index("end")]
    wanted = set(order.split())
    assert [word for word in ran if word in wanted] == order.split()


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("name", SMALL)
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


@pytest.mark.parametrize("text", ["avg/mlp-r4", "simam", "avg+max/conv1d@mid", "l2/gated", "ba-r4"])
@pytest.mark.parametrize("name", [*SMALL, "resnet8"])
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
    for text in ("simam", "avg/mlp-r2@before-conv", "avg/affine@mid", "ba-r2"):
        design = AttentionDesign.parse(text)
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


@pytest.mark.parametrize(
    ("name", "text", "params"),
    [
        # imgclsmob asserts; timm's and torchvision's layouts (reference/attention.md 4.1)
        ("resnet18", "none", 11_689_512),
        ("resnet50", "none", 25_557_032),
        ("mobilenetv2_100", "none", 3_504_872),
        # Res2Net README, exact counts derived (4.2, row 46)
        ("res2net50_26w_4s", "none", 25_699_120),
        ("res2net50_14w_8s", "none", 25_059_816),
        ("res2net50_48w_2s", "none", 25_287_304),
        ("res2net101_26w_4s", "none", 45_206_688),
        # 4.2: SE without biases, BA-Net's 28.71M, SGE's 25.56M, triplet's 25.56M
        ("resnet50", "avg/mlp-r16", 28_071_976),
        ("resnet50", "ba-r16", 28_706_376),
        ("resnet50", "sge-g64", 25_559_080),
        ("resnet50", "triplet-k7", 25_561_832),
        # 28.6M (Liu et al. 2022, table 1); the exact number is that of torchvision's convnext_tiny
        ("convnext_tiny", "none", 28_589_128),
    ],
)
def test_networks_have_the_published_number_of_parameters(name, text, params):
    with torch.device("meta"):
        net = backbone(name, AttentionDesign.parse(text), num_classes=1000)
    assert sum(parameter.numel() for parameter in net.parameters()) == params


def test_ghostnet_is_timms_own():
    """5.18M in timm's table; imgclsmob asserts 5,180,840 for a layout that squeezes to other widths."""
    with torch.device("meta"):
        net = backbone("ghostnet_100", num_classes=1000)
    assert round(sum(parameter.numel() for parameter in net.parameters()) / 1e6, 2) == 5.18


def test_layered_designs_follow_the_order_of_the_sites_and_their_number_is_checked():
    texts = ["avg/mlp-r4", "avg/mlp-r8", "avg/conv1d-k3"]
    net = backbone("resnet8", Layered(tuple(map(AttentionDesign.parse, texts))), num_classes=2)
    assert [str(module.design) for module in net.modules() if isinstance(module, Attention)] == texts
    with pytest.raises(DesignError, match="3"):
        backbone("resnet8", Layered((AttentionDesign.parse("simam"),) * 2), num_classes=2)


def test_the_plain_network_has_nothing_of_ours_in_it():
    names = [name for name, _ in backbone("convnext_atto", NONE, num_classes=2).named_modules()]
    assert names == [name for name, _ in timm.create_model("convnext_atto", num_classes=2).named_modules()]
