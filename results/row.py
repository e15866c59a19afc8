"""One evaluation: the only durable truth. Means, intervals and rankings are computed from rows when asked."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, fields
from typing import Any

STATUSES = ("running", "complete", "stopped", "failed")
MEASURED = ("complete", "stopped")
"""The statuses of rows that have an accuracy and a loss."""
FAILURES = ("oom", "nan", "bug", "infra", "timeout")
SPLITS = ("validation", "test")

IDENTITY = ("network_key", "recipe_hash", "data_hash", "split", "epochs", "schedule_epochs", "seed")
"""The fields that name an evaluation: two rows that agree in all of them are the same evaluation."""

CONTEXT = (
    "data_hash",
    "split",
    "backbone",
    "image_size",
    "num_classes",
    "recipe_hash",
    "epochs",
    "schedule_epochs",
)
"""Rows are ranked together only if all of these agree."""

LABELS = ("data", "recipe")
"""What people call `data_hash` and `recipe_hash`: a renamed folder is the same data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One evaluation of one network: what it is, how it ended, what it cost and where it ran.

    Times are unix seconds (UTC), `accuracy` is a fraction, `macs` are multiply-accumulates counted under
    `macs_convention`. `key` and `design` are the canonical and the written text form of the attention design;
    `settled` is the text of the design that the training chose, where the design leaves a choice to it.

    A row is "complete" at the end of its schedule, "stopped" at a rung below it (`epochs` < `schedule_epochs`) and
    measured all the same, "failed" without a measurement.
    """

    network_key: str
    recipe_hash: str
    data_hash: str
    split: str
    epochs: int
    schedule_epochs: int  # the length of the learning-rate schedule: a run may stop before its end
    seed: int

    key: str
    design: str
    data: str
    backbone: str
    image_size: int
    num_classes: int
    recipe: str

    status: str
    failure: str | None = None
    error: str | None = None
    accuracy: float | None = None
    loss: float | None = None
    settled: str | None = None
    curves: list[dict[str, Any]] = field(default_factory=list)

    macs: int
    macs_convention: str
    params: int

    seconds: float | None = None
    peak_memory_bytes: int | None = None
    precision: str | None = None
    hardware: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    commit: str | None = None

    owner: str | None = None
    heartbeat: float | None = None
    started: float | None = None
    finished: float | None = None

    study: str | None = None  # the id of the study that had it trained
    attempts: int = 1  # how many owners began it
    latency_seconds: float | None = None
    epochs_trained: float | None = None  # by this evaluation alone, less what a checkpoint gave; planned while running
    progress: float | None = None  # epochs done when its owner was last heard

    def __post_init__(self) -> None:
        assert self.status in STATUSES, f"status {self.status!r} is none of {STATUSES}"
        assert self.split in SPLITS, f"split {self.split!r} is none of {SPLITS}"
        assert self.attempts >= 1, f"attempts {self.attempts} of a row that somebody began"
        if self.status in MEASURED:
            assert self.accuracy is not None and 0 <= self.accuracy <= 1, f"accuracy {self.accuracy} is no fraction"
            assert self.loss is not None and math.isfinite(self.loss), f"loss {self.loss} of a {self.status} row"
        if self.status == "stopped":
            assert self.epochs < self.schedule_epochs, "a row that reached the end of its schedule is complete"
        if self.status == "failed":
            assert self.failure in FAILURES, f"failure {self.failure!r} is none of {FAILURES}"

    @property
    def identity(self) -> str:
        """32 hex digits: the first half of the SHA-256 of the canonical JSON of the `IDENTITY` fields."""
        named = {name: getattr(self, name) for name in IDENTITY}
        text = json.dumps(named, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


COLUMNS = ("identity", *(f.name for f in fields(Row)))
"""Every column of the table and of `Store.frame`, in this order."""
