"""How good a design is: data, backbones, cost, recipes, the proxy trainer, retraining.

Importing this package loads no PyTorch: each name below does so, if it needs it, when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainers.backbones import BackboneError, backbone, sites
    from trainers.costs import Cost, cost, design_cost
    from trainers.data import ImageData, load_data
    from trainers.outcome import Outcome
    from trainers.proxy import train
    from trainers.recipe import FULL, PROXY, RECIPES, SMOKE, Recipe

__all__ = [
    "FULL",
    "PROXY",
    "RECIPES",
    "SMOKE",
    "BackboneError",
    "Cost",
    "ImageData",
    "Outcome",
    "Recipe",
    "backbone",
    "cost",
    "design_cost",
    "load_data",
    "sites",
    "train",
]

_HOMES = {
    "FULL": "recipe",
    "PROXY": "recipe",
    "RECIPES": "recipe",
    "SMOKE": "recipe",
    "BackboneError": "backbones",
    "Cost": "costs",
    "ImageData": "data",
    "Outcome": "outcome",
    "Recipe": "recipe",
    "backbone": "backbones",
    "cost": "costs",
    "design_cost": "costs",
    "load_data": "data",
    "sites": "backbones",
    "train": "proxy",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
