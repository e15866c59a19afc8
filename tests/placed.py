"""Narrow networks of timm's residual blocks, and a mark that says where it ran."""

from collections.abc import Callable

import timm  # noqa: F401  # before its models
from timm.layers import ConvNormAct, SelectAdaptivePool2d
from timm.models._efficientnet_blocks import ConvBnAct, DepthwiseSeparableConv, EdgeResidual, UniversalInvertedResidual
from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg
from timm.models.convnext import ConvNeXt
from timm.models.cspnet import CspModelCfg, CspNet, CspStagesCfg, CspStemCfg
from timm.models.nfnet import NfCfg, NormFreeNet
from timm.models.res2net import Bottle2neck
from timm.models.resnet import ResNet
from timm.models.sknet import SelectiveKernelBasic, SelectiveKernelBottleneck
from timm.models.vovnet import VovNet
from torch import Tensor, nn

from search_space.vocabulary import PLACEMENTS

ALL, NO_NORM, END = PLACEMENTS, ("after-norm", "before-conv", "mid"), ("after-norm",)


def splits(num_classes: int) -> nn.Module:
    """A narrow Res2Net of five blocks, four splits each."""
    width = {"base_width": 32, "channels": (8, 16, 16, 24), "block_args": {"scale": 4}}
    return ResNet(Bottle2neck, (1, 2, 1, 1), num_classes=num_classes, **width)


def channels_last(num_classes: int) -> nn.Module:
    """A ConvNeXt that passes [B, H, W, C] on inside its blocks, as convnext_tiny does and the smaller ones don't."""
    return ConvNeXt(num_classes=num_classes, depths=(1, 1, 1, 1), dims=(8, 16, 24, 32), conv_mlp=False)


def two_kernels(num_classes: int) -> nn.Module:
    return ResNet(SelectiveKernelBottleneck, (1, 1, 1, 1), num_classes=num_classes, channels=(8, 8, 16, 16))


def two_kernels_basic(num_classes: int) -> nn.Module:
    return ResNet(SelectiveKernelBasic, (1, 1, 1, 1), num_classes=num_classes, channels=(8, 8, 16, 16))


def _byob(num_classes: int, *blocks: ByoBlockCfg, **config: str) -> nn.Module:
    return ByobNet(ByoModelCfg(blocks, stem_chs=8, stem_pool="", **config), num_classes=num_classes)


def own_blocks(num_classes: int) -> nn.Module:
    """Each of the four blocks, a bottleneck with a second 3x3 convolution."""
    twice = ByoBlockCfg("bottle", d=1, c=16, br=0.5, block_kwargs={"extra_conv": True})
    rest = [ByoBlockCfg(kind, d=1, c=16, br=0.5) for kind in ("bottle", "dark", "edge")]
    return _byob(num_classes, ByoBlockCfg("basic", d=1, c=8), (twice, *rest))


def branches(num_classes: int) -> nn.Module:
    return _byob(num_classes, ByoBlockCfg("rep", d=2, c=8), ByoBlockCfg("one", d=2, c=16), stem_type="rep")


def lambdas(num_classes: int) -> nn.Module:
    """Self-attention that takes every size, behind a convolutional block and with a spatial convolution of its own."""
    plain = ByoBlockCfg("self_attn", d=1, c=16, s=1, br=0.5)
    spatial = ByoBlockCfg("self_attn", d=1, c=16, s=1, br=0.5, block_kwargs={"extra_conv": True})
    return _byob(num_classes, ByoBlockCfg("bottle", d=1, c=16, br=0.5), (plain, spatial), self_attn_layer="lambda")


def cross_stages(num_classes: int) -> nn.Module:
    kinds = {"stage_type": ("csp", "cs3", "dark"), "block_type": ("bottle", "edge", "dark")}
    stages = CspStagesCfg((1, 1, 1), (16, 16, 24), bottle_ratio=0.5, expand_ratio=2.0, **kinds)
    return CspNet(CspModelCfg(CspStemCfg(8), stages), num_classes=num_classes)


def norm_free(num_classes: int) -> nn.Module:
    config = NfCfg((1, 1, 1, 1), (8, 16, 16, 24), stem_chs=8, extra_conv=True, num_features=32)
    return NormFreeNet(config, num_classes=num_classes)


def _chain(num_classes: int, *blocks: nn.Module, width: int) -> nn.Module:
    pool = SelectAdaptivePool2d(flatten=True)
    return nn.Sequential(ConvNormAct(3, 8, 3, stride=2), *blocks, pool, nn.Linear(width, num_classes))


def mobile(num_classes: int) -> nn.Module:
    """A residual convolution, one without a shortcut, a depthwise one that packs four pixels into one, a fused one."""
    return _chain(
        num_classes,
        ConvBnAct(8, 8, 3, skip=True),
        ConvBnAct(8, 8, 3),
        DepthwiseSeparableConv(8, 8, s2d=1, noskip=True),
        EdgeResidual(8, 8, exp_ratio=2),
        width=8,
    )


def universal(num_classes: int) -> nn.Module:
    """Depthwise convolutions before and inside, and behind."""
    return _chain(
        num_classes,
        UniversalInvertedResidual(8, 16, 5, 3, stride=2, exp_ratio=2),
        UniversalInvertedResidual(16, 16, 0, 3, 3, exp_ratio=2),
        width=16,
    )


def aggregated(num_classes: int) -> nn.Module:
    config = {"stem_chs": [8, 8, 8], "stage_conv_chs": [8, 8, 24, 16], "stage_out_chs": [16, 16, 24, 32]}
    kind = {"layer_per_block": 2, "block_per_stage": [1, 1, 2, 1], "residual": True, "depthwise": True, "attn": "ese"}
    return VovNet(config | kind, num_classes=num_classes)


SPLITS, ROWS = "placed:splits", "placed:channels_last"
SMALL = {  # network: placements of its blocks
    **dict.fromkeys(["resnet18", SPLITS, "mobilenetv2_050", "regnety_002", "ghostnet_050", "convnext_atto", ROWS], ALL),
    **dict.fromkeys(["placed:two_kernels", "placed:two_kernels_basic", "placed:own_blocks", "test_byobnet"], ALL),
    **dict.fromkeys(["placed:cross_stages", "placed:mobile", "placed:universal", "test_efficientnet"], ALL),
    **dict.fromkeys(["placed:lambdas", "placed:aggregated", "test_nfnet"], NO_NORM),
    "placed:branches": END,
}
DEAF = {"placed:lambdas", "placed:branches"}  # ba has nothing to hear there


class Mark(nn.Module):
    """The identity, which writes down that it ran and what it saw."""

    def __init__(self, log: list[str], channels: int) -> None:
        super().__init__()
        self.log, self.channels = log, channels

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1] == self.channels
        self.log.append("@")
        return x


def say(log: list[str], name: str) -> Callable[..., None]:
    return lambda module, inputs, output: log.append(name)
