"""Everything a search is asked for, as one value that other processes can be given, and the study it comes to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from results.store import Store
from results.studies import Study as StoredStudy
from search.candidates import Candidates, Limits, candidates
from search.halving import Rungs, rungs
from search.lookout import SearchError
from search.objective import Setting
from search.objectives import Objectives
from search.proposals import Plan
from search.samplers import DEFAULT_SAMPLER, SAMPLERS
from search.seeds import seeds_from
from search.study import Study
from search.warm_start import warm_start
from search_space import AttentionDesign, Layered, Space
from trainers import PROXY, ImageData, Recipe, load_data, sites
from trainers.proxy_run import check_batch_size
from trainers.way import Way


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

    def allowed(self, setting: Setting) -> Candidates:
        """What may be trained, which the whole space is looked at for. Raises `UserError` where nothing is."""
        check_batch_size(setting.data, setting.recipe)
        return candidates(self.space, setting, self.limits, self._named(setting))

    def study(
        self, setting: Setting, store: Store, *, study_id: str | None = None, allowed: Candidates | None = None
    ) -> Study:
        """The study; `allowed` is that of the request, where it is known already."""
        allowed = allowed or self.allowed(setting)
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


def make_request(
    space: Space,
    *,
    recipe: Recipe,
    epochs: int | None,
    seed: int,
    replicates: int,
    objectives: str | Objectives,
    halving: bool,
    factor: int,
    shortest: int,
    bracket: int,
    warm_start_from: str | Sequence[AttentionDesign | Layered],
    sampler: str,
    **given: object,
) -> Request:
    """The request that these words come to; everything that needs no data is checked. Raises `UserError`."""
    if sampler not in SAMPLERS:
        raise SearchError(f"sampler: {sampler!r} given; allowed: {', '.join(SAMPLERS)}.")
    if replicates < 1:
        raise SearchError(f"replicates: {replicates} given; allowed: 1 or more.")
    seeds_from(seed, replicates)
    chosen = recipe if epochs is None else recipe.changed(epochs=epochs)
    steps = rungs(chosen.epochs, halving=halving, factor=factor, shortest=shortest, bracket=bracket)
    if steps.halves:
        chosen = chosen.held()
        check_checkpoints(given.get("checkpoints"))
    request = Request(
        space=space,
        recipe=chosen,
        objectives=Objectives.parse(objectives) if isinstance(objectives, str) else objectives,
        rungs=steps,
        seeds=tuple(range(seed, seed + replicates)),
        sampler=sampler,
        first=warm_start(warm_start_from, space),
        **given,  # type: ignore[arg-type]
    )
    data = request.data
    sites(request.backbone, request.image_size if isinstance(data, str) else data.image_size)
    return request


def check_checkpoints(folder: object) -> None:
    """Raises `SearchError` where no folder can be."""
    if isinstance(folder, Path) and folder.exists() and not folder.is_dir():
        raise SearchError(f"checkpoints: {folder} is a file; give a folder, which may be new.")


def checkpoints_beside(url: str) -> Path:
    """Where the undecayed states between rungs lie unless told: beside a SQLite file, else in the current folder."""
    kind, _, path = url.partition(":///")
    beside = kind.startswith("sqlite") and path not in ("", ":memory:")
    return Path(f"{path}.checkpoints") if beside else Path("attnas.checkpoints")
