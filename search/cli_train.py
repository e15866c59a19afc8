"""`attnas train`: named designs with one or more seeds, or what that would come to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli_cost import at_placement
from search.machine import chosen_recipe, interruptible, load, prepare_machine
from search.options import (
    BACKBONE,
    DATA,
    DATA_DIR,
    DEVICE,
    EPOCHS,
    FUSE,
    IMAGE_SIZE,
    PLACEMENT,
    PRECISION,
    RECIPE,
    SETTINGS,
    SKIP_CORRUPT,
    THREADS,
)
from search.storage import STORAGE, STORAGE_DEFAULT, check_storage, open_storage
from search_space.errors import UserError

if TYPE_CHECKING:
    from results import Store
    from search.objective import Setting
    from search_space import AttentionDesign, Layered

TRAIN_EPILOG = "Example: attnas train se eca haar-d2-all/mlp-r16 --seeds 4 --first-seed 100 --data cifar100 --dry-run"


def train(
    designs: Annotated[list[str], typer.Argument(help="Presets or design texts.")],
    data: DATA = "cifar100",
    data_dir: DATA_DIR = None,
    backbone: BACKBONE = "resnet20",
    image_size: IMAGE_SIZE = 32,
    recipe: RECIPE = "proxy",
    epochs: EPOCHS = None,
    settings: SETTINGS = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each design.")] = 1,
    first_seed: Annotated[int, typer.Option(help="Seeds first, first + 1, ...")] = 0,
    placement: PLACEMENT = None,
    storage: STORAGE = STORAGE_DEFAULT,
    device: DEVICE = None,
    precision: PRECISION = "auto",
    fuse: FUSE = None,
    threads: THREADS = 1,
    skip_corrupt: SKIP_CORRUPT = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would train; write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Of --dry-run: as JSON.")] = False,
) -> None:
    """Train named designs with one or more seeds; each is a row. What the storage holds is not trained again."""
    from search_space import find_design

    if as_json and not dry_run:
        raise UserError("--json is of --dry-run; what was trained is asked for by `attnas results`")
    chosen = [at_placement(find_design(text), placement) for text in designs]
    trained_as = chosen_recipe(recipe, epochs, settings, storage)
    check_storage(storage)
    from search.dry_run import unwritten
    from search.objective import Setting
    from search.progress import Progressing
    from search.replicate import replicate
    from search.seeds import seeds_from

    wanted = seeds_from(first_seed, seeds)
    with interruptible():
        prepare_machine(backbone, image_size, device, precision, threads)
        images = load(data, image_size, data_dir, skip_corrupt)
        setting = Setting(images, backbone, trained_as, device=device, precision=precision, fused=fuse)
        if dry_run:
            with unwritten(storage) as store:
                _say_ahead(chosen, wanted, setting, store, as_json=as_json)
            return
        with open_storage(storage) as store, Progressing() as watch:
            replicate(chosen, wanted, setting, store, watch)


def _say_ahead(
    designs: Sequence[AttentionDesign | Layered], seeds: Sequence[int], setting: Setting, store: Store, *, as_json: bool
) -> None:
    """On stdout: it is what was asked for."""
    from results.published import with_name
    from results.row import CONTEXT
    from search.clock import Clock, clock, work_line
    from search.tables import context_line
    from search.wording import quantity, span

    for design in designs:
        setting.check(design)
    networks = {setting.network_key(design): design for design in designs}
    rows, _ = store.changes(-1, **{name: setting.context[name] for name in CONTEXT})
    done = {(row.network_key, row.seed) for row in rows if row.status != "running"}
    trainings = len(networks) * len(seeds)
    left = trainings - len(done & {(network, seed) for network in networks for seed in seeds})
    pace = clock(rows, designs[0], setting) if left else Clock(0.0)
    costs = {network: setting.cost(design) for network, design in networks.items()}
    if as_json:
        told: list[dict[str, Any]] = [
            {"design": str(design), "network": network, "macs": costs[network].macs, "params": costs[network].params}
            for network, design in networks.items()
        ]
        work = {"trainings": trainings, "left": left, "seconds": left * pace.seconds_each, "processes": 1}
        print(json.dumps({"designs": told, "seeds": list(seeds), **work, **asdict(pace)}, indent=1))
        return
    print(f"{context_line(setting.context)}, seeds {span(seeds)}")
    for network, design in networks.items():
        cost = f"{quantity('macs', costs[network].macs)}  {quantity('params', costs[network].params)}"
        print(f"  {with_name(str(design), design.key):40} {cost}")
    print(work_line(trainings, left, pace))
