"""Networks of the user's own, named `package.module:factory`.

The factory is called as `factory(num_classes=N)` and returns an nn.Module, [B, 3, S, S] -> [B, N]. Attention goes into
timm's residual blocks found inside. If it takes a parameter `attn_layer`, it decides itself: `attn_layer(channels)`
returns a module, [B, C, H, W] -> [B, C, H, W], for it to build in; a design's own placement is not heeded then.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from trainers.families import BackboneError, Place
from trainers.timm_import import prepare


def is_factory(name: str) -> bool:
    return ":" in name


def build_factory(name: str, num_classes: int) -> nn.Module:
    """The plain network; where its factory takes attention it holds empty slots. Raises `BackboneError`."""
    factory, _ = _load(name)
    given: dict[str, Any] = {"num_classes": num_classes}
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError) as error:
        raise BackboneError(f"backbone {name!r} can't be called: {cause(error)}. {_EXAMPLE}") from error
    if "attn_layer" in signature.parameters:
        given["attn_layer"] = _Slots()
    try:
        signature.bind(**given)
    except TypeError as error:
        raise BackboneError(f"backbone {name!r} has the signature {signature}: {error}. {_EXAMPLE}") from error
    try:
        net = factory(**given)
    except Exception as error:
        raise BackboneError(f"backbone {name!r} failed to build: {cause(error)}. {_EXAMPLE}") from error
    if not isinstance(net, nn.Module):
        raise BackboneError(f"backbone {name!r} returned {type(net).__name__}, no torch.nn.Module. {_EXAMPLE}")
    return net


def source_digest(name: str) -> str:
    """Part of the identity of what was trained: SHA-256 (16 digits) of the factory's source file as it was imported;
    of that file alone, not of what it imports. Empty for a named network. Raises `BackboneError`."""
    return _load(name)[1] if is_factory(name) else ""


def versioned(name: str) -> str:
    """The network as rows and checkpoints name it: a user's factory with what its source was, for an edited one is
    another network."""
    digest = source_digest(name)
    return f"{name}#{digest}" if digest else name


def slots(net: nn.Module) -> list[Place]:
    """The places that a factory's `attn_layer` made, in the order in which it was called."""
    found = sorted((module for module in net.modules() if isinstance(module, _Slot)), key=lambda slot: slot.index)
    return [Place(slot.channels, slot.fill) for slot in found]


def cause(error: BaseException) -> str:
    """What was raised and where, for a message without a traceback."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"


_EXAMPLE = "Allowed: module:function where function(num_classes=10) returns an nn.Module."


class _Slot(nn.Sequential):
    """Empty, so the identity, until a layer fills it: the network's weights are drawn before attention's."""

    def __init__(self, channels: int, index: int) -> None:
        super().__init__()
        self.channels, self.index = channels, index

    def fill(self, layer: nn.Module) -> None:
        self.append(layer.train(self.training))


class _Slots:
    """What a factory gets as `attn_layer`."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, channels: int, **_: object) -> nn.Module:
        # timm's blocks add device and dtype; the layer that fills the slot follows the network's
        self.made += 1
        return _Slot(channels, self.made)


@lru_cache(maxsize=64)
def _load(name: str) -> tuple[Callable[..., Any], str]:
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does; a console script has its own folder there instead
    try:
        prepare()  # it may well import timm
        module = importlib.import_module(module_name)
    except Exception as error:
        raise BackboneError(
            f"backbone {name!r}: {module_name!r} can't be imported: {cause(error)}. {_EXAMPLE}"
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        theirs = ", ".join(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        raise BackboneError(
            f"backbone {name!r}: {module_name!r} has no function {attribute!r}; it has {theirs or 'none'}. {_EXAMPLE}"
        )
    source = getattr(module, "__file__", None)
    if source is None:
        raise BackboneError(f"backbone {name!r}: {module_name!r} has no source file. {_EXAMPLE}")
    return factory, hashlib.sha256(Path(source).read_bytes()).hexdigest()[:16]
