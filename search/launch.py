"""`search`: from what was asked for to the rows, with one worker, several, or Ray's."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from sqlalchemy.exc import DBAPIError

from results.retry import may_pass, unless_lost
from results.row import Row
from results.store import Store
from search.at_once import decided
from search.budget import Budget, Stop
from search.candidates import Candidates, Limits
from search.cores import AUTO, Workers
from search.latency import check_hardware
from search.lookout import Report, SearchError, Silent
from search.objective import Setting
from search.objectives import Objectives
from search.recording import keep_recipe
from search.request import Request, checkpoints_beside, make_request
from search.samplers import DEFAULT_SAMPLER
from search.study import Study
from search.worker import work
from search_space import AttentionDesign, Layered, Space
from trainers import PROXY, ImageData, Recipe

ENGINES = ("optuna", "ray")


def search(
    space: Space | None = None,
    *,
    store: Store,
    trials: int | None = 100,
    epochs_total: float | None = None,
    seconds: float | None = None,
    data: str | ImageData = "synthetic",
    data_dir: Path | None = None,
    skip_corrupt: bool = False,
    backbone: str = "resnet20",
    recipe: Recipe = PROXY,
    epochs: int | None = None,
    seed: int = 0,
    replicates: int = 1,
    engine: str = "optuna",
    workers: Workers = None,
    address: str | None = None,
    devices_per_worker: float | None = None,
    sampler: str = DEFAULT_SAMPLER,
    objectives: str | Objectives = "accuracy,macs",
    halving: bool = True,
    factor: int = 3,
    shortest: int = 1,
    bracket: int = 0,
    warm_start_from: str | Sequence[AttentionDesign | Layered] = "presets",
    max_macs: float | None = None,
    max_params: float | None = None,
    max_latency: float | None = None,
    image_size: int = 32,
    device: str | None = None,
    precision: str = "auto",
    fused: bool | None = None,
    threads: int = 1,
    timeout_seconds: float | None = None,
    checkpoints: Path | None = None,
    retry_failed: bool = False,
    study: str | None = None,
    stop: Stop | None = None,
    report: Report | None = None,
) -> list[Row]:
    """Evaluate designs of `space` until a budget is spent; return the study's rows in the order of their commits.

    A trial is one network with one seed. `trials`, `epochs_total` and the rows count over all runs and workers of the
    study, so the same call resumes and never trains again what the store holds; `seconds` is for this run. `workers`
    is 1 unless given, and with Ray as many as the cluster holds; `auto`: as many as are measured to be fastest. With
    `halving` a trial goes from rung to rung (see `search.halving`) under the schedule `constant`; without, each is
    trained to the end under the recipe's own. Raises `UserError`; KeyboardInterrupt after a graceful end on SIGINT.
    """
    request = make_request(
        space or Space(),
        data=data,
        data_dir=data_dir,
        skip_corrupt=skip_corrupt,
        backbone=backbone,
        recipe=recipe,
        epochs=epochs,
        seed=seed,
        replicates=replicates,
        sampler=sampler,
        objectives=objectives,
        halving=halving,
        factor=factor,
        shortest=shortest,
        bracket=bracket,
        warm_start_from=warm_start_from,
        limits=Limits(macs=max_macs, params=max_params, latency=max_latency),
        image_size=image_size,
        device=device,
        precision=precision,
        fused=fused,
        threads=threads,
        timeout_seconds=timeout_seconds,
        checkpoints=checkpoints or checkpoints_beside(store.url),
    )
    check_engine(engine, workers, address=address, devices_per_worker=devices_per_worker)
    return run(
        request,
        Budget(trials=trials, epochs=epochs_total, seconds=seconds),
        store,
        engine=engine,
        workers=workers,
        address=address,
        devices_per_worker=devices_per_worker,
        retry_failed=retry_failed,
        name=study,
        stop=stop,
        report=report,
    )


def run(
    request: Request,
    budget: Budget,
    store: Store,
    *,
    engine: str = "optuna",
    workers: Workers = None,
    address: str | None = None,
    devices_per_worker: float | None = None,
    retry_failed: bool = False,
    name: str | None = None,
    setting: Setting | None = None,
    allowed: Candidates | None = None,
    stop: Stop | None = None,
    report: Report | None = None,
) -> list[Row]:
    """Carry out a request; see `search`. `setting` and `allowed` are those of the request, where they are known."""
    watch, halt = report or Silent(), Stop() if stop is None else stop
    setting = setting or request.setting()
    torch.set_num_threads(request.threads)
    with _storage_errors():
        # may refuse: nothing is measured then, and no name left behind
        study = request.study(setting, store, allowed=allowed)
        unless_lost(study.sync)
        if study.latencies is not None:
            check_hardware(study.mirror.finished.values(), study.latencies)
        # measured once: a state between rungs is of one way to train, whichever worker goes on from it
        study.setting, number = decided(request, setting, budget, workers, engine=engine)
        request = carried_out(request, study.setting, engine)
        unless_lost(lambda: keep_recipe(setting.recipe, store))
        begun = unless_lost(lambda: request.begin(setting, store, name))
        study.id = begun.id
        study.mirror.forget()  # what was trained for this study outside its space is seen only now
        unless_lost(study.sync)
        revived = study.retry_failed() if retry_failed else 0
        study.measure_latencies()
        with halt.on_signals():
            if budget.seconds is not None:
                halt.deadline = time.time() + budget.seconds
            watch.begin(study, budget)
            if retry_failed:
                watch.say(f"{revived} failed evaluations are begun again")
            try:
                why = engine_run(
                    request,
                    study,
                    budget,
                    halt,
                    engine=engine,
                    workers=number,
                    address=address,
                    devices_per_worker=devices_per_worker,
                    report=watch,
                )
            finally:
                unless_lost(study.hand_back)
            watch.end(why)
    if stop is None and halt.signal is not None:
        raise KeyboardInterrupt
    return study.rows()


def carried_out(request: Request, setting: Setting, engine: str) -> Request:
    """With what was decided of this machine; of a cluster's machines each finds its own layout."""
    way = None if engine == "ray" else setting.chosen
    return replace(request, precision=setting.precision, fused=setting.fused, way=way)


def engine_run(
    request: Request,
    study: Study,
    budget: Budget,
    stop: Stop,
    *,
    engine: str,
    workers: int | None,
    address: str | None,
    devices_per_worker: float | None,
    report: Report,
) -> str:
    """Why it ended."""
    if engine == "ray":
        from search.ray_engine import run_ray

        return run_ray(
            request,
            study,
            budget,
            stop,
            workers=workers,
            address=address,
            devices_per_worker=devices_per_worker,
            report=report,
        )
    if workers is not None and workers > 1:
        from search.pool import run_pool

        return run_pool(request, study, budget, stop, workers=workers, report=report)
    return work(study, budget, stop, timeout_seconds=request.timeout_seconds, report=report)


@contextmanager
def _storage_errors() -> Iterator[None]:
    """A storage that went away while the search was told to stop is the user's to mend, not a traceback."""
    try:
        yield
    except DBAPIError as error:
        if not may_pass(error):
            raise
        raise SearchError(
            f"the storage does not answer: {' '.join(str(error.orig).split())}. What was finished is kept; when it is "
            "there again, the same command goes on."
        ) from error


def check_engine(
    engine: str, workers: Workers, *, address: str | None = None, devices_per_worker: float | None = None
) -> None:
    if engine not in ENGINES:
        raise SearchError(f"engine: {engine!r} given; allowed: {', '.join(ENGINES)}.")
    if engine != "ray" and (address, devices_per_worker) != (None, None):
        raise SearchError("address, devices per worker: they are for Ray; add --engine ray, or leave them out.")
    if workers == AUTO and engine == "ray":
        raise SearchError("workers: auto given; Ray has as many as the cluster holds if none are given.")
    if workers is not None and workers != AUTO and (isinstance(workers, str) or workers < 1):
        raise SearchError(f"workers: {workers!r} given; allowed: 1 or more, or {AUTO}.")
    if engine == "ray":
        import search.ray_engine  # noqa: F401  it raises `SearchError` without Ray: now, before a storage is made
