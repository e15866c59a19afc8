"""How good a design is: data, backbones, cost, recipes, the proxy trainer, retraining."""

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
