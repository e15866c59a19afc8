"""The search: propose, step aside from what is known, evaluate, record, until there are enough rows."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from results.row import CONTEXT, Row
from results.store import Store, lease_is_dead
from search.objective import EpochReport, Setting, evaluate
from search.optuna_engine import OptunaEngine
from search_space import NONE, AttentionDesign, DesignError, Layered, Space, UserError
from trainers import PROXY, Cost, ImageData, Recipe, load_data, sites

ENGINES = ("optuna",)
COSTS = ("macs", "params")
_DRAWS = 20  # proposals without a new network among them, before one next to them is taken


class SearchError(UserError):
    """A search that can't be run as asked."""


_BREAKER = 3
_BREAKING = ("bug", "oom")  # nan belongs to the design; these come back with the next one


def _broken(row: Row) -> SearchError:
    cause = (row.error or "").strip().splitlines()
    return SearchError(
        f"stopped: {_BREAKER} trainings in a row failed ({row.failure}). The last said: {cause[-1] if cause else '?'} "
        f"Finished rows are kept; `attnas results show {row.design}` prints the traceback."
    )


class Report(Protocol):
    """What a search tells whoever watches it."""

    def begin(self, trials: int, known: list[Row], candidates: dict[str, Candidate], left_out: int) -> None: ...
    def trial(self, candidate: Candidate) -> EpochReport: ...
    def row(self, row: Row, trained: bool) -> None: ...


class Silent:
    """A report that says nothing."""

    def begin(self, trials: int, known: list[Row], candidates: dict[str, Candidate], left_out: int) -> None: ...

    def trial(self, candidate: Candidate) -> EpochReport:
        return lambda record: None

    def row(self, row: Row, trained: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """A distinct network that may be trained."""

    design: AttentionDesign | Layered
    cost: Cost


def search(
    space: Space,
    *,
    store: Store,
    trials: int,
    data: str | ImageData = "synthetic",
    data_dir: Path | None = None,
    backbone: str = "resnet20",
    recipe: Recipe = PROXY,
    epochs: int | None = None,
    seed: int = 0,
    engine: str = "optuna",
    minimise: str = "macs",
    max_macs: float | None = None,
    max_params: float | None = None,
    image_size: int = 32,
    device: str | None = None,
    precision: str = "auto",
    report: Report | None = None,
) -> list[Row]:
    """Evaluate `trials` distinct designs of `space` with training seed `seed`; return their rows, oldest first.

    Rows that the store already holds for this data, backbone, recipe, fidelity and seed count and are never trained
    again, so the same call resumes. Designs over `max_macs` or `max_params`, or impossible on the backbone, are
    never trained. Ends early, with fewer rows, when every allowed network has one. Raises `UserError`.
    """
    check_request(trials, engine, minimise, seed, max_macs=max_macs, max_params=max_params)
    sites(backbone, image_size if isinstance(data, str) else data.image_size)  # before data are fetched
    loaded = load_data(data, image_size=image_size, data_dir=data_dir) if isinstance(data, str) else data
    setting = Setting(
        loaded,
        backbone,
        recipe if epochs is None else recipe.changed(epochs=epochs),
        device=device,
        precision=precision,
    )
    candidates, left_out = allowed(space, setting, max_macs=max_macs, max_params=max_params)
    study = _Study(space, setting, store, seed, candidates, minimise)
    study.sweep()
    watch = report or Silent()
    watch.begin(trials, study.finished(), candidates, left_out)
    broken = 0
    while (key := study.next(trials)) is not None:
        candidate = candidates[key]
        row, trained = evaluate(candidate.design, seed, setting, store, watch.trial(candidate))
        watch.row(row, trained)
        broken = broken + 1 if row.failure in _BREAKING else 0
        if broken == _BREAKER:
            raise _broken(row)
    return study.finished()


def check_request(
    trials: int,
    engine: str,
    minimise: str,
    seed: int,
    *,
    max_macs: float | None = None,
    max_params: float | None = None,
) -> None:
    """Raises `SearchError`; cheap, so that a typing error is told before data are loaded or a storage is made."""
    if trials < 1:
        raise SearchError(f"trials: {trials} given; allowed: 1 or more.")
    if engine not in ENGINES:
        raise SearchError(f"engine: {engine!r} given; allowed: {', '.join(ENGINES)}.")
    if minimise not in COSTS:
        raise SearchError(f"cost to minimise: {minimise!r} given; allowed: {', '.join(COSTS)}.")
    check_seed(seed)
    for name, limit in (("max MACs", max_macs), ("max params", max_params)):
        if limit is not None and not limit > 0:
            raise SearchError(f"{name}: {limit} given; allowed: a number above 0.")


def check_seed(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise SearchError(f"seed: {seed} given; allowed: 0 to 2^63 - 1.")


def allowed(
    space: Space, setting: Setting, *, max_macs: float | None = None, max_params: float | None = None
) -> tuple[dict[str, Candidate], int]:
    """The distinct networks within the limits by network key, and how many distinct designs were left out."""
    found: dict[str, Candidate] = {}
    refused: set[str] = set()
    impossible: DesignError | None = None
    dear = False
    for design in space.designs():
        try:
            setting.check(design)
        except DesignError as error:
            impossible = error
            refused.add(design.key)
            continue
        cost = setting.cost(design)
        if (max_macs is not None and cost.macs > max_macs) or (max_params is not None and cost.params > max_params):
            dear = True
            refused.add(design.key)
            continue
        found.setdefault(setting.network_key(design), Candidate(design, cost))
    if not found:
        why = f"every possible one is over max MACs {max_macs} or max params {max_params}" if dear else str(impossible)
        raise SearchError(
            f"no design of the space is allowed on {setting.backbone} at {setting.data.image_size} px: {why}. "
            f"`attnas cost none --backbone {setting.backbone}` prints what the network costs without attention."
        )
    return found, len(refused - {candidate.design.key for candidate in found.values()})


class _Study:
    """Which network is next: the engine's proposals, less those that exist, are running, or are not allowed."""

    def __init__(
        self,
        space: Space,
        setting: Setting,
        store: Store,
        seed: int,
        candidates: dict[str, Candidate],
        minimise: str,
    ) -> None:
        self.space, self.setting, self.store, self.seed = space, setting, store, seed
        self.candidates = candidates
        self.minimise = minimise
        self.engine = OptunaEngine(space, seed)
        self.told: set[str] = set()

    def rows(self) -> list[Row]:
        """Oldest first, running ones included."""
        same = {name: value for name, value in self.setting.context.items() if name in CONTEXT}
        found = self.store.rows(**same, seed=self.seed)
        return [row for row in found if row.network_key in self.candidates]

    def sweep(self) -> None:
        """Remove the running rows that killed processes left: what they were at may never be proposed again."""
        for row in self.rows():
            if row.owner is not None and lease_is_dead(row):
                self.store.release(row.identity, row.owner)

    def finished(self) -> list[Row]:
        """Complete and failed rows, oldest first."""
        return [row for row in self.rows() if row.status != "running"]

    def next(self, trials: int) -> str | None:
        """The network key to evaluate now; None if there are enough or none is left.

        What a live process is at counts as taken; what a killed one left behind is free again.
        """
        rows = [row for row in self.rows() if not lease_is_dead(row)]
        unseen = self.candidates.keys() - {row.network_key for row in rows}
        if len(rows) >= trials or not unseen:
            return None
        finished = [row for row in rows if row.status != "running"]
        for row in finished:
            self._tell(row)
        choose = random.Random(f"{self.seed} {len(finished)}").choice
        seen = []
        for design in map(self.engine.propose, range(_DRAWS)):
            if design is None:
                continue
            key = self.setting.network_key(design)
            if key in unseen:
                return key
            seen.append(design)
        near = (unseen & self._neighbours(design) for design in seen)
        return choose(sorted(next(filter(None, near), unseen)))

    def _neighbours(self, design: AttentionDesign) -> set[str]:
        """Networks one axis away: where TPE proposes only what it knows to be good, next to it is the best guess.

        `none` has no axis but the squeeze, so everything is next to it and nothing is learned from that.
        """
        if design == NONE:
            return set()
        near = self.space.neighbours(design)
        return {self.setting.network_key(other) for other in near}

    def _tell(self, row: Row) -> None:
        if row.network_key in self.told:
            return
        self.told.add(row.network_key)
        if row.accuracy is not None:
            candidate = self.candidates[row.network_key]
            assert isinstance(candidate.design, AttentionDesign), "every design of a space is the same at all places"
            self.engine.tell(candidate.design, row.accuracy, getattr(candidate.cost, self.minimise))
