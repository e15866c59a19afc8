"""`attnas confirm`: what is asked for, found or begun, trained, and told."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from results.counted import counted
from search.machine import chosen_recipe, interruptible
from search.options import DATA_DIR, DEVICE, JSON, PRECISION, SKIP_CORRUPT, THREADS
from search.storage import STORAGE, STORAGE_DEFAULT, check_storage, open_storage

if TYPE_CHECKING:
    import pandas as pd

    from results import Store
    from results.confirmed import Confirmation
    from results.studies import Study
    from search.confirm import Asked
    from search.known_context import Restored
    from trainers import Recipe

    Test = tuple[Recipe, int]  # and seeds

EPILOG = """Examples:

attnas confirm --top 5 --seeds 5 --dry-run

attnas confirm --design fca-ts --design haar-d2-all/mlp-r16 --study cifar100-resnet20-proxy-10

attnas confirm --top 5 --seeds 5 --final --final-seeds 3"""


def confirm_command(
    top: Annotated[int, typer.Option(help="Finalists: so many of the best, by what fresh seeds would give.")] = 5,
    seeds: Annotated[int, typer.Option(help="Seeds an arm that choose, at most; fresh ones, 2 or more.")] = 5,
    report_seeds: Annotated[
        int | None, typer.Option(help="Seeds after the choice, for the winner, none and se; as --seeds unless given.")
    ] = None,
    alpha: Annotated[float, typer.Option(help="How often the truly best may be sent out, over all looks.")] = 0.05,
    designs: Annotated[
        list[str] | None, typer.Option("--design", help="A finalist, instead of --top; repeatable.")
    ] = None,
    where: Annotated[str | None, typer.Option(help="Choose finalists from rows for which this holds.")] = None,
    study: Annotated[str | None, typer.Option(help="The rows of this study's data, backbone and recipe.")] = None,
    data: Annotated[str | None, typer.Option(help="cifar100 | folder:PATH | synthetic; as the rows.")] = None,
    data_dir: DATA_DIR = None,
    backbone: Annotated[str | None, typer.Option(help="Rows of this backbone.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Rows of images of so many pixels.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Rows of this recipe: its name, or its hash.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Rows of so many epochs.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="FIELD=VALUE of the rows' recipe, if no storage kept it."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Begin a new confirmation, with fresher seeds.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Begin failed trainings again.")] = False,
    final: Annotated[
        bool, typer.Option("--final", help="Then train leader, none and se in full; measure once on the test split.")
    ] = False,
    final_seeds: Annotated[int, typer.Option(min=1, help="Trainings of each of the three.")] = 3,
    final_recipe: Annotated[str, typer.Option(help="smoke | proxy | full.")] = "full",
    final_epochs: Annotated[int | None, typer.Option(help="Epochs instead of that recipe's own.")] = None,
    final_settings: Annotated[
        list[str] | None, typer.Option("--final-set", help="FIELD=VALUE of that recipe; repeatable.")
    ] = None,
    second_look: Annotated[
        bool, typer.Option("--second-look", help="Measure on the test split although it was done before.")
    ] = False,
    storage: STORAGE = STORAGE_DEFAULT,
    device: DEVICE = None,
    precision: PRECISION = "auto",
    threads: THREADS = 1,
    skip_corrupt: SKIP_CORRUPT = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say who would be trained, how often and how long; write nothing.")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Train the finalists, none and se with fresh seeds; say who is best, or who can't be told apart from the best.

    After each round of seeds those are left out that can no longer win. What is reported of the winner comes from seeds
    that had no part in choosing it. Stop it as you like: the same command goes on, also in several processes at once.
    """
    check_storage(storage)
    in_full = chosen_recipe(final_recipe, final_epochs, final_settings, storage)
    from search.confirm import Asked, find
    from search.dry_run import unwritten
    from search.known_context import Restored, Wanted, pick_context
    from search.machine import load

    report = seeds if report_seeds is None else report_seeds
    named = tuple(designs or ())
    asked = Asked(top=top, seeds=seeds, report_seeds=report, alpha=alpha, where=where, designs=named)
    wanted = Wanted(study=study, data=data, backbone=backbone, image_size=image_size, recipe=recipe, epochs=epochs)
    open_storage(storage, read_only=True).close()  # never made by a command that asks for what is there
    with interruptible(), unwritten(storage) if dry_run else open_storage(storage) as store:
        context, rows, others = pick_context(
            store,
            wanted,
            where,
            asked_before=lambda context: find(asked, context, store) is not None,
            load=partial(load, data_dir=data_dir, skip_corrupt=skip_corrupt),
        )
        _say_context(context, others)
        restored = Restored(
            context,
            wanted,
            store,
            settings=settings,
            data_dir=data_dir,
            skip_corrupt=skip_corrupt,
            device=device,
            precision=precision,
            threads=threads,
        )
        if final:
            restored.check_test(in_full)
        test = (in_full, final_seeds) if final else None
        if dry_run:
            _say_ahead(_draft(asked, restored, store, rows, again=again), rows, restored, store, test, as_json=as_json)
            return
        plan = _plan(asked, restored, store, rows, again=again)
        _announce(plan, rows, restored, store, test)
        state = _confirmed(plan, restored, store, retry_failed=retry_failed)
        if final and state.leader is not None:
            state = _finished(
                plan,
                state,
                restored,
                store,
                in_full,
                final_seeds,
                second_look=second_look,
                retry_failed=retry_failed,
            )
    if as_json:
        print(json.dumps(_plain(state.as_json()), indent=1, allow_nan=False))
    else:
        from search.verdict import verdict

        print("\n".join(verdict(state)))


def _plan(asked: Asked, restored: Restored, store: Store, rows: pd.DataFrame, *, again: bool) -> Study:
    from search.confirm import begin, find

    found = None if again else find(asked, restored.context, store)
    if found is not None:
        return found
    plan = begin(asked, restored.setting(), store, rows, again=again)
    seeds = [*plan.config["seeds"], *plan.config["report_seeds"]]
    _say(f"begun: {plan.name}, {counted(len(plan.config['designs']), 'design')}, fresh seeds {seeds[0]} to {seeds[-1]}")
    if again:
        _say("the same command without --again goes on with it")
    return plan


def _draft(asked: Asked, restored: Restored, store: Store, rows: pd.DataFrame, *, again: bool) -> Study:
    """The confirmation that would go on, or be begun."""
    from search.confirm import draft, find

    found = None if again else find(asked, restored.context, store)
    return found or draft(asked, restored.setting("auto"), store, rows)


def _say_ahead(
    plan: Study, rows: pd.DataFrame, restored: Restored, store: Store, test: Test | None, *, as_json: bool
) -> None:
    """On stdout: it is what was asked for."""
    from search.confirm_ahead import ahead_lines

    found = _ahead(plan, rows, restored, store, test)
    print(json.dumps(_plain(found), indent=1, allow_nan=False) if as_json else "\n".join(ahead_lines(found)))


def _announce(plan: Study, rows: pd.DataFrame, restored: Restored, store: Store, test: Test | None) -> None:
    """The same on stderr, where anything is to be trained."""
    from results.confirmed import confirmation
    from search.confirm_ahead import ahead_lines

    if confirmation(plan, store).wanted:
        _say("\n".join(ahead_lines(_ahead(plan, rows, restored, store, test))))


def _ahead(plan: Study, rows: pd.DataFrame, restored: Restored, store: Store, test: Test | None) -> dict[str, Any]:
    from search.confirm_ahead import ahead, final_ahead

    found = ahead(plan, restored.setting("auto"), store, rows)
    return found if test is None else final_ahead(found, *test, store)


def _confirmed(plan: Study, restored: Restored, store: Store, *, retry_failed: bool) -> Confirmation:
    from results.confirmed import confirmation
    from search.confirm import confirm
    from search.confirm import retry_failed as retry
    from search.progress import Confirming

    if retry_failed:
        _say(f"begun again: {counted(retry(plan, store), 'failed training')}")
    state = confirmation(plan, store)
    if not state.wanted:
        return state
    with Confirming() as watch:
        return confirm(plan, restored.setting(plan.config["precision"]), store, watch)


def _finished(
    plan: Study,
    state: Confirmation,
    restored: Restored,
    store: Store,
    recipe: Recipe,
    seeds: int,
    *,
    second_look: bool,
    retry_failed: bool,
) -> Confirmation:
    from results.confirmed import confirmation
    from search.confirm import retry_failed as retry
    from search.final import begin_final, finish
    from search.progress import Testing

    setting = replace(restored.setting(plan.config["precision"]), recipe=recipe, split="test")
    final = begin_final(plan, state, setting, store, seeds, second_look=second_look, retry_failed=retry_failed)
    if retry_failed:
        _say(f"begun again: {counted(retry(final, store), 'failed training')} of the final")
    if final.config.get("second_look"):
        _say("a second look at the test split: whoever reports it must say so")
    with Testing() as watch:
        finish(final, replace(setting, precision=final.config["precision"]), store, watch)
    return confirmation(plan, store)


def _say_context(context: Mapping[str, Any], others: int) -> None:
    from search.tables import context_line

    fit = counted(others, "other context fits", "other contexts fit")
    more = "" if others == 0 else f"; {fit} too: --study, --backbone, --epochs... choose"
    _say(f"finalists among the rows of {context_line(dict(context))}{more}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _plain(value: Any) -> Any:
    """What JSON can hold: a missing number is null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
