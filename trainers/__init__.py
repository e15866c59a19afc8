"""How good a design is: data, backbones, cost, recipes, the proxy trainer, retraining.

Importing this package loads no PyTorch: each name below does so, if it needs it, when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from search_space.lazy import lazily

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

__getattr__ = lazily(__name__, _HOMES)
