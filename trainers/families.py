"""Where a design goes in the residual blocks of each family of networks: one table, block class -> its parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from search_space import AttentionDesign, UserError
from search_space.attachment import factory_of, join, width_of
from search_space.blocks.bridge import Bridge
from search_space.layered import Layered, spread
from search_space.module import build, check_options, gain
from trainers.timm_import import prepare

prepare()
from timm.models import convnext, ghostnet, regnet, res2net, resnet  # noqa: E402
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual  # noqa: E402


class BackboneError(UserError):
    """A network that does not exist, can't be built or has no place for attention."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Paths of modules inside a block, those of the residual branch only; `convs.*` are all parts of a list, and a
    part that a block leaves out (None) is passed over.

    Attributes:
        convolutions: in order. `before-conv` is before each, `mid` before the last.
        spatial: the last one with k > 1. `before-norm` is after it.
        end: its output is added to the shortcut; a slot that is None is filled. `after-norm` is after it.
        heard: what ends all convolutions but the last (norm and activation done), for the bridge.
        rows: children that pass [B, H, W, C] on, unless the block does without (ConvNeXt's `use_conv_mlp`).
    """

    convolutions: tuple[str, ...]
    spatial: str
    end: str
    heard: tuple[str, ...]
    rows: tuple[str, ...] = ()


PARTS: dict[type[nn.Module], Parts] = {
    resnet.BasicBlock: Parts(("conv1", "conv2"), "conv2", "se", ("act1",)),
    resnet.Bottleneck: Parts(("conv1", "conv2", "conv3"), "conv2", "se", ("act1", "act2")),
    # its 3x3 convolutions are one spatial convolution cut into splits, so every split has its place before the norm.
    # All activations are one module, so the bridge hears what conv3 reads: the splits, conv1's own among them
    res2net.Bottle2neck: Parts(("conv1", "convs.*", "conv3"), "convs.*", "se", ("drop_block",)),
    InvertedResidual: Parts(("conv_pw", "conv_dw", "conv_pwl"), "conv_dw", "bn3", ("bn1", "bn2")),
    DepthwiseSeparableConv: Parts(("conv_dw", "conv_pw"), "conv_dw", "bn2", ("bn1",)),
    regnet.Bottleneck: Parts(("conv1", "conv2", "conv3"), "conv2.conv", "conv3.bn", ("conv1", "conv2")),
    # a ghost module stands for a pointwise convolution; the last 3x3 is the cheap operation of the second
    ghostnet.GhostBottleneck: Parts(
        ("ghost1", "conv_dw", "ghost2"), "ghost2.cheap_operation.0", "ghost2", ("ghost1", "bn_dw")
    ),
    # before the layer scale: behind its 1e-6 a gate would hear nothing
    convnext.ConvNeXtBlock: Parts(
        ("conv_dw", "mlp.fc1", "mlp.fc2"), "conv_dw", "mlp", ("norm", "mlp.act"), rows=("norm", "mlp")
    ),
}


@dataclass(frozen=True, slots=True)
class Source:
    """A module whose output the bridge hears."""

    module: nn.Module
    channels: int
    channels_last: bool


@dataclass(frozen=True, slots=True)
class Place:
    """One place for attention in a built network. `put` puts a layer there, once."""

    channels: int
    put: Callable[[nn.Module], None]
    sources: tuple[Source, ...] = ()


def places(net: nn.Module, placement: str) -> list[Place]:
    """The places of every known block, in the order of the blocks; empty if there is no known block."""
    found: list[Place] = []
    for block in net.modules():
        parts = PARTS.get(type(block))
        if parts is not None:
            found += _places(block, parts, placement)
    return found


def _places(block: nn.Module, parts: Parts, placement: str) -> list[Place]:
    convolutions = _present(block, parts.convolutions)
    if placement == "after-norm":
        width = width_of(block.get_submodule(convolutions[-1]))
        assert width is not None
        put = partial(_put, block, parts.end, before=False, channels_last=_in_rows(block, parts, parts.end))
        return [Place(width, put, _sources(block, parts, convolutions))]
    if placement == "before-norm":
        chosen, before = _present(block, (parts.spatial,)), False
    else:
        assert placement in ("before-conv", "mid"), placement
        chosen, before = convolutions if placement == "before-conv" else convolutions[-1:], True
    found = []
    for path in chosen:
        width = width_of(block.get_submodule(path), before=before)
        assert width is not None
        put = partial(_put, block, path, before=before, channels_last=_in_rows(block, parts, path))
        found.append(Place(width, put))
    return found


def _present(block: nn.Module, paths: Sequence[str]) -> list[str]:
    found = []
    for path in paths:
        if path.endswith(".*"):
            parent = path.removesuffix(".*")
            found += [f"{parent}.{name}" for name, _ in block.get_submodule(parent).named_children()]
        elif "." in path or getattr(block, path) is not None:
            found.append(path)
    return found


def _in_rows(block: nn.Module, parts: Parts, path: str) -> bool:
    return path.partition(".")[0] in parts.rows and not getattr(block, "use_conv_mlp", False)


def _sources(block: nn.Module, parts: Parts, convolutions: list[str]) -> tuple[Source, ...]:
    """What is heard of a convolution, as wide as what the next one reads."""
    heard = _present(block, parts.heard)
    found = []
    for path, reader in zip(heard, convolutions[-len(heard) :], strict=True):
        width = width_of(block.get_submodule(reader), before=True)
        assert width is not None
        found.append(Source(block.get_submodule(path), width, _in_rows(block, parts, path)))
    return tuple(found)


def _put(block: nn.Module, path: str, layer: nn.Module, *, before: bool, channels_last: bool) -> None:
    if "." not in path and getattr(block, path) is None:
        layer.train(block.training)
        setattr(block, path, layer)
    else:
        joined = join(block.get_submodule(path), layer, before=before, channels_last=channels_last)
        block.set_submodule(path, joined)


def carry(
    net: nn.Module, design: AttentionDesign | Layered, found: Sequence[Place], *, scale: str, gate_start: str
) -> None:
    """Puts the design into the places, its weights drawn in their order, like the network in device and dtype."""
    like = factory_of(net)
    for position, (place, one) in enumerate(zip(found, spread(design, len(found)), strict=True)):
        if one.squeeze == "ba":
            _bridge(place, one, gate_start, like)
        elif one.squeeze != "none":
            layer = build(one, place.channels, scale=scale, gate_start=gate_start, **like)
            layer.position = position  # type: ignore[assignment]  # a network may run its modules in another order
            place.put(layer)


def _bridge(place: Place, design: AttentionDesign, gate_start: str, like: dict[str, Any]) -> None:
    check_options(gate_start=gate_start)
    sources = [source.channels for source in place.sources]
    bridge = Bridge(design, place.channels, sources, gain=gain(Bridge.rest, gate_start), **like)
    for source in place.sources:
        # bound methods, because a copy of the network has to hear its own convolutions
        hook = partial(_hear_rows, bridge.hear) if source.channels_last else bridge.hear
        source.module.register_forward_hook(hook)
    place.put(bridge)


def _hear_rows(
    hear: Callable[[nn.Module, object, Tensor], None], module: nn.Module, inputs: object, output: Tensor
) -> None:
    hear(module, inputs, output.permute(0, 3, 1, 2))
