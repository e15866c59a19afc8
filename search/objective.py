"""One evaluation: design + seed -> row. Answered from the store if it is there, trained and recorded if not."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from results.lease import heartbeat, this_owner
from results.row import Row
from results.store import Store
from search_space import AttentionDesign
from search_space.sites import check, network_key
from trainers import ImageData, Recipe, design_cost, sites, train
from trainers.data import VALIDATION_SPLIT

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

    def check(self, design: AttentionDesign) -> None:
        """Raises `DesignError` if the design is impossible on this backbone at this image size."""
        check(design, sites(self.backbone, self.data.image_size))

    def network_key(self, design: AttentionDesign) -> str:
        return network_key(
            design,
            backbone=self.backbone,
            image_size=self.data.image_size,
            num_classes=self.data.num_classes,
            sites=sites(self.backbone, self.data.image_size),
            scale=self.recipe.scale,
        )

    def row(self, design: AttentionDesign, seed: int) -> Row:
        """The running row that claims the evaluation."""
        cost = design_cost(design, self.backbone, self.data.image_size, self.data.num_classes)
        now = time.time()
        return Row(
            network_key=self.network_key(design),
            **self.context,
            seed=seed,
            key=design.key,
            design=str(design),
            status="running",
            macs=cost.macs,
            macs_convention=cost.convention,
            params=cost.params,
            owner=this_owner(),
            heartbeat=now,
            started=now,
        )

    @property
    def context(self) -> dict[str, Any]:
        """The columns that agree between rows that may be compared."""
        rule = f"{self.data.content_hash} {VALIDATION_SPLIT}"  # other validation images would be other data
        return {
            "data": self.data.name,
            "data_hash": hashlib.sha256(rule.encode()).hexdigest()[:32],
            "split": self.split,
            "backbone": self.backbone,
            "image_size": self.data.image_size,
            "num_classes": self.data.num_classes,
            "recipe": self.recipe.name,
            "recipe_hash": self.recipe.hash,
            "epochs": self.recipe.epochs,
            "schedule_epochs": self.recipe.epochs,
        }


def evaluate(
    design: AttentionDesign, seed: int, setting: Setting, store: Store, on_epoch: EpochReport | None = None
) -> tuple[Row, bool]:
    """The row of this evaluation, and whether it was trained now.

    A row that exists is the answer: complete, failed, or running in another live process. A training that is
    interrupted gives its claim back, so that the same command can begin it again. Raises `DesignError`.
    """
    setting.check(design)
    row = setting.row(design, seed)
    found = store.claim(row)
    if found is not None:
        return found, False
    assert row.owner is not None
    try:
        with heartbeat(store, row.identity, row.owner):
            outcome = train(
                design,
                setting.data,
                backbone=setting.backbone,
                recipe=setting.recipe,
                seed=seed,
                split=setting.split,
                device=setting.device,
                precision=setting.precision,
                on_epoch=on_epoch,
            )
    except BaseException:
        store.release(row.identity, row.owner)
        raise
    finished = replace(
        row,
        status=outcome.status,
        failure=outcome.failure,
        error=outcome.error,
        accuracy=outcome.accuracy,
        loss=outcome.loss,
        curves=outcome.curves,
        seconds=outcome.seconds,
        peak_memory_bytes=outcome.peak_memory_bytes,
        precision=outcome.precision,
        hardware=outcome.hardware,
        versions=outcome.versions,
        commit=outcome.commit,
        finished=time.time(),
    )
    store.finish(finished)
    return finished, True
