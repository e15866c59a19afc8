"""A design put into any network: behind (or before) the modules that the user points at."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import chain as in_turn
from typing import Any

import torch
from torch import Tensor, nn

from search_space.design import AttentionDesign
from search_space.errors import UserError
from search_space.layered import Layered, spread
from search_space.module import build

Where = str | Sequence[str] | type[nn.Module] | Callable[[str, nn.Module], bool]

_WIDTH_AFTER = ("num_features", "num_channels", "out_channels", "out_features", "out_chs", "channels")
_WIDTH_BEFORE = ("num_features", "num_channels", "in_channels", "in_features", "channels")


class AttachError(UserError):
    """A `where` that selects nothing usable, or a width that no module tells."""


def attach(
    design: AttentionDesign | Layered,
    model: nn.Module,
    where: Where,
    *,
    before: bool = False,
    channels: int | None = None,
    scale: str = "unit",
    gate_start: str = "paper",
) -> nn.Module:
    """Puts the design after (or `before`) every module that `where` selects; the model is changed and returned.

    `where`: a pattern of module names or several of them (`*` is any text, dots included: `"layer*.bn3"`), a module
    type, or a function of name and module that says yes or no. Each selected module M, which takes and gives one map
    [B, C, H, W], becomes `nn.Sequential(M, attention)`: its weights stay, and their names gain a `.0` (`.1`).

    C is what M or the last layer inside it says of its width; give `channels` where that isn't the width of the map
    (a module that ends in a concatenation) or nothing says it. Weights are drawn in the order of the modules, on the
    device and in the dtype of each. `scale` and `gate_start` are those of `build`; the design's own placement is not
    heeded. A `Layered` design is given out one by one. Raises `AttachError`, `DesignError`.
    """
    if not isinstance(design, (AttentionDesign, Layered)):
        raise AttachError(
            f"design {design!r} is no AttentionDesign; write PRESETS['se'] or AttentionDesign.parse(text)."
        )
    if not (isinstance(where, (str, type, list, tuple)) or callable(where)):
        raise AttachError(f"where={where!r}: allowed: a pattern, a list of patterns, a module type, or a function.")
    if isinstance(design, AttentionDesign) and design.squeeze == "ba":
        raise AttachError(
            f"design {str(design)!r} hears every convolution of a residual block, so it can't follow one module; "
            "use trainers.backbone with a network of a known family, or attach another design."
        )
    found = _select(model, where)
    modules = list({id(module): module for _, module in found}.values())
    joined: dict[int, nn.Module] = {}
    for module, one in zip(modules, spread(design, len(modules)), strict=True):
        if one.squeeze != "none":
            name = next(name for name, other in found if other is module)
            width = channels or _told_width(name, module, before)
            layer = build(one, width, scale=scale, gate_start=gate_start, **factory_of(module, model))
            joined[id(module)] = join(module, layer, before=before)
    for name, module in found:  # a module with two names is one module still
        if id(module) in joined:
            model.set_submodule(name, joined[id(module)])
    return model


def join(module: nn.Module, layer: nn.Module, *, before: bool = False, channels_last: bool = False) -> nn.Module:
    """The two in a row, in the training mode of `module`; `channels_last`: the map between them is [B, H, W, C]."""
    layer = ChannelsFirst(layer) if channels_last else layer
    row = nn.Sequential(layer, module) if before else nn.Sequential(module, layer)
    layer.train(module.training)
    row.training = module.training
    return row


class ChannelsFirst(nn.Module):
    """Shows [B, H, W, C] to a layer as the [B, C, H, W] that it expects."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x.permute(0, 3, 1, 2))
        return y.permute(0, 2, 3, 1)


def width_of(module: nn.Module, *, before: bool = False) -> int | None:
    """Channels of the map after (before) a module: what it says itself, else what the last (first) layer in it says."""
    if isinstance(module, nn.Conv1d):  # inside ECA gates, along the channels
        return None
    if isinstance(module, nn.LayerNorm):
        return int(module.normalized_shape[-1])
    for attribute in _WIDTH_BEFORE if before else _WIDTH_AFTER:
        width = getattr(module, attribute, None)
        if isinstance(width, int):
            return width
    children = list(module.children())
    widths = (width_of(child, before=before) for child in (children if before else reversed(children)))
    return next((width for width in widths if width is not None), None)


def factory_of(*modules: nn.Module) -> dict[str, Any]:
    """Device and dtype for a layer that joins these modules: those of their first weight."""
    parameters: Iterable[torch.Tensor] = in_turn.from_iterable(module.parameters() for module in modules)
    for parameter in parameters:
        if parameter.is_floating_point():
            return {"device": parameter.device, "dtype": parameter.dtype}
    return {}


def _select(model: nn.Module, where: Where) -> list[tuple[str, nn.Module]]:
    chosen = _chooser(where)
    everything = [(name, module) for name, module in model.named_modules(remove_duplicate=False) if name]
    found = [(name, module) for name, module in everything if chosen(name, module)]
    if not found:
        raise AttachError(_matches_nothing(where, [name for name, _ in everything]))
    names = {name for name, _ in found}
    for name, _ in found:
        parts = name.split(".")
        for outer in (".".join(parts[:length]) for length in range(1, len(parts))):
            if outer in names:
                raise AttachError(
                    f"where={_shown(where)} selects {name!r} and also {outer!r}, which holds it; "
                    "allowed: modules of which none is inside another. Make the pattern narrower."
                )
    return found


def _chooser(where: Where) -> Callable[[str, nn.Module], bool]:
    if isinstance(where, str):
        return lambda name, module: fnmatchcase(name, where)
    if isinstance(where, type):
        return lambda name, module: isinstance(module, where)
    if callable(where):
        return where
    patterns = list(where)
    return lambda name, module: any(fnmatchcase(name, pattern) for pattern in patterns)


def _matches_nothing(where: Where, names: list[str]) -> str:
    patterns = [where] if isinstance(where, str) else [] if callable(where) else list(where)
    near = [name for pattern in patterns for name in difflib.get_close_matches(pattern, names, n=3, cutoff=0.5)]
    shown = f"near names: {', '.join(near)}" if near else f"its modules: {', '.join(names[:8]) or 'none'}"
    more = "..." if not near and len(names) > 8 else ""
    return (
        f"where={_shown(where)} selects no module of this network ({shown}{more}). Allowed: a pattern such as "
        "'layer*.bn3', a list of patterns, a module type, or a function of name and module; `model.named_modules()` "
        "lists the names."
    )


def _shown(where: Where) -> str:
    return getattr(where, "__name__", None) or repr(where)


def _told_width(name: str, module: nn.Module, before: bool) -> int:
    width = width_of(module, before=before)
    if width is None:
        raise AttachError(
            f"module {name!r} ({type(module).__name__}) doesn't tell how many channels its map has; "
            "give the number as channels=, or point at the norm or convolution beside it."
        )
    return width
