"""Everything a search is asked for, as one value that other processes can be given, and the study it comes to."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from results.store import Store
from results.studies import Study as StoredStudy
from search.candidates import Limits, candidates
from search.halving import Rungs
from search.objective import Setting
from search.objectives import Objectives
from search.proposals import Plan
from search.samplers import DEFAULT_SAMPLER
from search.study import Study
from search_space import AttentionDesign, Layered, Space
from trainers import PROXY, ImageData, Recipe, load_data
from trainers.ways import Way


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to search. Two requests with the same `config` are the same study, however they are carried out."""

    space: Space = field(default_factory=Space)
    data: str | ImageData = "synthetic"
    data_dir: Path | None = None
    skip_corrupt: bool = False
    image_size: int = 32
    backbone: str = "resnet20"
    recipe: Recipe = PROXY
    objectives: Objectives = field(default_factory=Objectives)
    limits: Limits = field(default_factory=Limits)
    rungs: Rungs
    seeds: tuple[int, ...] = (0,)
    sampler: str = DEFAULT_SAMPLER
    first: tuple[AttentionDesign | Layered, ...] = ()
    device: str | None = None
    precision: str = "auto"
    fused: bool | None = None
    way: Way | None = None  # all that was chosen for every worker of this machine
    threads: int = 1
    timeout_seconds: float | None = None
    checkpoints: Path | None = None

    def setting(self) -> Setting:
        """With the data loaded. Raises `UserError`."""
        data = self.data
        if isinstance(data, str):
            data = load_data(data, image_size=self.image_size, data_dir=self.data_dir, skip_corrupt=self.skip_corrupt)
        options: dict[str, Any] = {"device": self.device, "precision": self.precision, "fused": self.fused}
        return Setting(data, self.backbone, self.recipe, **options, chosen=self.way)

    def study(self, setting: Setting, store: Store, *, study_id: str | None = None) -> Study:
        """The study with what its candidates are. Raises `UserError` where none is allowed."""
        allowed = candidates(self.space, setting, self.limits, self._named(setting))
        plan = Plan(
            space=self.space,
            objectives=self.objectives,
            rungs=self.rungs,
            seeds=self.seeds,
            sampler=self.sampler,
            max_latency=self.limits.latency,
        )
        return Study(plan, setting, store, allowed, first=self.first, study_id=study_id, checkpoints=self.checkpoints)

    def begin(self, setting: Setting, store: Store, name: str | None) -> StoredStudy:
        """The study as it is stored from now on. Raises `StudyError` where this name asks for something else."""
        return store.studies.begin(self.config(setting), name, self.default_name(setting), sampler=self.sampler)

    def config(self, setting: Setting) -> dict[str, Any]:
        """What makes the study this one, as JSON values."""
        return {
            **setting.context,
            "seeds": list(self.seeds),
            "space": {axis: list(values) for axis, values in self.space.axes().items()},
            "objectives": str(self.objectives),
            "rungs": list(self.rungs.epochs),
            "factor": self.rungs.factor,
            "limits": {name: limit for name, limit in asdict(self.limits).items() if limit is not None},
        }

    def default_name(self, setting: Setting) -> str:
        """`cifar100-resnet20-proxy-10`: what people would call it."""
        words = f"{setting.data.name}-{self.backbone}-{self.recipe.name}-{self.recipe.epochs}"
        return re.sub(r"[^A-Za-z0-9._+-]+", "-", words).strip("-")[:80]

    def _named(self, setting: Setting) -> tuple[AttentionDesign | Layered, ...]:
        """Designs asked for by name that the space doesn't hold."""
        known = set(self.space.designs())
        return tuple(design for design in self.first if design not in known)
