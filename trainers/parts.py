"""Where a design goes in the residual blocks of each family of networks: one table, block class -> its parts.

Classes stand in it by name, so that a network which is none of timm's needs no timm, whose import takes a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True)
class Parts:
    """Paths of modules inside a block, those of the residual branch only; in `convs.*` the star is every part of a
    list, and a part that a block leaves out (None, or nn.Identity for a convolution) is passed over.

    Attributes:
        convolutions: in order. `before-conv` is before each, `mid` before the last.
        spatial: those with k > 1 that a norm follows; `before-norm` is after the last that the block has.
        end: its output is added to the shortcut; a slot that is None is filled. `after-norm` is after it.
        heard: what ends all convolutions but the last (norm and activation done), for the bridge. Empty where each
            convolution's own module ends so; None where one follows the other with something else between.
        rows: children that pass [B, H, W, C] on, unless the block does without (ConvNeXt's `use_conv_mlp`).
        branches: the convolutions run side by side, and `end` is behind their sum: the only place.
        only_if: attribute without which it is no residual block but a convolution of the stem or the head.
    """

    convolutions: tuple[str, ...]
    spatial: tuple[str, ...]
    end: str
    heard: tuple[str, ...] | None = ()
    rows: tuple[str, ...] = ()
    branches: bool = False
    only_if: str = ""


_T = "timm.models"
_BASIC = Parts(("conv1", "conv2"), ("conv2",), "se", ("act1",))
_BOTTLENECK = Parts(("conv1", "conv2", "conv3"), ("conv2",), "se", ("act1", "act2"))

PARTS: dict[str, Parts] = {
    "trainers.cifar_resnet.BasicBlock": _BASIC,
    "trainers.cifar_resnet.Bottleneck": _BOTTLENECK,
    f"{_T}.resnet.BasicBlock": _BASIC,
    f"{_T}.resnet.Bottleneck": _BOTTLENECK,
    # its 3x3 convolutions are one spatial convolution cut into splits, so every split has its place before the norm.
    # All activations are one module, so the bridge hears what conv3 reads: the splits, conv1's own among them
    f"{_T}.res2net.Bottle2neck": Parts(("conv1", "convs.*", "conv3"), ("convs.*",), "se", ("drop_block",)),
    # its two kernels are one spatial convolution; the choice between them is the network's own
    f"{_T}.sknet.SelectiveKernelBasic": Parts(("conv1", "conv2"), ("conv2.conv",), "se"),
    f"{_T}.sknet.SelectiveKernelBottleneck": Parts(("conv1", "conv2", "conv3"), ("conv2.paths.*.conv",), "se"),
    # EfficientNetV2's first stage
    f"{_T}._efficientnet_blocks.ConvBnAct": Parts(("conv",), ("conv",), "bn1", only_if="has_skip"),
    f"{_T}._efficientnet_blocks.DepthwiseSeparableConv": Parts(
        ("conv_s2d", "conv_dw", "conv_pw"), ("conv_dw",), "bn2", ("bn_s2d", "bn1")
    ),
    f"{_T}._efficientnet_blocks.EdgeResidual": Parts(("conv_exp", "conv_pwl"), ("conv_exp",), "bn2", ("bn1",)),
    f"{_T}._efficientnet_blocks.InvertedResidual": Parts(
        ("conv_s2d", "conv_pw", "conv_dw", "conv_pwl"), ("conv_dw",), "bn3", ("bn_s2d", "bn1", "bn2")
    ),
    # dw_end is the identity or the last convolution; before the layer scale: behind its 1e-5 a gate would hear nothing
    f"{_T}._efficientnet_blocks.UniversalInvertedResidual": Parts(
        ("dw_start", "pw_exp", "dw_mid", "pw_proj", "dw_end"), ("dw_start.conv", "dw_mid.conv", "dw_end.conv"), "dw_end"
    ),
    f"{_T}.regnet.Bottleneck": Parts(("conv1", "conv2", "conv3"), ("conv2.conv",), "conv3.bn"),
    # a ghost module stands for a pointwise convolution; the last 3x3 is the cheap operation of the second
    f"{_T}.ghostnet.GhostBottleneck": Parts(
        ("ghost1", "conv_dw", "ghost2"), ("ghost2.cheap_operation.0",), "ghost2", ("ghost1", "bn_dw")
    ),
    # before the layer scale, as above
    f"{_T}.convnext.ConvNeXtBlock": Parts(
        ("conv_dw", "mlp.fc1", "mlp.fc2"), ("conv_dw",), "mlp", ("norm", "mlp.act"), rows=("norm", "mlp")
    ),
    f"{_T}.byobnet.BasicBlock": Parts(("conv1_kxk", "conv2_kxk"), ("conv2_kxk.conv",), "attn_last"),
    f"{_T}.byobnet.BottleneckBlock": Parts(
        ("conv1_1x1", "conv2_kxk", "conv2b_kxk", "conv3_1x1"), ("conv2_kxk.conv", "conv2b_kxk.conv"), "attn_last"
    ),
    f"{_T}.byobnet.DarkBlock": Parts(("conv1_1x1", "conv2_kxk"), ("conv2_kxk.conv",), "attn_last"),
    f"{_T}.byobnet.EdgeBlock": Parts(("conv1_kxk", "conv2_1x1"), ("conv1_kxk.conv",), "attn_last"),
    # self-attention between the convolutions, mostly in place of the spatial one
    f"{_T}.byobnet.SelfAttnBlock": Parts(
        ("conv1_1x1", "conv2_kxk", "conv3_1x1"), ("conv2_kxk.conv",), "conv3_1x1", heard=None
    ),
    # where timm (and RepVGG-D2se) has its own attention; the identity is one of the branches
    f"{_T}.byobnet.RepVggBlock": Parts(("conv_kxk",), (), "attn", branches=True),
    f"{_T}.byobnet.MobileOneBlock": Parts(("conv_kxk",), (), "attn", branches=True),
    f"{_T}.cspnet.BottleneckBlock": Parts(("conv1", "conv2", "conv3"), ("conv2.conv",), "attn3"),
    # the activation that is part of the last norm comes before the sum
    f"{_T}.cspnet.DarkBlock": Parts(("conv1", "conv2"), ("conv2.conv",), "conv2"),
    f"{_T}.cspnet.EdgeBlock": Parts(("conv1", "conv2"), ("conv1.conv",), "conv2"),
    # no norm, so no place before one. timm multiplies whatever fills attn_last by attn_gain (2), as any attn_layer: it
    # makes up for a gate around 1/2, and doubles a branch whose gate starts at 1 (`gate_start="identity"`). Behind
    # attention of the network's own there, both are multiplied once
    f"{_T}.nfnet.NormFreeBlock": Parts(
        ("conv1", "conv2", "conv2b", "conv3"), (), "attn_last", ("act2", "act2b", "act3")
    ),
    # all spatial convolutions go to the output, none of them is the last before it
    f"{_T}.vovnet.OsaBlock": Parts(("conv_reduction", "conv_mid.*", "conv_concat"), (), "attn"),
}

UNPLACED = frozenset({
    f"{_T}._efficientnet_blocks.CondConvResidual",  # its convolutions take two inputs
    f"{_T}._efficientnet_blocks.MobileAttention",  # has none
    f"{_T}.ghostnet.GhostBottleneckV3",
    f"{_T}.regnet.PreBottleneck",
})  # fmt: skip
"""Blocks beside these in networks of the same families; a network that has one is refused."""


def class_name(module: nn.Module) -> str:
    """With its module, as `PARTS` has it: a user's module may well be called `resnet`."""
    own = type(module)
    return f"{own.__module__}.{own.__qualname__}"


def blocks(net: nn.Module) -> Iterator[tuple[nn.Module, Parts]]:
    """Every known residual block, in the order in which they were built."""
    for block in net.modules():
        parts = PARTS.get(class_name(block))
        if parts is not None and (not parts.only_if or getattr(block, parts.only_if)):
            yield block, parts


def unplaced(net: nn.Module) -> str:
    """The class of a residual block that has no known place for attention; empty if there is none."""
    return next((type(block).__name__ for block in net.modules() if class_name(block) in UNPLACED), "")
