"""How a design is retrained at full size, as a frozen value with a hash. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from trainers.recipe import RecipeError, content, content_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainRecipe:
    """FcaNet's training (Qin et al. 2021; main.py of cfzd/FcaNet): SGD with momentum, linear warm-up, cosine.

    The learning rate is 0.1 per 256 images unless given, the warm-up five epochs but never more than a fifth of all.
    Crops cover at least `crop_area` of the image with an aspect of at most `crop_aspect` to 1; images are measured on
    the central `crop_pct` of their shorter side. With `reduced_decoding` a JPEG larger than that takes is decoded at a
    half, a quarter or an eighth of its side. Two departures from the publication: Nesterov momentum, and no weight
    decay on norms and biases. The hash covers everything but the epochs: how long was trained is a row's fidelity.
    """

    name: ClassVar[str] = "imagenet"

    epochs: int = 100
    batch_size: int = 256
    learning_rate: float | None = None
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 1e-4
    decay_norms: bool = False
    warmup_epochs: int = 5
    label_smoothing: float = 0.1
    crop_area: float = 0.1
    crop_aspect: float = 1.25
    mirror: bool = True
    crop_pct: float = 0.875
    reduced_decoding: bool = True
    gate_start: str = "paper"
    scale: str = "paper"

    def __post_init__(self) -> None:
        self._require("epochs", self.epochs >= 1, "1 or more")
        self._require("batch_size", self.batch_size >= 2, "2 or more: batch norm needs two images")
        self._require("learning_rate", 0 < self.peak < math.inf, "above 0, or none for 0.1 per 256 images")
        self._require("momentum", 0 < self.momentum < 1, "above 0 and below 1")
        self._require("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more")
        self._require("warmup_epochs", self.warmup_epochs >= 0, "0 or more")
        self._require("label_smoothing", 0 <= self.label_smoothing < 1, "a fraction from 0 to below 1")
        self._require("crop_area", 0 < self.crop_area <= 1, "a fraction above 0, up to 1")
        self._require("crop_aspect", 1 <= self.crop_aspect < math.inf, "1 or more")
        self._require("crop_pct", 0 < self.crop_pct <= 1, "a fraction above 0, up to 1")
        self._require("gate_start", self.gate_start in ("identity", "paper"), "identity, paper")
        self._require("scale", self.scale in ("unit", "paper"), "unit, paper")

    def _require(self, field: str, right: bool, allowed: str) -> None:
        if not right:
            raise RecipeError(f"recipe {self.name}, {field}: {getattr(self, field)!r} given; allowed: {allowed}.")

    @property
    def peak(self) -> float:
        """The learning rate that the warm-up ends at."""
        return 0.1 * self.batch_size / 256 if self.learning_rate is None else self.learning_rate

    @property
    def hash(self) -> str:
        usual = self.peak == 0.1 * self.batch_size / 256
        return content_hash(self, without=("epochs",), learning_rate=None if usual else float(self.peak))

    @property
    def content(self) -> dict[str, Any]:
        """Everything that the hash stands for, the defaults too; the learning rate as the number it comes to."""
        return content(self, without=("epochs",), learning_rate=float(self.peak))

    def warmup_steps(self, steps_an_epoch: int) -> int:
        return round(min(self.warmup_epochs, self.epochs / 5) * steps_an_epoch)
