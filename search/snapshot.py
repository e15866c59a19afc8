"""A study at one moment, as a value that another thread may draw: where it stands, what is best, what runs."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from results.ranks import nondominated_ranks
from results.row import MEASURED, Row
from search.budget import Budget
from search.estimate import alive_rows, seconds_left
from search.mirror import Trial
from search.objectives import Objectives
from search.study import Study


@dataclass(frozen=True, slots=True)
class Standing:
    """A network measured at one fidelity: the mean over `n` seeds of each objective, in the unit of the table."""

    design: str
    n: int
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Networks measured at one number of epochs, best quality first; `front` are those that no other beats."""

    epochs: int | None = None
    measured: int = 0
    best: Standing | None = None
    front: tuple[Standing, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`trials`: how many were begun, by the state of the last row of each; `rungs`: rows finished at each."""

    trials: int = 0
    states: Counter[str] = field(default_factory=Counter)
    rungs: dict[int, int] = field(default_factory=dict)
    promoted: int = 0
    epochs: float = 0.0
    running: tuple[Row, ...] = ()
    failures: Counter[str] = field(default_factory=Counter)
    ranking: Ranking = field(default_factory=Ranking)
    seconds_left: float | None = None
    taken: float = 0.0  # unix seconds


class Photographer:
    """Takes snapshots; what only a finished row can change is counted again only then."""

    def __init__(self, study: Study, budget: Budget) -> None:
        self.study, self.budget = study, budget
        self.deadline = None if budget.seconds is None else time.time() + budget.seconds
        self._counted = -1
        self._states: dict[Trial, Row] = {}
        self._ranking = Ranking()
        self._rungs: dict[int, int] = {}

    def take(self) -> Snapshot:
        study = self.study
        if self._counted != len(study.mirror.finished):
            self._counted = len(study.mirror.finished)
            self._states = last_rows(study)
            self._ranking = ranking(study)
            self._rungs = {rung: len(study.mirror.at_rung[rung]) for rung in study.plan.rungs.epochs}
        running = tuple(alive_rows(study))
        states = {trial: row.status for trial, row in self._states.items()}
        states |= {(row.network_key, row.seed): "running" for row in running}
        first = study.plan.rungs.epochs[0]
        return Snapshot(
            trials=study.mirror.trials,
            states=Counter(states.values()),
            rungs=self._rungs,
            promoted=sum(number for rung, number in self._rungs.items() if rung != first),
            epochs=study.mirror.epochs,
            running=running,
            failures=study.mirror.failures(),
            ranking=self._ranking,
            seconds_left=seconds_left(study, self.budget, self.deadline),
            taken=time.time(),
        )


def last_rows(study: Study) -> dict[Trial, Row]:
    """The finished row of the most epochs of each trial, in the order in which trials first finished one."""
    last: dict[Trial, Row] = {}
    for row in study.mirror.finished.values():
        known = last.setdefault((row.network_key, row.seed), row)
        if row.epochs > known.epochs:
            last[row.network_key, row.seed] = row
    return last


def ranking(study: Study) -> Ranking:
    """Of the most epochs that any network has been measured at: different fidelities are never compared."""
    measured = [row for row in study.mirror.finished.values() if row.status in MEASURED]
    if not measured:
        return Ranking()
    epochs = max(row.epochs for row in measured)
    networks: dict[str, list[Row]] = {}
    for row in measured:
        if row.epochs == epochs:
            networks.setdefault(row.network_key, []).append(row)
    objectives = study.plan.objectives
    minimised = {key: objectives.mean(rows) for key, rows in networks.items()}
    ranks = dict(zip(minimised, nondominated_ranks(list(minimised.values())), strict=True))
    quality = objectives.names.index(objectives.quality)
    order = sorted(minimised, key=lambda key: (minimised[key][quality], minimised[key]))
    found = {key: _standing(networks[key], minimised[key], objectives) for key in order}
    front = tuple(found[key] for key in order if ranks[key] == 0)
    return Ranking(epochs, len(networks), found[order[0]], front)


def _standing(rows: list[Row], minimised: tuple[float, ...], objectives: Objectives) -> Standing:
    values = dict(zip(objectives.names, minimised, strict=True))
    if "accuracy" in values:
        values["accuracy"] = 1 - values["accuracy"]
    return Standing(rows[0].design, len(rows), values)
