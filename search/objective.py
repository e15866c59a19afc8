"""One evaluation: design + seed -> row. Answered from the store if it is there, trained and recorded if not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from results.row import Row
from results.store import Store
from search.recording import keep_recipe, key_on, record, running_row
from search_space import AttentionDesign, Layered
from search_space.sites import check
from trainers import Cost, ImageData, Outcome, Recipe, design_cost, sites, train
from trainers.data import VALIDATION_SPLIT
from trainers.environment import pick_device
from trainers.factories import versioned
from trainers.proxy import way_of
from trainers.proxy_run import steps_an_epoch
from trainers.way import Way

EpochReport = Callable[[dict[str, float]], None]


def data_hash(data: ImageData) -> str:
    """What rows know the data by: other validation images would be other data."""
    return hashlib.sha256(f"{data.content_hash} {VALIDATION_SPLIT}".encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Setting:
    """Everything an evaluation needs but the design and the seed."""

    data: ImageData
    backbone: str
    recipe: Recipe
    split: str = "validation"
    device: str | None = None
    precision: str = "auto"
    fused: bool | None = None
    chosen: Way | None = None  # for all processes, whatever each would find best

    def way(self, trainings: int = 1) -> Way:
        """How `train` carries a training out, or would for a process with so many."""
        if self.chosen is not None:
            return self.chosen
        options: dict[str, Any] = {"precision": self.precision, "fused": self.fused, "trainings": trainings}
        return way_of(self.data, self.recipe, backbone=self.backbone, device=pick_device(self.device), **options)

    def decided(self, trainings: int = 1) -> Setting:
        """With what is measured to be fastest here, where it is not given, for a process with so many `trainings`."""
        way = self.way(trainings)
        return replace(self, precision=way.precision, fused=way.fused, chosen=way)

    @property
    def steps_an_epoch(self) -> int:
        return steps_an_epoch(self.data, self.recipe)

    def check(self, design: AttentionDesign | Layered) -> None:
        """Raises `DesignError` if the design is impossible on this backbone at this image size."""
        check(design, sites(self.backbone, self.data.image_size, design))

    def cost(self, design: AttentionDesign | Layered) -> Cost:
        return design_cost(design, self.backbone, self.data.image_size, self.data.num_classes)

    def network_key(self, design: AttentionDesign | Layered) -> str:
        return key_on(design, self.backbone, self.data.image_size, self.data.num_classes, scale=self.recipe.scale)

    def row(
        self,
        design: AttentionDesign | Layered,
        seed: int,
        *,
        epochs: int | None = None,
        cost: Cost | None = None,
        network_key: str | None = None,
    ) -> Row:
        """The running row that claims the evaluation up to `epochs`; cost and key are taken where they are known."""
        context = self.context | ({} if epochs is None else {"epochs": epochs})
        return running_row(design, seed, context, scale=self.recipe.scale, cost=cost, key=network_key)

    def train(
        self,
        design: AttentionDesign | Layered,
        seed: int,
        *,
        until: int | None = None,
        checkpoint: Path | None = None,
        on_epoch: EpochReport | None = None,
        on_step: Callable[[], None] | None = None,
    ) -> Outcome:
        """One training, to the end or `until` an epoch (see `trainers.train`)."""
        return train(
            design,
            self.data,
            backbone=self.backbone,
            recipe=self.recipe,
            seed=seed,
            split=self.split,
            device=self.device,
            precision=self.precision,
            fused=self.fused,
            way=self.chosen,
            until=until,
            checkpoint=checkpoint,
            on_epoch=on_epoch,
            on_step=on_step,
        )

    @property
    def context(self) -> dict[str, Any]:
        """The columns that agree between rows that may be compared."""
        return {
            "data": self.data.name,
            "data_hash": data_hash(self.data),
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
    keep_recipe(setting.recipe, store)
    return record(setting.row(design, seed), store, lambda: setting.train(design, seed, on_epoch=on_epoch))
