"""Networks that carry a design after the last norm of every residual block: CIFAR ResNets and timm's ResNets."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from search_space import NONE, AttentionDesign, Site, UserError
from search_space.module import build
from search_space.sites import check
from trainers.timm_import import prepare

prepare()
import timm  # noqa: E402
from timm.models.resnet import BasicBlock, Bottleneck  # noqa: E402

AttentionLayer = Callable[..., nn.Module] | None


class BackboneError(UserError):
    """A network that does not exist or takes no attention layer."""


class CifarResNet(nn.Module):
    """ResNet for small images: 3x3 stem, no max pooling, timm's blocks, 1x1-convolution shortcuts (option B)."""

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        depths: list[int],
        widths: list[int],
        num_classes: int,
        attn_layer: AttentionLayer,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        )
        blocks: list[nn.Module] = []
        channels = widths[0]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                out = width * block.expansion
                shortcut = None if stride == 1 and channels == out else _projection(channels, out, stride)
                layer: Any = attn_layer  # timm's hint says a class; it calls whatever it is given
                blocks.append(block(channels, width, stride, shortcut, attn_layer=layer))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(self.stem(x)).mean((2, 3)))
        return logits


def _projection(channels: int, out: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))


# 6n + 2 layers with 16, 32, 64 channels (He et al. 2016, section 4.2); the ImageNet shapes with a 3x3 stem
_CIFAR: dict[str, tuple[type[BasicBlock | Bottleneck], list[int], list[int]]] = {
    **{f"resnet{6 * n + 2}": (BasicBlock, [n] * 3, [16, 32, 64]) for n in (1, 3, 9, 18)},
    "resnet18-cifar": (BasicBlock, [2, 2, 2, 2], [64, 128, 256, 512]),
    "resnet34-cifar": (BasicBlock, [3, 4, 6, 3], [64, 128, 256, 512]),
    "resnet50-cifar": (Bottleneck, [3, 4, 6, 3], [64, 128, 256, 512]),
}


def backbone(
    name: str,
    design: AttentionDesign = NONE,
    *,
    num_classes: int,
    image_size: int | None = None,
    scale: str = "unit",
    gate_start: str = "paper",
) -> nn.Module:
    """A fresh network, [B, 3, S, S] -> [B, num_classes], with `design` in every residual block.

    Names: `resnet8 resnet20 resnet56 resnet110` (CIFAR), `resnet18-cifar resnet34-cifar resnet50-cifar` (3x3 stem),
    and every timm model whose blocks take an attention layer (`resnet18`, `resnet50`, `resnext50_32x4d`...).
    `scale` and `gate_start` are those of `build`. With `image_size` the design is checked against every stage first.
    Raises `BackboneError`, `DesignError`.
    """
    if num_classes < 1:
        raise BackboneError(f"num_classes: {num_classes} given; allowed: 1 or more.")
    if image_size is not None:
        check(design, sites(name, image_size))
    layer = None if design == NONE else partial(build, design, scale=scale, gate_start=gate_start)
    return _make(name, num_classes, layer)


class Start(Protocol):
    """What a recipe says of a network's beginning."""

    @property
    def scale(self) -> str: ...
    @property
    def gate_start(self) -> str: ...


def initialised(
    name: str, design: AttentionDesign, start: Start, *, seed: int, num_classes: int, image_size: int
) -> nn.Module:
    """The backbone as a recipe starts it, on the CPU, so that a seed means one network on every device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return backbone(
            name,
            design,
            num_classes=num_classes,
            image_size=image_size,
            scale=start.scale,
            gate_start=start.gate_start,
        )


def _make(name: str, num_classes: int, attn_layer: AttentionLayer) -> nn.Module:
    if name in _CIFAR:
        return CifarResNet(*_CIFAR[name], num_classes, attn_layer)
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, [*_CIFAR, *timm.list_models("*res*")], n=3)
        raise BackboneError(
            f"backbone {name!r} does not exist; allowed: {', '.join(_CIFAR)}, and timm's ResNets."
            + (f" Nearest: {', '.join(near)}." if near else "")
        )
    try:
        return timm.create_model(name, num_classes=num_classes, block_args={"attn_layer": attn_layer})
    except (TypeError, AssertionError) as error:
        raise _takes_no_attention(name) from error


def _takes_no_attention(name: str) -> BackboneError:
    return BackboneError(
        f"backbone {name!r}: its blocks take no attention layer; allowed: {', '.join(_CIFAR)}, "
        "and timm's ResNets (resnet18, resnet50, resnext50_32x4d...)."
    )


class _Recorder(nn.Identity):
    def __init__(self, channels: int, log: list[Site], **_: Any) -> None:
        super().__init__()
        self.log = log

    def forward(self, x: Tensor) -> Tensor:
        self.log.append(Site(*(int(n) for n in x.shape[1:])))
        return x


@lru_cache(maxsize=64)
def sites(name: str, image_size: int) -> tuple[Site, ...]:
    """The shape of the map at every place where the backbone applies a design, in order. No number is computed."""
    log: list[Site] = []
    with torch.device("meta"):
        net = _make(name, 2, partial(_Recorder, log=log)).eval()
        try:
            net(torch.empty(1, 3, image_size, image_size))
        except (RuntimeError, ValueError) as error:
            raise BackboneError(f"backbone {name!r} can't take images of {image_size} pixels: {error}") from error
    if not log:
        raise _takes_no_attention(name)
    return tuple(log)
