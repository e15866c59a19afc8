"""`attnas results effects` and `attnas ablate`: which choice of a design is worth what."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli_cost import at_placement
from search.machine import chosen_recipe, interruptible, load, prepare_machine
from search.options import (
    BACKBONE,
    DATA,
    DATA_DIR,
    DESIGN,
    DEVICE,
    EPOCHS,
    IMAGE_SIZE,
    JSON,
    PLACEMENT,
    PRECISION,
    RECIPE,
    SETTINGS,
    SKIP_CORRUPT,
    THREADS,
)
from search.result_options import AXES, WHERE, names
from search.storage import STORAGE, STORAGE_DEFAULT, check_storage, open_storage

if TYPE_CHECKING:
    from results.effects import Explained

EFFECTS_EPILOG = "Example: attnas results effects --interactions --where \"backbone == 'resnet20'\""
ABLATE_EPILOG = "Example: attnas ablate haar-d2-all/mlp-r16 --axes depth,reduction --seeds 3 --data cifar100 --dry-run"


def effects(
    on: Annotated[str, typer.Option(help="accuracy | loss.")] = "accuracy",
    axes: AXES = None,
    pairs: Annotated[bool, typer.Option("--interactions", help="Every pair of axes and its cells too.")] = False,
    epochs: Annotated[
        int | None, typer.Option(help="All rows measured at this many epochs: a rung of halving. Else complete ones.")
    ] = None,
    every_context: Annotated[
        bool, typer.Option("--all-contexts", help="Each data, backbone, recipe, fidelity; else that of most designs.")
    ] = False,
    storage: STORAGE = STORAGE_DEFAULT,
    where: WHERE = None,
    as_json: JSON = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A line a level (with --interactions a cell).")] = False,
) -> None:
    """Which axis matters: what each level is worth, from all rows together, with intervals.

    A linear model over all axes pools the noise, so that designs of one seed tell much. Effects are against the average
    level of the axis, other axes held equal, among the designs that were trained.
    """
    from results.effects import explain
    from results.factors import NEEDED, named_axes
    from search import effects_words
    from search.importance import beside

    chosen = named_axes(names(axes)) or None
    with open_storage(storage, read_only=True) as store:
        frame = store.frame(where, NEEDED)
    found = explain(frame, on, epochs=epochs, axes=chosen, every_context=every_context)
    if as_csv:
        import pandas as pd

        parts = [one.interactions() if pairs else one.effects() for one in found]
        pd.concat(parts).to_csv(sys.stdout, index=False)
    elif as_json:
        print(json.dumps([_effects_facts(one, pairs) for one in found], indent=1, allow_nan=False))
    else:
        for number, one in enumerate(found):
            print("" if number == 0 else "\n", end="")
            effects_words.say(one, beside(one), every_pair=pairs)
        effects_words.say_rungs(frame, found[0], epochs)


def _effects_facts(one: Explained, pairs: bool) -> dict[str, Any]:
    from search.importance import beside
    from search.tables import records

    about = {name: value.item() if hasattr(value, "item") else value for name, value in one.about.items()}
    facts: dict[str, Any] = {"on": one.on, "designs": one.model.designs, "runs": int(one.model.runs.sum())}
    facts |= {"left_out": one.left_out, "df": one.model.df, "not_in_model": one.not_in_model}
    facts["shortage"] = None if one.shortage is None else asdict(one.shortage) | {"sentence": str(one.shortage)}
    tables = {"axes": one.axes(), "effects": one.effects()} | ({"interactions": one.interactions()} if pairs else {})
    told = {name: records(frame.drop(columns=list(about))) for name, frame in tables.items()}
    return about | facts | told | {"importances": beside(one)}


def ablate(
    design: DESIGN,
    axes: Annotated[str | None, typer.Option(help="Only these axes, as depth,reduction; all unless given.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each; the same seeds for all.")] = 3,
    first_seed: Annotated[
        int | None, typer.Option(help="Seeds first, first + 1, ...; unless given fresh ones, above all known here.")
    ] = None,
    data: DATA = "cifar100",
    data_dir: DATA_DIR = None,
    backbone: BACKBONE = "resnet20",
    image_size: IMAGE_SIZE = 32,
    recipe: RECIPE = "proxy",
    epochs: EPOCHS = None,
    settings: SETTINGS = None,
    placement: PLACEMENT = None,
    storage: STORAGE = STORAGE_DEFAULT,
    device: DEVICE = None,
    precision: PRECISION = "auto",
    threads: THREADS = 1,
    skip_corrupt: SKIP_CORRUPT = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would train; write nothing.")] = False,
    as_json: JSON = False,
) -> None:
    """What each choice of a design is worth: trains the neighbours that differ in one axis, with common seeds.

    The seeds are ones that nothing chose the design by, and the same command goes on with the same. What the storage
    holds is not trained again; several of this command at once share the work.
    """
    from search_space import find_design

    chosen = at_placement(find_design(design), placement)
    trained_as = chosen_recipe(recipe, epochs, settings, storage)
    check_storage(storage)
    from search import ablate_words
    from search.ablate import ablate as run
    from search.ablate import begin, choices, plan, seeds_ahead, work
    from search.dry_run import unwritten
    from search.objective import Setting
    from search.progress import Progressing
    from search.seeds import seeds_from

    given = None if first_seed is None else list(seeds_from(first_seed, seeds))
    near = choices(chosen, names(axes) or None)
    with interruptible():
        prepare_machine(backbone, image_size, device, precision, threads)
        images = load(data, image_size, data_dir, skip_corrupt)
        setting = Setting(images, backbone, trained_as, device=device, precision=precision)
        made = plan(chosen, near, setting)
        with unwritten(storage) if dry_run else open_storage(storage) as store:
            common = given or (seeds_ahead if dry_run else begin)(made, seeds, setting, store)
            ahead = work(made, common, setting, store)
            if dry_run:
                ablate_words.say_plan(made, ahead, common, as_json=as_json)
                return
            ablate_words.announce(made, ahead, common)
            with Progressing() as watch:
                found, rows = run(made, common, setting, store, watch)
    ablate_words.say(found, rows, made, common, as_json=as_json)
