"""Importing this module lets timm load what `attnas export` wrote, from a folder or from the hub:

    import trainers.timm_registry
    import timm

    net = timm.create_model("local-dir:PATH", pretrained=True)

The one name it registers is `attnas_net`; `config.json` holds its arguments: `design` as text, `backbone`, `scale` and
`gate_start`. `num_classes` other than the export's gives a fresh classifier, as with timm's own networks. A backbone
that is somebody's function, `package.module:factory`, is code: it is imported only after `allow` names it.
"""

from __future__ import annotations

import logging
from typing import Any

from torch import nn

from search_space import UserError, find_design
from trainers.backbones import BackboneError, backbone, source_digest
from trainers.factories import is_factory
from trainers.timm_import import prepare

prepare()
from timm.models import build_model_with_cfg, register_model  # noqa: E402

ARCHITECTURE = "attnas_net"

_log = logging.getLogger(__name__)
_allowed: set[str] = set()


def allow(backbone: str) -> None:
    """Let networks be loaded whose backbone is this function of yours; its module is imported then."""
    _allowed.add(backbone)


@register_model
def attnas_net(pretrained: bool = False, **options: Any) -> nn.Module:
    """A backbone with a design, as `trainers.backbone` builds it. An entry point of timm's registry."""
    net: nn.Module = build_model_with_cfg(
        _network, ARCHITECTURE, pretrained, feature_cfg={"feature_cls": "getter"}, **options
    )
    return net


def _network(
    *,
    design: str,
    backbone: str,
    num_classes: int = 1000,
    in_chans: int = 3,
    scale: str = "unit",
    gate_start: str = "paper",
    drop_path_rate: float = 0.0,
) -> nn.Module:
    if in_chans != 3:
        raise UserError(f"in_chans: {in_chans} given; allowed: 3.")
    return built(find_design(design), backbone, num_classes, scale, gate_start, drop_path_rate)


def built(
    design: Any, named: str, num_classes: int, scale: str, gate_start: str, drop_path_rate: float = 0.0
) -> nn.Module:
    """The network; `named` is a backbone, one of a user's own with the digest of its source or without."""
    name, _, digest = named.partition("#")
    if is_factory(name):
        if name not in _allowed:
            raise BackboneError(
                f"backbone {name!r} is code of somebody's own and is not imported unasked; allow it first: --backbone "
                f"{name} on the command line, in Python trainers.timm_registry.allow({name!r})."
            )
        if digest and digest != source_digest(name):
            _log.warning(
                "%s is not the source that these weights were trained with (SHA-256 %s...): the network may compute "
                "something else.",
                name,
                digest,
            )
    return backbone(name, design, num_classes=num_classes, scale=scale, gate_start=gate_start, drop_path=drop_path_rate)
