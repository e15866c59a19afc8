"""The places for attention in a built network, and a design put into them."""

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
from search_space.vocabulary import PLACEMENTS
from trainers.parts import Parts, blocks


class BackboneError(UserError):
    """A network that does not exist, can't be built or has no place for attention."""


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
    """The places of every known block, in the order of the blocks; empty if there is no known block. Where there is an
    `obstacle` a block has none."""
    return [place for block, parts in blocks(net) for place in _places(block, parts, placement)]


def obstacle(net: nn.Module, placement: str, *, bridged: bool) -> str:
    """Why some block has no such place, or can't serve a bridge, and what is possible instead; empty if all is well."""
    for block, parts in blocks(net):
        lacks = _lacks(block, parts, placement, bridged)
        if lacks:
            free = [other for other in PLACEMENTS if not any(_lacks(*known, other, False) for known in blocks(net))]
            instead = "a design that hears one map" if bridged else ", ".join(free)
            return f"its block {type(block).__name__} {lacks}; allowed: {instead}."
    return ""


def _lacks(block: nn.Module, parts: Parts, placement: str, bridged: bool) -> str:
    if bridged and (parts.branches or parts.heard is None):
        return "is no row of convolutions that ba could hear"
    if parts.branches and placement != "after-norm":
        return f"sums branches that run side by side, so there is no place {placement!r}"
    if placement == "before-norm" and not _spatial(block, parts):
        return f"has no last spatial convolution with a norm behind it, so there is no place {placement!r}"
    return ""


def _places(block: nn.Module, parts: Parts, placement: str) -> list[Place]:
    convolutions = _present(block, parts.convolutions)
    if placement == "after-norm":
        width = _width(block, convolutions[-1])
        put = partial(_put, block, parts.end, before=False, channels_last=_in_rows(block, parts, parts.end))
        return [Place(width, put, _sources(block, parts, convolutions))]
    if placement == "before-norm":
        chosen, before = _spatial(block, parts), False
    else:
        assert placement in ("before-conv", "mid"), placement
        chosen, before = convolutions if placement == "before-conv" else convolutions[-1:], True
    found = []
    for path in chosen:
        put = partial(_put, block, path, before=before, channels_last=_in_rows(block, parts, path))
        found.append(Place(_width(block, path, before=before), put))
    return found


def _present(block: nn.Module, paths: Sequence[str], *, idle: bool = False) -> list[str]:
    """Those of the paths that the block has, stars written out; `idle`: an nn.Identity counts too."""
    found = []
    for path in paths:
        module = getattr(block, path.partition(".")[0])
        if module is None or (type(module) is nn.Identity and not idle):
            continue
        parent, star, rest = path.partition(".*")
        names = [name for name, _ in block.get_submodule(parent).named_children()] if star else []
        found += [f"{parent}.{name}{rest}" for name in names] if star else [path]
    return found


def _spatial(block: nn.Module, parts: Parts) -> list[str]:
    """The last that the block has; several where it is cut into parts."""
    found = (_present(block, (path,)) for path in reversed(parts.spatial))
    return next((paths for paths in found if paths), [])


def _width(block: nn.Module, path: str, *, before: bool = False) -> int:
    width = width_of(block.get_submodule(path), before=before)
    assert width is not None, path
    return width


def _in_rows(block: nn.Module, parts: Parts, path: str) -> bool:
    return path.partition(".")[0] in parts.rows and not getattr(block, "use_conv_mlp", False)


def _sources(block: nn.Module, parts: Parts, convolutions: list[str]) -> tuple[Source, ...]:
    """What is heard of the earlier convolutions; a norm or activation is as wide as what the next one reads."""
    if not parts.heard:
        return tuple(Source(block.get_submodule(path), _width(block, path), False) for path in convolutions[:-1])
    heard = _present(block, parts.heard, idle=True)
    return tuple(
        Source(block.get_submodule(path), _width(block, reader, before=True), _in_rows(block, parts, path))
        for path, reader in zip(heard, convolutions[-len(heard) :], strict=True)
    )


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
