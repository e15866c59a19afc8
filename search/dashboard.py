"""A picture of studies that optuna-dashboard opens. Written, never read: the rows stay the truth."""

from __future__ import annotations

import math
import os
import sqlite3
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from results.row import MEASURED, Row
from results.store import Store
from results.studies import Study
from search.objectives import Objectives
from search.study_rows import StoredStudy, by_trial, design_of
from search_space import AttentionDesign, Space, UserError

_STATES = {"complete": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}


def write_dashboard(
    store: Store,
    studies: Sequence[Study],
    output: Path,
    *,
    overwrite: bool = False,
    on_trial: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Write an Optuna storage (SQLite) of `studies`; returns {study: trials}.

    One Optuna trial is one trial of ours, a network with a seed, as its row of the most epochs says: complete is
    COMPLETE, stopped is PRUNED, failed is FAIL with the error; what is only running is left out. Its parameters are the
    space's choices. The file appears whole or not at all. Optuna takes about 0.01 s a trial, and `on_trial` is told
    how many of how many are done. Raises `UserError`.
    """
    if not studies:
        raise UserError("there is no study in this storage; `attnas search` begins one.")
    source = store.engine.url.database
    if store.engine.dialect.name == "sqlite" and source and output.resolve() == Path(source).resolve():
        raise UserError(f"{output} is the storage itself, which holds the rows; give another file for the dashboard.")
    if output.exists() and not overwrite:
        raise UserError(f"{output} exists; give another file, or --force to write over it.")
    beside = output.absolute().with_name(f".{output.name}.{os.getpid()}")
    try:
        beside.touch()
    except OSError as error:
        raise UserError(f"{output} can't be written: {error.strerror}; give a file in a folder that can be.") from None
    try:
        written = _write(store, studies, beside, on_trial or (lambda done, total: None))
        beside.replace(output)
    finally:
        beside.unlink(missing_ok=True)
    return written


def _write(store: Store, studies: Sequence[Study], path: Path, on_trial: Callable[[int, int], None]) -> dict[str, int]:
    trials = {study.name: _trials(StoredStudy(study), store) for study in studies}
    total, done = sum(map(len, trials.values())), 0
    storage = RDBStorage(f"sqlite:///{path}", engine_kwargs={"creator": lambda: _connection(path)})
    try:
        for study in studies:
            into = _optuna_study(study, StoredStudy(study).objectives, storage)
            for trial in trials[study.name]:
                into.add_trial(trial)
                done += 1
                on_trial(done, total)
    finally:
        storage.remove_session()
        storage.engine.dispose()
    return {name: len(found) for name, found in trials.items()}


def _connection(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA synchronous = OFF")  # a commit a trial; what a crash leaves is thrown away
    connection.execute("PRAGMA journal_mode = MEMORY")
    return connection


def _optuna_study(study: Study, objectives: Objectives, storage: RDBStorage) -> optuna.Study:
    up, down = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
    directions = [up if name == "accuracy" else down for name in objectives.names]
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        made = optuna.create_study(storage=storage, study_name=study.name, directions=directions)
    finally:
        optuna.logging.set_verbosity(level)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        made.set_metric_names(list(objectives.names))
    made.set_user_attr("attnas", {name: value for name, value in study.config.items() if name != "space"})
    return made


def _trials(study: StoredStudy, store: Store) -> list[FrozenTrial]:
    space = study.space
    axes: dict[str, BaseDistribution] = {axis: CategoricalDistribution(values) for axis, values in space.axes().items()}
    found = []
    for rungs in by_trial(study.rows(store)).values():
        ended = {epochs: row for epochs, row in rungs.items() if row.status in _STATES}
        if ended:
            found.append(_trial(ended, _params(ended[max(ended)], space), axes, study.objectives, store))
    return found


def _params(row: Row, space: Space) -> dict[str, Any]:
    """The choices of the space that lead to the row's design; none if it was asked for from outside the space."""
    design = design_of(row)
    if not isinstance(design, AttentionDesign):
        return {}
    try:
        return dict(space.choices(design))
    except UserError:
        return {}


def _trial(
    rungs: dict[int, Row],
    params: dict[str, Any],
    axes: dict[str, BaseDistribution],
    objectives: Objectives,
    store: Store,
) -> FrozenTrial:
    last = rungs[max(rungs)]
    state = _STATES[last.status]
    values = shown_values(last, objectives)
    if state is TrialState.COMPLETE and not all(map(math.isfinite, values.values())):
        state = TrialState.PRUNED  # a latency or a memory that was not measured: Optuna takes no complete trial so
    trial = create_trial(
        state=state,
        values=list(values.values()) if state is TrialState.COMPLETE else None,
        params=params,
        distributions={axis: axes[axis] for axis in params},
        user_attrs=_attributes(last, rungs, values, store),
        intermediate_values={
            epochs: shown_values(row, objectives)[objectives.quality]
            for epochs, row in sorted(rungs.items())
            if row.status in MEASURED
        },
    )
    begun = [row.started for row in rungs.values() if row.started is not None]
    trial.datetime_start = _when(min(begun, default=last.finished))
    trial.datetime_complete = _when(last.finished)
    return trial


def shown_values(row: Row, objectives: Objectives) -> dict[str, float]:
    """The objectives as people know them: accuracy as a fraction that should be high."""
    values = dict(zip(objectives.names, objectives.values(row), strict=True))
    return values | ({"accuracy": 1 - values["accuracy"]} if "accuracy" in values else {})


def _attributes(last: Row, rungs: dict[int, Row], values: dict[str, float], store: Store) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if last.status == "stopped":
        found = {name: value for name, value in values.items() if math.isfinite(value)} | {"rung": last.epochs}
    found |= {"design": last.design, "macs": last.macs, "params": last.params}
    found |= {"epochs": last.epochs, "seed": last.seed, "network": last.network_key, "rows": sorted(rungs)}
    if last.status == "failed":
        whole = store.get(last.identity)
        found |= {"failure": last.failure, "error": None if whole is None else whole.error}
    return found


def _when(seconds: float | None) -> datetime:
    return datetime.fromtimestamp(seconds or 0.0)  # local, without a zone: what Optuna's own trials carry
