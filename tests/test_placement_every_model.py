"""Every network of timm's families either carries a design in each of its residual blocks, or is refused by name."""

import re
from collections.abc import Iterator

import pytest
import timm
import torch
from torch import nn

from search_space import NONE, AttentionDesign, UserError
from search_space.module import Attention
from search_space.vocabulary import PLACEMENTS
from trainers.backbones import MODULES, backbone, sites
from trainers.families import obstacle, places
from trainers.parts import unplaced

SIZE = r"\d+|_(atto|femto|pico|nano|tiny|small|base|medium|large|x+large|xs|xl|[smlx])(?=_|$)"


def _kinds(module: str) -> Iterator[str]:
    """Of names that differ in a size alone (resnet18, resnet34, resnet50...) the first two."""
    kinds: dict[str, list[str]] = {}
    for name in timm.list_models(module=module):
        kinds.setdefault(re.sub(SIZE, "", name), []).append(name)
    for names in kinds.values():
        yield from names[:2]


@pytest.fixture
def weightless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights on the meta device have no values, and drawing them takes most of the time."""
    for name in ("constant_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_", "uniform_", "zeros_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)


@pytest.mark.parametrize("module", MODULES)
def test_every_residual_block_of_every_network_has_its_design_or_the_network_is_refused(module, weightless):
    """Oracle: timm gives each residual block a drop_path, but for GhostNets, which have no stochastic depth."""
    for name in _kinds(module):
        with torch.device("meta"):
            net = timm.create_model(name, num_classes=2)
        blocks = [inside for inside in net.modules() if _is_residual_block(inside)]
        refused = unplaced(net)
        if refused:
            assert refused in {type(block).__name__ for block in blocks}, name
            continue
        for placement in PLACEMENTS:
            why_not = obstacle(net, placement, bridged=False)
            if why_not:
                assert any(f"its block {type(block).__name__} " in why_not for block in blocks), name
                assert placement != "after-norm" and placement not in why_not.partition("allowed:")[2], name
                continue
            found = places(net, placement)
            assert len(found) == len(blocks) if placement in ("after-norm", "mid") else len(found) >= len(blocks), name
        for place in places(net, "after-norm"):
            place.put(nn.Flatten(0, 0))  # a type that no network has
        assert all(sum(type(inside) is nn.Flatten for inside in block.modules()) == 1 for block in blocks), name


def _is_residual_block(module: nn.Module) -> bool:
    if "Ghost" in type(module).__name__:
        return "Bottleneck" in type(module).__name__
    in_stem_or_head = type(module).__name__ == "ConvBnAct" and not module.has_skip
    return hasattr(module, "drop_path") and not in_stem_or_head


@pytest.mark.parametrize(
    ("name", "text", "size", "words"),
    [
        ("efficientnet_cc_b0_4e", "avg/mlp-r4", 64, ["CondConvResidual", "every residual block or none"]),
        ("mobilenetv4_hybrid_medium", "none", 64, ["MobileAttention"]),
        ("repvgg_a0", "avg/mlp-r4@mid", 64, ["RepVggBlock", "'mid'", "allowed: after-norm."]),
        ("mobileone_s0", "ba-r4", 64, ["MobileOneBlock", "ba could hear"]),
        ("dm_nfnet_f0", "simam", 64, ["NormFreeBlock", "norm", "allowed: after-norm, before-conv, mid."]),
        ("ese_vovnet19b_dw", "simam", 64, ["OsaBlock", "'before-norm'"]),
        ("mobilenetv4_conv_medium", "simam", 64, ["UniversalInvertedResidual", "'before-norm'"]),
        ("botnet26t_256", "simam", 256, ["SelfAttnBlock", "'before-norm'"]),
        ("botnet26t_256", "ba-r4", 256, ["SelfAttnBlock", "ba could hear"]),
        ("botnet26t_256", "avg/mlp-r4", 224, ["224 pixels", "made it for 256 pixels"]),
    ],
)
def test_what_a_network_has_no_place_for_is_refused_with_its_block_and_what_is_allowed(name, text, size, words):
    with pytest.raises(UserError) as caught:
        sites(name, size, AttentionDesign.parse(text))
    message = str(caught.value)
    assert name in message and all(word in message for word in words), message


def test_a_network_without_stochastic_depth_says_so():
    with pytest.raises(UserError, match=r"ghostnet_050.*drop_path 0\.1 given; allowed: 0"):
        backbone("ghostnet_050", num_classes=2, drop_path=0.1)


def test_a_network_without_norms_multiplies_a_design_as_it_does_its_own_attention():
    """Oracle: timm's own network with its own SE in that place. NFNet's attn_gain is 2, our gates start as theirs."""
    torch.manual_seed(0)
    theirs = timm.create_model("nf_seresnet26", num_classes=2).eval()
    ours = backbone("nf_resnet26", AttentionDesign.parse("avg/affine"), num_classes=2).eval()
    gates = [name for name, module in ours.named_modules() if isinstance(module, Attention)]
    assert gates == [name for name, module in theirs.named_modules() if type(module).__name__ == "SEModule"]
    for name in gates:  # a gate of 1/2 from either, so that attn_gain makes it 1
        nn.init.zeros_(theirs.get_submodule(name).fc2.weight)
        nn.init.zeros_(theirs.get_submodule(name).fc2.bias)
    weights = {key: value for key, value in theirs.state_dict().items() if "attn_last" not in key}
    assert not ours.load_state_dict(weights, strict=False).unexpected_keys
    plain = backbone("nf_resnet26", NONE, num_classes=2).eval()
    plain.load_state_dict(weights)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))
        torch.testing.assert_close(ours(x), plain(x))


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
        # meta["num_params"] of torchvision's weights of these networks
        ("efficientnet_b0", "none", 5_288_548),
        ("tf_efficientnetv2_s", "none", 21_458_488),
        ("mnasnet_100", "none", 4_383_312),
        ("mobilenetv3_large_100", "none", 5_483_032),
        ("mobilenetv3_small_100", "none", 2_542_856),
    ],
)
def test_networks_have_the_published_number_of_parameters(name, text, params):
    with torch.device("meta"):
        net = backbone(name, AttentionDesign.parse(text), num_classes=1000)
    assert sum(parameter.numel() for parameter in net.parameters()) == params


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("ghostnet_100", 5.18),  # timm's table; imgclsmob asserts 5,180,840 for a layout that squeezes to other widths
        ("repvgg_a0", 9.11),  # RepVGG's repository: 9.1M in training (8.30M folded)
        ("dm_nfnet_f0", 71.49),  # Brock et al. 2021, table 1: 71.5M
    ],
)
def test_networks_have_the_published_number_of_parameters_as_it_is_rounded(name, millions):
    with torch.device("meta"):
        net = backbone(name, num_classes=1000)
    assert round(sum(parameter.numel() for parameter in net.parameters()) / 1e6, 2) == millions
