"""Networks that carry a design in every residual block: ours for small images, timm's families, the user's own."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from search_space import NONE, AttentionDesign, Site
from search_space.layered import Layered
from search_space.sites import check
from trainers.cifar_resnet import CifarResNet
from trainers.factories import build_factory, cause, is_factory, slots, source_digest
from trainers.families import BackboneError, Place, carry, obstacle, places
from trainers.parts import PARTS, unplaced
from trainers.small_shapes import SMALL
from trainers.timm_import import prepare

__all__ = [
    "BackboneError",
    "CifarResNet",
    "Start",
    "backbone",
    "initialised",
    "sites",
    "source_digest",
]


T = TypeVar("T")


_FAMILIES = {  # family: modules of timm.models, examples
    "ResNet, ResNeXt, wide ResNet": (("resnet",), "resnet50, resnext50_32x4d, wide_resnet50_2"),
    "Res2Net": (("res2net",), "res2net50_26w_4s"),
    "SKNet": (("sknet",), "skresnet50"),
    "EfficientNet, MobileNetV2, MNASNet": (("efficientnet",), "efficientnet_b0, tf_efficientnetv2_s, mobilenetv2_100"),
    "MobileNetV3, MobileNetV4, LCNet": (
        ("mobilenetv3", "hardcorenas"),
        "mobilenetv3_large_100, mobilenetv4_conv_small, lcnet_100",
    ),
    "RegNet": (("regnet",), "regnetx_032"),
    "GhostNet": (("ghostnet",), "ghostnet_100"),
    "ConvNeXt": (("convnext",), "convnext_tiny"),
    "ByobNet": (("byobnet", "byoanet"), "gernet_s, repvgg_a0, mobileone_s0, resnet26ts, botnet26t_256"),
    "CSPNet, DarkNet": (("cspnet",), "cspresnet50, darknet53"),
    "NFNet": (("nfnet",), "dm_nfnet_f0, nf_regnet_b1"),
    "VoVNet": (("vovnet",), "ese_vovnet19b_dw"),
}
MODULES = [module for modules, _ in _FAMILIES.values() for module in modules]


def backbone(
    name: str,
    design: AttentionDesign | Layered = NONE,
    *,
    num_classes: int,
    image_size: int | None = None,
    scale: str = "unit",
    gate_start: str = "paper",
    drop_path: float = 0.0,
) -> nn.Module:
    """A fresh network, [B, 3, S, S] -> [B, num_classes], with `design` in every residual block at `design.place`.

    Names: `resnet8 resnet20 resnet32 resnet56 resnet110` (CIFAR), `resnet18-cifar resnet34-cifar resnet50-cifar` (3x3
    stem); timm's ResNets, SKNets, RegNets, NFNets, EfficientNets, MobileNets, GhostNets, CSPNets, VoVNets, ConvNeXts,
    ByobNets, whose own attention stays; and `package.module:factory`, a function of yours (see `trainers.factories`).
    The network's weights are drawn first, so a seed gives every design the same ones. `scale` and `gate_start` are
    those of `build`; `drop_path` is timm's rate of stochastic depth. With `image_size` the design is checked against
    every site first. Raises `BackboneError`, `DesignError`.
    """
    if num_classes < 1:
        raise BackboneError(f"num_classes: {num_classes} given; allowed: 1 or more.")
    if image_size is not None:
        check(design, sites(name, image_size, design))
    net = _plain(name, num_classes, drop_path)
    if design != NONE:
        carry(
            net,
            design,
            _places(name, net, design.place, bridged=_bridged(design), moved=design.moved),
            scale=scale,
            gate_start=gate_start,
        )
    return net


class Start(Protocol):
    """What a recipe says of a network's beginning."""

    @property
    def scale(self) -> str: ...
    @property
    def gate_start(self) -> str: ...


def initialised(
    name: str,
    design: AttentionDesign | Layered,
    start: Start,
    *,
    seed: int,
    num_classes: int,
    image_size: int,
    drop_path: float = 0.0,
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
            drop_path=drop_path,
        )


def sites(name: str, image_size: int, design: AttentionDesign | Layered = NONE) -> tuple[Site, ...]:
    """The shape of the map at every place where the backbone applies the design, in forward order; for `ba` also the
    channels of the block's earlier convolutions, which its gate hears.

    Draws no random number. Raises `BackboneError`.
    """
    return _sites(name, image_size, design.place, _bridged(design), design.moved)


def says_where(name: str) -> bool:
    """Whether the backbone is a factory that puts attention itself, so that a placement has no meaning."""
    return is_factory(name) and bool(slots(_plain(name, 2)))


def _bridged(design: AttentionDesign | Layered) -> bool:
    return isinstance(design, AttentionDesign) and design.squeeze == "ba"


def _timm() -> Any:
    """Imported by who asks for a network of its: for the others' processes that would be a second lost."""
    prepare()
    import timm

    return timm


def _plain(name: str, num_classes: int, drop_path: float = 0.0) -> nn.Module:
    if drop_path and (is_factory(name) or name in SMALL):
        raise _no_depth(name, drop_path)
    if is_factory(name):
        return build_factory(name, num_classes)
    if name in SMALL:
        return CifarResNet(SMALL[name], num_classes)
    timm = _timm()
    if not timm.models.is_model_in_modules(name, MODULES):
        raise BackboneError(_unknown(name))
    depth: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    try:
        net: nn.Module = timm.create_model(name, num_classes=num_classes, **depth)
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        raise _no_depth(name, drop_path) from error
    return net


def _no_depth(name: str, drop_path: float) -> BackboneError:
    return BackboneError(f"backbone {name!r} has no stochastic depth: drop_path {drop_path:g} given; allowed: 0.")


def _places(name: str, net: nn.Module, placement: str, *, bridged: bool, moved: bool) -> list[Place]:
    own = slots(net)
    if own and moved:
        raise BackboneError(
            f"backbone {name!r} says itself where attention goes (attn_layer), so {placement!r} can't be heeded; "
            "drop the placement."
        )
    if own and bridged:
        raise BackboneError(
            f"backbone {name!r} says itself where attention goes (attn_layer), but ba hears every convolution of a "
            "block; allowed: a factory of timm's blocks without attn_layer, a named network, or another design."
        )
    if own:
        return own
    stranger = unplaced(net)
    if stranger:
        raise BackboneError(
            f"backbone {name!r}: its block {stranger} has no known place for attention, and a design is put into every "
            f"residual block or none; allowed: {_allowed()}."
        )
    why_not = obstacle(net, placement, bridged=bridged)
    if why_not:
        raise BackboneError(f"backbone {name!r}: {why_not}")
    found = places(net, placement)
    if not found:
        raise BackboneError(_no_place(name))
    return found


def _unknown(name: str) -> str:
    timm = _timm()
    known = [*SMALL, *timm.list_models(module=MODULES)]
    near = difflib.get_close_matches(name, known, n=3)
    what = "has no known place for attention" if timm.is_model(name) else "does not exist"
    return f"backbone {name!r} {what}; allowed: {_allowed()}." + (f" Nearest: {', '.join(near)}." if near else "")


def _allowed() -> str:
    families = "; ".join(f"{family} ({examples})" for family, (_, examples) in _FAMILIES.items())
    return f"{', '.join(SMALL)}; of timm: {families}; or a function of yours, package.module:factory"


def _no_place(name: str) -> str:
    if is_factory(name):
        blocks = dict.fromkeys(block.rpartition(".")[2] for block in PARTS)
        return (
            f"backbone {name!r}: no place for attention. Either let the factory take attn_layer (channels -> module) "
            "and put what it returns where attention belongs, or build the network of timm's residual blocks "
            f"({', '.join(blocks)})."
        )
    return f"backbone {name!r}: its blocks have no known place for attention; allowed: {_allowed()}."


class _Recorder(nn.Identity):
    def __init__(self, index: int, log: list[tuple[int, Site]], sources: tuple[int, ...]) -> None:
        super().__init__()
        self.index, self.log, self.sources = index, log, sources

    def forward(self, x: Tensor) -> Tensor:
        _, channels, height, width = (int(n) for n in x.shape)
        self.log.append((self.index, Site(channels, height, width, self.sources)))
        return x


@lru_cache(maxsize=256)
def _sites(name: str, image_size: int, placement: str, bridged: bool, moved: bool) -> tuple[Site, ...]:
    def ask() -> tuple[Site, ...]:
        log: list[tuple[int, Site]] = []
        net = _plain(name, 2)
        found = _places(name, net, placement, bridged=bridged, moved=moved)
        for index, place in enumerate(found):
            heard = tuple(source.channels for source in place.sources) if bridged else ()
            place.put(_Recorder(index, log, heard))
        _check_output(name, _run(name, net.eval(), image_size))
        order = [index for index, _ in log]
        if order != list(range(len(found))):
            raise BackboneError(
                f"backbone {name!r}: its places for attention run in the order {order}; "
                f"allowed: each of the {len(found)} once, in the order in which they are built."
            )
        return tuple(site for _, site in log)

    return _without_numbers(name, ask)


def _without_numbers(name: str, ask: Callable[[], T]) -> T:
    """The answer found on the meta device; a factory that can't build or run there is asked on the CPU, and so are the
    small networks: they are done before the meta device has imported a compiler."""
    if name not in SMALL:
        try:
            with torch.device("meta"), torch.no_grad():
                return ask()
        except Exception:
            if not is_factory(name):
                raise
    with torch.device("cpu"), torch.no_grad(), torch.random.fork_rng(devices=[]):
        return ask()


def _run(name: str, net: nn.Module, image_size: int) -> object:
    expected = Exception if is_factory(name) else (RuntimeError, ValueError, AssertionError)
    try:
        return net(torch.empty(1, 3, image_size, image_size))
    except expected as error:
        why = f": {cause(error)}" if str(error) else ""
        raise BackboneError(f"backbone {name!r} can't take images of {image_size} pixels{why}{_made(name)}") from error


def _made(name: str) -> str:
    """Self-attention with positions takes one size of images, or its multiples."""
    timm = _timm()
    known = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    return f"; timm made it for {known.input_size[-1]} pixels." if known else ""


def _check_output(name: str, logits: object) -> None:
    shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if shape != (1, 2):
        raise BackboneError(
            f"backbone {name!r}: one image and num_classes=2 give {shape}; allowed: logits, a tensor of shape (1, 2)."
        )
