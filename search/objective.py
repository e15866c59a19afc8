"""One evaluation: design + seed -> row. Answered from the store if it is there, trained and recorded if not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from results.row import Row
from results.store import Store
from search.recording import key_on, record, running_row
from search_space import AttentionDesign, Layered
from search_space.sites import check
from trainers import Cost, ImageData, Recipe, design_cost, sites, train
from trainers.data import VALIDATION_SPLIT
from trainers.factories import versioned

EpochReport = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Setting:
    """Everything an evaluation needs but the design and the seed."""

    data: ImageData
    backbone: str
    recipe: Recipe
    split: str = "validation"
    device: str | None = None
    precision: str = "auto"

    def check(self, design: AttentionDesign | Layered) -> None:
        """Raises `DesignError` if the design is impossible on this backbone at this image size."""
        check(design, sites(self.backbone, self.data.image_size, design))

    def cost(self, design: AttentionDesign | Layered) -> Cost:
        return design_cost(design, self.backbone, self.data.image_size, self.data.num_classes)

    def network_key(self, design: AttentionDesign | Layered) -> str:
        return key_on(design, self.backbone, self.data.image_size, self.data.num_classes, scale=self.recipe.scale)

    def row(self, design: AttentionDesign | Layered, seed: int) -> Row:
        """The running row that claims the evaluation."""
        return running_row(design, seed, self.context, scale=self.recipe.scale)

    @property
    def context(self) -> dict[str, Any]:
        """The columns that agree between rows that may be compared."""
        rule = f"{self.data.content_hash} {VALIDATION_SPLIT}"  # other validation images would be other data
        return {
            "data": self.data.name,
            "data_hash": hashlib.sha256(rule.encode()).hexdigest()[:32],
            "split": self.split,
            "backbone": versioned(self.backbone),
            "image_size": self.data.image_size,
            "num_classes": self.data.num_classes,
            "recipe": self.recipe.name,
            "recipe_hash": self.recipe.hash,
            "epochs": self.recipe.epochs,
            "schedule_epochs": self.recipe.epochs,
        }


def evaluate(
    design: AttentionDesign | Layered, seed: int, setting: Setting, store: Store, on_epoch: EpochReport | None = None
) -> tuple[Row, bool]:
    """The row of this evaluation, and whether it was trained now (see `record`). Raises `DesignError`."""
    setting.check(design)
    return record(
        setting.row(design, seed),
        store,
        lambda: train(
            design,
            setting.data,
            backbone=setting.backbone,
            recipe=setting.recipe,
            seed=seed,
            split=setting.split,
            device=setting.device,
            precision=setting.precision,
            on_epoch=on_epoch,
        ),
    )
