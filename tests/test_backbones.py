"""Networks that carry a design."""

import subprocess
import sys

import pytest
import timm
import torch

from search_space import NONE, PRESETS, AttentionDesign, DesignError, Site, UserError
from search_space.module import Attention
from trainers import backbone, sites


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


@pytest.mark.parametrize(("name", "words"), [("resnet21", "resnet20"), ("vgg16", "attention"), ("", "resnet8")])
def test_an_unknown_or_unfit_backbone_is_refused_and_others_are_named(name, words):
    with pytest.raises(UserError, match=words):
        sites(name, 32)


def test_timm_imports_beside_a_cpu_only_torch():
    """A fresh process, as a user's: torchvision's wheel may lack its operators there."""
    code = "from trainers.backbones import backbone; import timm; print(timm.is_model('resnet50'))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
