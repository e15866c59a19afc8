"""What a search would come to, before it begins: nothing is written, and one short trial is really trained."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from results.counted import counted
from results.engine import check_openable
from results.published import with_name
from results.store import Store
from results.suggest import command
from results.table import SCHEMA_VERSION
from search.at_once import decided
from search.budget import Budget
from search.cores import Workers
from search.estimate import epochs_to_train, expected_rows, trials_within
from search.request import Request
from search.short_trial import ShortTrial, short_trial
from search.storage import open_storage, without_password
from search.study import Study
from search.wording import duration, quantity, size
from search_space.errors import UserError

_SHOWN = 10
_OVERHEAD = 2**12  # bytes of a checkpoint that are no tensors


def dry_run(
    request: Request,
    budget: Budget,
    storage: str,
    *,
    engine: str = "optuna",
    workers: Workers = None,
    name: str | None = None,
) -> dict[str, Any]:
    """The facts, as JSON values. Raises `UserError` for what the search itself would refuse."""
    setting = request.setting()
    with unwritten(storage) as store:
        study = request.study(setting, store)  # may refuse, before anything is measured
        study.setting, number = decided(request, setting, budget, workers, engine=engine)
        found = store.studies.find(request.config(setting), name)
        study.sync()
        first = study.preview(1) or list(study.candidates.networks.values())[:1]
        short = short_trial(first[0], study.setting)
        work = _work(study, budget, short)
        left = sum(rung["left"] for rung in work)
        return {
            "study": None if found is None else found.name,
            "space": _space(request, study),
            "trials": trials_within(study, budget),
            "trials_begun": study.mirror.trials,
            "evaluations": work,
            "epochs": sum(rung["rows"] * rung["epochs_trained"] for rung in work),
            "short_trial": _measured(short),
            "time": _time(work, budget, number or 1, request.threads),
            "disk": _disk(study, storage, work, short),
            "first": [
                {"design": str(candidate.design), "macs": candidate.cost.macs, "params": candidate.cost.params}
                for candidate in study.preview(min(_SHOWN, left))
            ],
        }


def say(facts: dict[str, Any]) -> None:
    """On stdout: it is what was asked for."""
    space, clock, disk = facts["space"], facts["time"], facts["disk"]
    known = f"goes on with study {facts['study']}" if facts["study"] else "would begin a new study"
    lines = [
        f"{space['designs']:,} distinct designs, {space['networks']:,} distinct networks that may be trained "
        f"({space['left_out']:,} left out, over a limit or impossible here); {known}",
        f"{counted(facts['trials'], 'trial')}, {facts['trials_begun']:,} of them begun; about {facts['epochs']:,.6g} "
        "epochs:",
    ]
    lines += [
        f"  {rung['rows']:>6,} evaluations to epoch {rung['epochs']:>3} ({rung['left']:,} left), about "
        f"{duration(rung['seconds_each'])} each"
        for rung in facts["evaluations"]
    ]
    short = facts["short_trial"]
    step = f"{1e3 * short['step_seconds']:.3g} ms each"
    lines.append(
        f"measured: {short['steps']} steps ({step}) and {short['held_out']} held-out images of {short['design']} in "
        f"{short['precision']}, scaled to whole epochs"
    )
    held = f", {clock['at_once']} at once on these cores" if clock["at_once"] < clock["workers"] else ""
    ends = f"; --time ends it after {duration(clock['limit_seconds'])}" if clock["ends_early"] else ""
    lines.append(f"time left with --workers {clock['workers']}{held}: about {duration(clock['seconds'])}{ends}")
    free = "" if disk["free_bytes"] is None else f"; {size(disk['free_bytes'])} free"
    lines.append(
        f"disk: about {size(disk['rows_bytes'])} of rows, {size(disk['checkpoints_bytes'])} of checkpoints{free}"
    )
    lines.append("first:" if facts["first"] else "nothing is left to train")
    lines += [
        f"  {with_name(one['design']):40} {quantity('macs', one['macs'])}  {quantity('params', one['params'])}"
        for one in facts["first"]
    ]
    print("\n".join(lines))


def unwritten(storage: str) -> Store:
    """The storage, unable to write; an empty one in memory where there is none yet."""
    version = check_openable(storage)
    if version is not None and version < SCHEMA_VERSION:
        raise UserError(
            f"storage {without_password(storage)} is of an older version, and a dry run writes nothing; any other "
            f"command brings it up to date, as `{command('study list')}`."
        )
    return open_storage("sqlite://") if version is None else open_storage(storage, read_only=True)


def _space(request: Request, study: Study) -> dict[str, int]:
    return {
        "designs": len(request.space.distinct()),
        "networks": len(study.candidates.networks),
        "left_out": study.candidates.left_out,
    }


def _work(study: Study, budget: Budget, short: ShortTrial) -> list[dict[str, Any]]:
    each = epochs_to_train(study)
    return [
        {
            "epochs": rung,
            "rows": rows,
            "left": max(0, rows - len(study.mirror.at_rung[rung])),
            "epochs_trained": each[rung],
            "seconds_each": short.seconds(each[rung]),
        }
        for rung, rows in expected_rows(trials_within(study, budget), study.plan.rungs).items()
    ]


def _measured(short: ShortTrial) -> dict[str, Any]:
    names = ("design", "precision", "steps", "held_out", "setup_seconds", "step_seconds", "image_seconds")
    return {name: getattr(short, name) for name in names}


def _time(work: list[dict[str, Any]], budget: Budget, workers: int, threads: int) -> dict[str, Any]:
    """Workers share the work, but no more of them at once than cores hold."""
    import torch

    at_once = workers if torch.cuda.is_available() else max(1, min(workers, (os.cpu_count() or 1) // threads))
    seconds = sum(rung["left"] * rung["seconds_each"] for rung in work) / at_once
    ends_early = budget.seconds is not None and budget.seconds < seconds
    return {
        "workers": workers,
        "at_once": at_once,
        "seconds": seconds,
        "limit_seconds": budget.seconds,
        "ends_early": ends_early,
    }


def _disk(study: Study, storage: str, work: list[dict[str, Any]], short: ShortTrial) -> dict[str, Any]:
    """Rows, and a checkpoint of each trial that is stopped below the end: weights and momentum in float32."""
    rows = sum(rung["left"] * (short.row_bytes + rung["epochs"] * short.epoch_bytes) for rung in work)
    waiting = work[0]["rows"] - work[-1]["rows"]
    params = max(candidate.cost.params for candidate in study.candidates.networks.values())
    kept = waiting * (8 * params + _OVERHEAD) if study.plan.rungs.halves else 0
    path = Path(storage.partition(":///")[2]).absolute() if storage.startswith("sqlite") else study.checkpoints
    return {"rows_bytes": rows, "checkpoints_bytes": kept, "free_bytes": None if path is None else free(path)}


def free(path: Path) -> int:
    """Bytes where the path lies, or will."""
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free
