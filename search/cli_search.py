"""`attnas search`: what is asked for becomes a request; all that can be refused is, before data are loaded."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli_space import narrowed
from search.machine import chosen_recipe, interruptible, prepare_machine
from search.options import (
    AXES,
    BACKBONE,
    DATA,
    DATA_DIR,
    DEVICE,
    EPOCHS,
    FUSE,
    IMAGE_SIZE,
    JSON,
    PLACEMENT,
    PRECISION,
    RECIPE,
    SETTINGS,
    SKIP_CORRUPT,
    SPACE_FILE,
    THREADS,
)
from search.samplers import DEFAULT_SAMPLER
from search.storage import STORAGE, STORAGE_DEFAULT, check_storage, open_storage

if TYPE_CHECKING:
    from search.budget import Budget, Stop
    from search.cores import Workers
    from search.request import Request

EPILOG = """Examples:

attnas search --data synthetic --backbone resnet8 --epochs 3 --trials 12

attnas search --trials 500 --workers 8 --time 2h --max-params 0.3e6 --dry-run

attnas search --storage postgresql://me@host/nas --study cifar --engine ray --address auto --devices-per-worker 0.25"""
_TRIALS = 100


def search_command(
    data: DATA = "cifar100",
    data_dir: DATA_DIR = None,
    backbone: BACKBONE = "resnet20",
    image_size: IMAGE_SIZE = 32,
    recipe: RECIPE = "proxy",
    epochs: EPOCHS = None,
    settings: SETTINGS = None,
    trials: Annotated[
        int | None,
        typer.Option(
            help="Networks (times seeds) to have begun at the end, over all runs and workers; 100 unless --time or "
            "--epochs-total is given."
        ),
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="End this run after so long: 90s, 15m, 2h, 1h30m, 1d; a bare number is seconds.")
    ] = None,
    epochs_total: Annotated[
        float | None, typer.Option(help="Epochs to train in all, over all trials, runs and workers.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(help="End an evaluation that takes longer, as failed: 90s, 15m, 2h.")
    ] = None,
    grace: Annotated[
        str, typer.Option(help="After Ctrl-C or SIGTERM, let trainings that end within this time end: 30s, 5m.")
    ] = "30s",
    seed: Annotated[int, typer.Option(help="Seed of proposals and of the first training of each network.")] = 0,
    replicates: Annotated[
        int, typer.Option(help="Train every network with so many seeds: --seed, and those after.")
    ] = 1,
    storage: STORAGE = STORAGE_DEFAULT,
    study: Annotated[
        str | None, typer.Option(help="Name of the study to go on with or begin; found by what is asked unless given.")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="optuna (processes of this machine) | ray (this machine or a cluster).")
    ] = "optuna",
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Evaluations at a time, each pinned to its own cores or accelerator; 1, or with --engine ray as many "
            "as fit, unless given. auto: as many as are fastest here, measured once.",
        ),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Of a running Ray cluster: auto, or HOST:PORT; this machine unless given.")
    ] = None,
    devices_per_worker: Annotated[
        float | None, typer.Option(help="Accelerators a worker, with --engine ray; 0.25: four share one.")
    ] = None,
    sampler: Annotated[
        str, typer.Option(help="gp | tpe | random | nsga2 | evolution | local: what proposes the next design.")
    ] = DEFAULT_SAMPLER,
    objectives: Annotated[
        str, typer.Option(help="accuracy or loss, then any of macs, params, latency, memory; separated by commas.")
    ] = "accuracy,macs",
    halving: Annotated[
        bool, typer.Option(help="Stop most trials at a rung of few epochs, promote the best; or train all to the end.")
    ] = True,
    factor: Annotated[int, typer.Option(help="Each rung has this times the epochs, and one of so many trials.")] = 3,
    shortest_rung: Annotated[int, typer.Option(help="Epochs of the first rung, at least.")] = 1,
    bracket: Annotated[int, typer.Option(help="Leave out so many of the shortest rungs.")] = 0,
    warm_start: Annotated[
        str, typer.Option(help="Trained first: presets (published designs) | none | FILE of a design a line.")
    ] = "presets",
    max_macs: Annotated[
        float | None, typer.Option(help="Never train a network of more multiply-accumulates, as 42e6.")
    ] = None,
    max_params: Annotated[
        float | None, typer.Option(help="Never train a network of more parameters, as 0.3e6.")
    ] = None,
    max_latency: Annotated[
        float | None,
        typer.Option(help="Never train a slower network: milliseconds a forward pass of a batch of 16, measured here."),
    ] = None,
    axes: AXES = None,
    space_file: SPACE_FILE = None,
    placement: PLACEMENT = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(help="Folder of what promoted trials go on from; beside the SQLite file unless given."),
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Begin failed evaluations again.")] = False,
    device: DEVICE = None,
    precision: PRECISION = "auto",
    fuse: FUSE = None,
    threads: THREADS = 1,
    skip_corrupt: SKIP_CORRUPT = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what it would come to, train a few steps to time them, write nothing."),
    ] = False,
    as_json: JSON = False,
) -> None:
    """Search for designs with high accuracy at low cost. Stop it as you like: the same command goes on."""
    check_storage(storage)
    from results.engine import check_openable
    from results.studies import check_name
    from search.budget import parse_duration
    from search.candidates import Limits
    from search.launch import check_engine
    from search.request import checkpoints_beside, make_request

    number = _workers(workers)
    check_engine(engine, number, address=address, devices_per_worker=devices_per_worker)
    if study is not None:
        check_name(study)
    budget = _budget(trials, time, epochs_total)
    grace_seconds = parse_duration(grace, "grace")
    space = narrowed(space_file, axes)
    with interruptible():
        prepare_machine(backbone, image_size, device, precision, threads)
        request = make_request(
            space if placement is None else space.narrow({"placement": [placement]}),
            data=data,
            data_dir=data_dir,
            skip_corrupt=skip_corrupt,
            image_size=image_size,
            backbone=backbone,
            recipe=chosen_recipe(recipe, epochs, settings, storage),
            epochs=None,
            seed=seed,
            replicates=replicates,
            sampler=sampler,
            objectives=objectives,
            halving=halving,
            factor=factor,
            shortest=shortest_rung,
            bracket=bracket,
            warm_start_from=warm_start,
            limits=Limits(
                macs=max_macs, params=max_params, latency=None if max_latency is None else max_latency / 1000
            ),
            device=device,
            precision=precision,
            fused=fuse,
            threads=threads,
            timeout_seconds=None if timeout is None else parse_duration(timeout, "timeout"),
            checkpoints=checkpoints or checkpoints_beside(storage),
        )
        check_openable(storage)
        if dry_run:
            _dry_run(request, budget, storage, engine=engine, workers=number, name=study, as_json=as_json)
            return
        options = {"engine": engine, "workers": number, "address": address, "devices_per_worker": devices_per_worker}
        options |= {"retry_failed": retry_failed, "name": study}
        _run(request, budget, storage, grace_seconds=grace_seconds, as_json=as_json, **options)


def _workers(given: str | None) -> Workers:
    return int(given) if given and given.lstrip("-").isdecimal() else given


def _budget(trials: int | None, time: str | None, epochs_total: float | None) -> Budget:
    from search.budget import Budget, parse_duration

    if trials is None and time is None and epochs_total is None:
        trials = _TRIALS
    return Budget(trials=trials, epochs=epochs_total, seconds=None if time is None else parse_duration(time))


def _say_stopping(stop: Stop) -> None:
    """In a signal handler: written past every buffer and lock."""
    words = "ending now" if stop.again else f"stopping: what ends within {stop.grace_seconds:g} s may; again ends now"
    os.write(2, f"\n{words}\n".encode())


def _run(
    request: Request, budget: Budget, storage: str, *, grace_seconds: float, as_json: bool, **options: Any
) -> None:
    from search.budget import Stop
    from search.ending import say_end, summary
    from search.launch import run
    from search.view import watching

    setting = request.setting()
    allowed = request.allowed(setting)  # may refuse, and no empty storage is left behind then
    stop = Stop(grace_seconds=grace_seconds, on_ask=_say_stopping)
    with open_storage(storage) as store:
        with watching() as view:
            run(request, budget, store, setting=setting, allowed=allowed, stop=stop, report=view, **options)
        if as_json:
            print(json.dumps(summary(view, stop)))
        say_end(view, stop)
    if stop.signal is not None:
        raise typer.Exit(130 if stop.signal == signal.SIGINT else 143)


def _dry_run(request: Request, budget: Budget, storage: str, *, as_json: bool, **options: Any) -> None:
    from search.dry_run import dry_run, say

    facts = dry_run(request, budget, storage, **options)
    print(json.dumps(facts)) if as_json else say(facts)
