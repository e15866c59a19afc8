"""Networks that carry a design."""

import hashlib
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from timm.models import resnet
from torch import nn

from search_space import NONE, PRESETS, AttentionDesign, DesignError, Site, UserError
from search_space.module import Attention
from trainers import backbone, cifar_resnet, sites
from trainers.backbones import source_digest
from trainers.parts import PARTS, UNPLACED, blocks, class_name


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        # 6n + 2 layers: n blocks a stage at 32, 16, 8 pixels (He et al. 2016, section 4.2)
        ("resnet8", 32, [(16, 32), (32, 16), (64, 8)]),
        ("resnet20", 32, [(16, 32)] * 3 + [(32, 16)] * 3 + [(64, 8)] * 3),
        ("resnet18-cifar", 32, [(64, 32)] * 2 + [(128, 16)] * 2 + [(256, 8)] * 2 + [(512, 4)] * 2),
        # FcaNet's c2wh: 56, 28, 14, 7 pixels at 224
        ("resnet50", 224, [(256, 56)] * 3 + [(512, 28)] * 4 + [(1024, 14)] * 6 + [(2048, 7)] * 3),
    ],
)
def test_sites_are_the_outputs_of_the_residual_blocks(name, size, expected):
    assert sites(name, size) == tuple(Site(channels, side, side) for channels, side in expected)


@pytest.mark.parametrize("name", ["resnet8", "resnet18-cifar", "resnet18", "resnet50"])
def test_every_residual_block_carries_the_design_and_the_network_trains(name):
    net = backbone(name, PRESETS["fca-ts"], num_classes=7)
    gates = [module for module in net.modules() if isinstance(module, Attention)]
    assert len(gates) == len(sites(name, 64))
    logits = net(torch.randn(2, 3, 64, 64))
    logits.sum().backward()
    assert logits.shape == (2, 7)
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize(
    ("ours", "theirs"), [(cifar_resnet.BasicBlock, resnet.BasicBlock), (cifar_resnet.Bottleneck, resnet.Bottleneck)]
)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("gated", [False, True], ids=["", "gated"])
def test_the_blocks_for_small_images_are_timms_to_the_bit(ours, theirs, stride, gated):
    channels = 8 if stride == 2 else 4 * ours.expansion
    found = []
    for make in (ours, theirs):
        torch.manual_seed(0)
        shortcut = nn.Conv2d(channels, 4 * ours.expansion, 1, stride) if stride == 2 else None
        block = make(channels, 4, stride, shortcut)
        block.se = PRESETS["eca"].layer(4 * ours.expansion) if gated else None
        x = torch.randn(2, channels, 9, 9, requires_grad=True)
        out = block(x)
        out.square().sum().backward()
        found.append((out, x.grad, block.state_dict()))
    (out, grad, weights), (their_out, their_grad, their_weights) = found
    assert torch.equal(out, their_out) and torch.equal(grad, their_grad)
    assert list(weights) == list(their_weights) and all(map(torch.equal, weights.values(), their_weights.values()))


@pytest.mark.parametrize("name", [*PARTS, *sorted(UNPLACED)])
def test_every_block_of_the_table_is_a_class_that_there_is(name):
    module, _, own = name.rpartition(".")
    found = getattr(importlib.import_module(module), own)
    assert class_name(found.__new__(found)) == name


def test_a_block_of_the_users_own_is_not_taken_for_timms_of_the_same_name():
    """`resnet.py` is what everybody calls it."""
    own = type("BasicBlock", (nn.Module,), {"__module__": "resnet"})()
    assert class_name(own) == "resnet.BasicBlock" and not list(blocks(nn.Sequential(own)))


def test_a_search_on_small_images_imports_neither_timm_nor_a_compiler():
    """Each would add a second to every process of it."""
    unwanted = {"timm", "torchvision", "torch._dynamo"}
    code = f"""
import sys, search.worker_process
from search_space import PRESETS
from trainers import sites
from trainers.proxy import train
from trainers.recipe import PROXY
from trainers.synthetic import load_synthetic
sites("resnet8", 16)
recipe, data = PROXY.changed(epochs=1), load_synthetic(image_size=16)
train(PRESETS["se"], data, backbone="resnet8", recipe=recipe, precision="bfloat16")
print({unwanted} & {{*sys.modules}})"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_gate_stands_after_the_last_norm_and_before_the_shortcut():
    """Oracle: timm's own block with its own SE layer in the same place."""
    ours = backbone("resnet18", PRESETS["se"], num_classes=2)
    theirs = timm.create_model("seresnet18", num_classes=2)
    place = [name for name, module in ours.named_modules() if isinstance(module, Attention)]
    assert place == [name for name, module in theirs.named_modules() if type(module).__name__ == "SEModule"]


def test_identity_start_makes_the_gated_network_the_plain_one_where_the_squeeze_is_zero():
    """`affine` starts at zero weights, so its doubled gate is exactly 1: same weights, same output as `none`."""
    torch.manual_seed(0)
    plain = backbone("resnet8", NONE, num_classes=4).eval()
    gated = backbone("resnet8", AttentionDesign.parse("avg/affine"), num_classes=4, gate_start="identity").eval()
    missing = gated.load_state_dict(plain.state_dict(), strict=False)
    assert not missing.unexpected_keys and all("excitation" in key for key in missing.missing_keys)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(gated(x), plain(x))


@pytest.mark.parametrize(
    ("name", "text", "size", "words"),
    [
        ("resnet8", "haar-d4-all/affine", 32, ["depth", "8x8", "1 to 3"]),
        ("resnet20", "avg/mlp-r32", 32, ["reduction", "r32", "16 channels"]),
        ("resnet20", "dct-top32/mlp-r4", 32, ["top32", "16 channels"]),
    ],
)
def test_a_design_impossible_on_the_backbone_is_refused_with_axis_stage_and_what_is_allowed(name, text, size, words):
    with pytest.raises(DesignError) as caught:
        backbone(name, AttentionDesign.parse(text), num_classes=2, image_size=size)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet21", "resnet20"),
        ("vgg16", "attention"),
        ("", "resnet8"),
        ("regnetx_03", "regnetx_032"),
        ("resnest50d", r"mobilenetv2_100.*regnetx_032.*ghostnet_100.*convnext_tiny.*package\.module:factory"),
        ("efficientnet_b00", "Nearest: efficientnet_b0"),
        ("ghostnetv3_100", r"GhostBottleneckV3.*known place.*ghostnet_100"),
        ("regnetv_040", "PreBottleneck.*regnetx_032"),
    ],
)
def test_an_unknown_or_unfit_backbone_is_refused_and_others_are_named(name, words):
    with pytest.raises(UserError, match=words):
        sites(name, 32)


def test_timm_imports_beside_a_cpu_only_torch():
    """A fresh process, as a user's: torchvision's wheel may lack its operators there."""
    code = "from trainers.timm_import import prepare; prepare(); import timm; print(timm.is_model('resnet50'))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_asking_for_sites_draws_no_random_number_and_a_bridge_costs_no_other_sites():
    before = torch.get_rng_state()
    plain = sites("mobilenetv2_050", 65)
    bridged = sites("mobilenetv2_050", 65, AttentionDesign.parse("ba-r4"))
    assert torch.equal(torch.get_rng_state(), before)
    assert [site[:3] for site in bridged] == [site[:3] for site in plain]


def test_the_sites_are_where_the_placement_is():
    """SimAM sits behind conv2 of a bottleneck, a quarter of the block's width and after its stride."""
    assert sites("resnet50", 224, AttentionDesign.parse("simam"))[3:5] == (Site(128, 28, 28), Site(128, 28, 28))
    before_convs = sites("resnet50", 224, AttentionDesign.parse("l2/gated"))[9:12]
    assert before_convs == (Site(256, 56, 56), Site(128, 56, 56), Site(128, 28, 28))


HEAD = """
import torch
from torch import nn
from timm.models.resnet import BasicBlock


class Tiny(nn.Module):
    def __init__(self, num_classes, attention=(), order=(0, 1)):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.blocks = nn.ModuleList(BasicBlock(8, 8) for _ in range(2))
        self.attention = nn.ModuleList(attention)
        self.order = order
        self.head = nn.Linear(8, num_classes)

    def forward(self, x):
        x = self.stem(x)
        for index in self.order:
            x = self.blocks[index](x)
        for layer in self.attention:
            x = layer(x)
        return self.head(x.mean((2, 3)))
"""


@pytest.fixture
def module(tmp_path, monkeypatch, request) -> str:
    """Writes HEAD and `text` as a module in the working directory; names are fresh, because imports are kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])

    def write(text: str, head: str = HEAD) -> str:
        name = f"nets_{hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}"
        Path(f"{name}.py").write_text(head + text)
        return name

    return write


def test_a_factory_of_known_blocks_is_a_backbone(module):
    name = module("make = Tiny\n") + ":make"
    assert sites(name, 16) == (Site(8, 14, 14),) * 2
    for text in ("avg/mlp-r2", "simam", "l2/gated", "ba-r2"):
        net = backbone(name, AttentionDesign.parse(text), num_classes=5, image_size=16)
        assert net(torch.randn(2, 3, 16, 16)).shape == (2, 5)
        names = [type(layer).__name__ for layer in net.modules()]
        assert len(sites(name, 16, AttentionDesign.parse(text))) == (4 if text == "l2/gated" else 2)
        assert names.count("Attention") + names.count("SimAM") + names.count("Bridge") >= 2


def test_a_factory_that_takes_attn_layer_places_it_itself_and_keeps_its_weights(module):
    text = """
def make(num_classes, attn_layer, width=8):
    return Tiny(num_classes, attention=[attn_layer(width)])
"""
    name = module(text) + ":make"
    assert sites(name, 16) == (Site(8, 14, 14),)  # the blocks stay as they are
    torch.manual_seed(0)
    plain = backbone(name, num_classes=5)
    torch.manual_seed(0)
    net = backbone(name, PRESETS["eca"], num_classes=5)
    assert [module for module in net.modules() if isinstance(module, Attention)] == [net.attention[0][0]]
    weights = dict(net.named_parameters())
    assert all(torch.equal(weights[key], parameter) for key, parameter in plain.named_parameters())
    assert net(torch.randn(2, 3, 16, 16)).shape == (2, 5)
    with pytest.raises(UserError, match="ba hears every convolution"):
        backbone(name, AttentionDesign.parse("ba-r2"), num_classes=5)


def test_a_factory_that_cannot_build_on_the_meta_device_is_asked_on_the_cpu(module):
    text = """
def make(num_classes):
    net = Tiny(num_classes)
    assert float(net.stem.weight.abs().sum()) > 0  # needs numbers
    return net
"""
    name, before = module(text) + ":make", torch.get_rng_state()
    assert sites(name, 16) == (Site(8, 14, 14),) * 2
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nowhere_at_all\n", ["imported", "ModuleNotFoundError", "nowhere_at_all", "line"]),
        ("make = (\n", ["imported", "SyntaxError"]),
        ("other = Tiny\n", ["no function 'make'", "Tiny", "other"]),
        ("make = 3\n", ["no function 'make'"]),
        ("def make(classes): pass\n", ["signature (classes)", "num_classes"]),
        ("def make(num_classes, depth): pass\n", ["signature (num_classes, depth)", "depth"]),
        ("def make(num_classes): return 1 / 0\n", ["failed to build", "ZeroDivisionError", "line"]),
        ("def make(num_classes): return None\n", ["returned NoneType", "nn.Module"]),
        ("def make(num_classes): return Tiny(7)\n", ["(1, 7)", "(1, 2)"]),
        ("def make(num_classes): return nn.Identity()\n", ["no place", "attn_layer", "BasicBlock"]),
        ("def make(num_classes, attn_layer): return nn.Flatten()\n", ["no place", "attn_layer", "BasicBlock"]),
        ("def make(num_classes): return Tiny(num_classes, order=(0,))\n", ["order [0]", "each of the 2 once"]),
        ("def make(num_classes): return Tiny(num_classes, order=(1, 0))\n", ["order [1, 0]"]),
        ("def make(num_classes): return Tiny(num_classes, order=(0, 1, 1))\n", ["order [0, 1, 1]"]),
        ("def make(num_classes): return Tiny(num_classes, attention=[nn.Linear(3, 3)])\n", ["16 pixels", "Error"]),
    ],
)
def test_a_factory_that_gives_no_network_is_refused_with_the_cause(module, text, words):
    with pytest.raises(UserError) as caught:
        sites(module(text) + ":make", 16)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("name", ["nowhere.at.all:make", ":make", "json:", ".relative:make", "sys:exit"])
def test_a_factory_name_that_names_nothing_is_refused(name, module):
    with pytest.raises(UserError, match="module:function"):
        backbone(name, num_classes=2)


def test_a_network_of_ones_own_is_identified_by_its_source(module):
    """Oracle: sha256 of the file."""
    name = module("make = Tiny\n")
    expected = hashlib.sha256(Path(f"{name}.py").read_bytes()).hexdigest()
    assert source_digest(f"{name}:make") == expected[:16]
    assert source_digest("resnet50") == source_digest("resnet8") == ""
