"""How a design is retrained at full size, as a frozen value with a hash. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from trainers.recipe import content, content_hash
from trainers.settings import Checked, find, read_settings

_POWERS = {"linear": 1.0, "sqrt": 0.5, "none": 0.0}
"""Of the batch that the learning rate grows by: Goyal et al. 2017 for SGD, Krizhevsky 2014 and LAMB for its root."""
_OPTIMISERS = ("sgd", "lamb", "adamw")
_INTERPOLATIONS = ("bilinear", "bicubic", "random")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainRecipe(Checked):
    """The defaults are FcaNet's training (Qin et al. 2021; main.py of cfzd/FcaNet): SGD, linear warm-up, cosine.

    The learning rate that the warm-up ends at is `learning_rate`, or else `base_rate` at `base_batch` images, scaled by
    `rate_rule` to `batch_size`. The warm-up is never more than a fifth of the training. `loss` is the cross-entropy
    ("ce") or the binary one of each class ("bce"), to which a class is there if mixing left more than `bce_threshold`.
    Training images are `train_fraction` of the side that images are measured at, to the nearest 32 pixels where they
    differ. Crops cover at least `crop_area` of the image with an aspect of at most `crop_aspect` to 1; images are
    measured on the central `crop_pct` of their shorter side. With `reduced_decoding` a JPEG larger than a crop takes is
    decoded at a half, a quarter or an eighth of its side. `auto_augment` is timm's text, as rand-m6-mstd0.5-inc1. Of
    `repeats` above 1 an epoch shows a part of the images, each so many times (Hoffer et al. 2020). `ema` is the decay
    of the average of weights that is measured and kept in place of the last ones; 0: none.

    Two departures from FcaNet: Nesterov momentum, and no weight decay on norms and biases. The hash covers everything
    but the name and the epochs: how long was trained is a row's fidelity.
    """

    name: str = "imagenet"
    epochs: int = 100
    batch_size: int = 256
    learning_rate: float | None = None
    base_rate: float = 0.1
    base_batch: int = 256
    rate_rule: str = "linear"
    optimiser: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 1e-4
    decay_norms: bool = False
    warmup_epochs: int = 5
    loss: str = "ce"
    bce_threshold: float = 0.2
    label_smoothing: float = 0.1
    mixup: float = 0.0
    cutmix: float = 0.0
    train_fraction: float = 1.0
    crop_area: float = 0.1
    crop_aspect: float = 1.25
    interpolation: str = "bilinear"
    mirror: bool = True
    auto_augment: str = ""
    repeats: int = 1
    crop_pct: float = 0.875
    reduced_decoding: bool = False
    drop_path: float = 0.0
    ema: float = 0.0
    gate_start: str = "paper"
    scale: str = "paper"

    def __post_init__(self) -> None:
        fractions = "a fraction from 0 to below 1"
        self._require("epochs", self.epochs >= 1, "1 or more")
        self._require("batch_size", self.batch_size >= 2, "2 or more: batch norm needs two images")
        self._require("base_rate", 0 < self.base_rate < math.inf, "above 0")
        self._require("base_batch", self.base_batch >= 1, "1 or more")
        self._require("learning_rate", 0 < self.peak < math.inf, "above 0, or none for base_rate by rate_rule")
        self._require("rate_rule", self.rate_rule in _POWERS, ", ".join(_POWERS))
        self._require("optimiser", self.optimiser in _OPTIMISERS, ", ".join(_OPTIMISERS))
        self._require("momentum", 0 < self.momentum < 1, "above 0 and below 1")
        self._require("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more")
        self._require("warmup_epochs", self.warmup_epochs >= 0, "0 or more")
        self._require("loss", self.loss in ("ce", "bce"), "ce, bce")
        self._require("bce_threshold", 0 <= self.bce_threshold < 1, fractions)
        self._require("label_smoothing", 0 <= self.label_smoothing < 1, fractions)
        self._require("mixup", 0 <= self.mixup < math.inf, "0 (none) or more")
        self._require("cutmix", 0 <= self.cutmix < math.inf, "0 (none) or more")
        mixes = self.mixup > 0 or self.cutmix > 0
        self._require("batch_size", not mixes or self.batch_size % 2 == 0, "an even number, as images are mixed")
        self._require("train_fraction", 0 < self.train_fraction <= 1, "a fraction above 0, up to 1")
        self._require("crop_area", 0 < self.crop_area <= 1, "a fraction above 0, up to 1")
        self._require("crop_aspect", 1 <= self.crop_aspect < math.inf, "1 or more")
        self._require("interpolation", self.interpolation in _INTERPOLATIONS, ", ".join(_INTERPOLATIONS))
        self._require("repeats", self.repeats >= 1, "1 or more")
        self._require("crop_pct", 0 < self.crop_pct <= 1, "a fraction above 0, up to 1")
        self._require("drop_path", 0 <= self.drop_path < 1, fractions)
        self._require("ema", 0 <= self.ema < 1, fractions)
        self._require("gate_start", self.gate_start in ("identity", "paper"), "identity, paper")
        self._require("scale", self.scale in ("unit", "paper"), "unit, paper")

    @property
    def peak(self) -> float:
        """The learning rate that the warm-up ends at."""
        return self._usual_peak if self.learning_rate is None else self.learning_rate

    @property
    def _usual_peak(self) -> float:
        power = _POWERS.get(self.rate_rule, 0.0)
        return self.base_rate * (self.batch_size / self.base_batch) ** power

    @property
    def hash(self) -> str:
        """Recipes of one batch size and rate are one, however the rate was come by."""
        rule = {"base_rate": 0.1, "base_batch": 256, "rate_rule": "linear"}
        usual = self.peak == 0.1 * self.batch_size / 256
        return content_hash(self, without=("name", "epochs"), **rule, learning_rate=None if usual else float(self.peak))

    @property
    def content(self) -> dict[str, Any]:
        """Everything that the hash stands for, the defaults too; the learning rate as the number it comes to."""
        by_rule = ("name", "epochs", "base_rate", "base_batch", "rate_rule")
        return content(self, without=by_rule, learning_rate=float(self.peak))

    def changed(self, settings: list[str], **values: Any) -> RetrainRecipe:
        """With fields by `FIELD=VALUE` texts, as the command line gives them, and by values that are not None."""
        given = {name: value for name, value in values.items() if value is not None}
        return replace(self, **(read_settings(self, settings) | given))

    def warmup_steps(self, steps_an_epoch: int) -> int:
        return round(min(self.warmup_epochs, self.epochs / 5) * steps_an_epoch)

    def train_size(self, image_size: int) -> int:
        """Pixels a side of training images where they are measured at `image_size`."""
        if self.train_fraction == 1:
            return image_size
        return max(32, 32 * round(self.train_fraction * image_size / 32))


FCA = RetrainRecipe(name="fca", reduced_decoding=True)
"""Qin et al. 2021, section 4.1, and main.py of cfzd/FcaNet."""

_RSB = RetrainRecipe(
    name="rsb",
    batch_size=2048,
    base_batch=2048,
    rate_rule="sqrt",
    optimiser="lamb",
    weight_decay=0.02,
    loss="bce",
    label_smoothing=0.0,
    mixup=0.1,
    cutmix=1.0,
    crop_area=0.08,
    crop_aspect=4 / 3,
    interpolation="bicubic",
    crop_pct=0.95,
    reduced_decoding=True,
)
RSB_A3 = replace(
    _RSB, name="rsb-a3", epochs=100, base_rate=8e-3, train_fraction=160 / 224, auto_augment="rand-m6-mstd0.5-inc1"
)
"""Wightman, Touvron and Jegou 2021, ResNet strikes back, table 2: procedure A3, 160 pixels to train, 224 to measure."""
RSB_A2 = replace(
    _RSB, name="rsb-a2", epochs=300, base_rate=5e-3, drop_path=0.05, repeats=3, auto_augment="rand-m7-mstd0.5-inc1"
)
"""Procedure A2 of the same table."""
SMOKE = RetrainRecipe(name="smoke", epochs=2, batch_size=32, warmup_epochs=0, crop_area=0.35, reduced_decoding=True)
"""Minutes: does it all work?"""

RETRAIN_RECIPES = {recipe.name: recipe for recipe in (FCA, RSB_A3, RSB_A2, SMOKE)}


def find_retrain_recipe(name: str) -> RetrainRecipe:
    """A recipe by name. Raises `RecipeError` naming those there are."""
    return find(name, RETRAIN_RECIPES)
