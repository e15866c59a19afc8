"""`attnas retrain`: which designs, at full size, with which seeds."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from results.exchange import readable
from search.budget import Stop
from search.cli_cost import at_placement
from search.kept_recipe import is_hash, kept_of_hash
from search.machine import interruptible, one_voice, prepare_machine
from search.options import (
    BACKBONE,
    CORES,
    DEVICE,
    IMAGE_SIZE,
    JSON,
    PLACEMENT,
    SETTINGS,
    THREADS,
)
from search.result_options import names
from search.storage import STORAGE, STORAGE_DEFAULT, check_storage, open_storage
from search_space.errors import UserError

if TYPE_CHECKING:
    from search_space import AttentionDesign, Layered
    from trainers.imagenet_recipe import RetrainRecipe

EACH = max(1, CORES // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))  # torchrun's: processes on this host

EPILOG = """Examples:

attnas retrain haar-d2-all/mlp-r16 --data /path/to/imagenet --backbone resnet50

attnas retrain --from sqlite:///search.db --top 3 --baseline se,none --seeds 3 --data /path/to/imagenet --recipe rsb-a3

attnas retrain --from sqlite:///search.db --front --where "backbone == 'resnet20'" --data /path/to/imagenet"""


@one_voice()
def retrain_command(
    designs: Annotated[list[str] | None, typer.Argument(help="Presets, design texts or keys.")] = None,
    data: Annotated[
        Path,
        typer.Option(help="PATH/train/<class>/* and PATH/val/<class>/*, or PATH/data/*.parquet as on the hub."),
    ] = ...,  # type: ignore[assignment]
    searched: Annotated[str | None, typer.Option("--from", help="The storage of a search, to choose from.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="With --from: its best by what fresh seeds give.")] = None,
    front: Annotated[bool, typer.Option("--front", help="With --from: its front of accuracy against MACs.")] = False,
    where: Annotated[str | None, typer.Option(help="With --from: of rows for which this holds.")] = None,
    baseline: Annotated[str | None, typer.Option(help="Designs to train alike beside them, as se,none.")] = None,
    backbone: BACKBONE = "resnet50",
    image_size: IMAGE_SIZE = 224,
    placement: PLACEMENT = None,
    recipe: Annotated[str, typer.Option(help="fca | rsb-a3 | rsb-a2 | smoke, or a hash that rows give.")] = "fca",
    epochs: Annotated[int | None, typer.Option(help="Length of the training instead of the recipe's own.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step instead of the recipe's own.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak instead of the recipe's rule.")] = None,
    settings: SETTINGS = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each design.")] = 1,
    first_seed: Annotated[int, typer.Option("--first-seed", "--seed", help="Seeds first, first + 1, ...")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that decode images, for each that trains.")] = min(4, EACH),
    skip_corrupt: Annotated[int, typer.Option(min=0, help="Leave out so many images that can't be read.")] = 0,
    output: Annotated[
        Path, typer.Option(help="Each training has a folder DESIGN-BACKBONE-SEED in it, of checkpoint and weights.")
    ] = Path("retrain"),
    storage: STORAGE = STORAGE_DEFAULT,
    keep: Annotated[int, typer.Option(min=0, help="Checkpoints of so many last epochs stay, and the best.")] = 2,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Begin what failed again, from its last checkpoint.")
    ] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Events for it beside epochs.csv.")] = False,
    device: DEVICE = None,
    precision: Annotated[str, typer.Option(help="auto (measured once) | float32 | bfloat16 | float16.")] = "auto",
    accumulate: Annotated[
        int, typer.Option(min=1, help="An update's batch is computed in so many parts, one after the other.")
    ] = 1,
    sync_norm: Annotated[bool, typer.Option("--sync-bn", help="Batch norm over all processes (CUDA).")] = False,
    compiled: Annotated[bool, typer.Option("--compile", help="Let torch.compile speed the network up.")] = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same bits every time on CUDA too, at some cost.")
    ] = False,
    threads: THREADS = EACH,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how long and how large it would be, by a few updates; write nothing.")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Train designs on images at full size, with a checkpoint an epoch; the same command goes on.

    The rows stand in the storage beside those of a search, of a recipe and data of their own: `attnas results fidelity
    --across` says whether the proxy's order held.
    """
    check_storage(storage)
    from search.retraining_watch import check_tensorboard
    from search.retraining_words import means, tell
    from search.retrainings import Task, follow, lead
    from search.seeds import seeds_from
    from trainers.environment import pick_device
    from trainers.execution import Execution
    from trainers.imagenet import check_request, image_set
    from trainers.processes import joined, own_device

    if tensorboard:
        check_tensorboard()
    prepare_machine(backbone, image_size, own := own_device(device), None, threads)
    with joined(pick_device(own)) as processes:
        execution = Execution(
            device=own,
            precision=precision,
            workers=workers,
            accumulate=accumulate,
            sync_norm=sync_norm,
            compiled=compiled,
            deterministic=deterministic,
            most_corrupt=skip_corrupt,
            keep=keep,
            processes=processes,
        )
        trained_as = processes.once(lambda: _recipe(recipe, epochs, storage)).changed(
            settings or [], epochs=epochs, batch_size=batch_size, learning_rate=learning_rate
        )
        named = processes.once(lambda: _chosen(searched, top, front, where, given=bool(designs)))
        chosen = _each_once([*(designs or []), *named, *names(baseline)], placement)
        for design in chosen:
            check_request(design, backbone=backbone, image_size=image_size, recipe=trained_as, execution=execution)
        images = processes.once(lambda: image_set(Path(str(data).removeprefix("folder:"))))
        wanted = seeds_from(first_seed, seeds)
        tasks = [
            Task(design, seed, output / _folder(f"{design}-{backbone}-{seed}")) for seed in wanted for design in chosen
        ]
        given: dict[str, Any] = {"backbone": backbone, "image_size": image_size, "recipe": trained_as}
        given["execution"] = execution
        if dry_run:
            from search.dry_run import unwritten
            from search.retraining_ahead import ahead, lines

            with interruptible(), unwritten(storage) as store:
                found = ahead(tasks, images, store, **given)
            print(json.dumps(found, indent=1) if as_json else readable("\n".join(lines(found)), keep="\n"))
            return
        with saving_when_told() as told:
            if not processes.first:
                follow(images, processes, told, **given)
                return
            with open_storage(storage) as store:
                watched = {"tensorboard": tensorboard, "retry_failed": retry_failed}
                rows = lead(tasks, images, store, processes, told, **watched, **given)
                summary = [] if as_json else means(rows, store)
    tell(rows, as_json=as_json)
    for line in summary:
        print(line)
    if any(row.status == "failed" for row in rows):
        raise typer.Exit(1)


@contextmanager
def saving_when_told() -> Iterator[Stop]:
    """SIGTERM and Ctrl-C are heeded after the update that is running, which is saved; Ctrl-C again ends at once.

    The exit code is 0 after SIGTERM, which schedulers send to ask for just that, and 130 after Ctrl-C.
    """
    from trainers.imagenet import Halted
    from trainers.processes import is_first

    told = Stop(on_ask=_end_at_once_when_pressed_again)
    try:
        with told.on_signals():
            yield told
    except Halted:
        if is_first():
            print("stopped, and saved after its last update: the same command goes on.", file=sys.stderr)
        raise typer.Exit(130 if told.signal == signal.SIGINT else 0) from None  # or another process was told
    except KeyboardInterrupt:
        print("interrupted: the last checkpoint is kept, the same command goes on.", file=sys.stderr)
        raise typer.Exit(130) from None


def _end_at_once_when_pressed_again(told: Stop) -> None:
    if told.again and told.latest == signal.SIGINT:
        raise KeyboardInterrupt


def _recipe(name: str, epochs: int | None, storage: str) -> RetrainRecipe:
    from trainers.imagenet_recipe import RetrainRecipe, find_retrain_recipe

    if not is_hash(name):
        return find_retrain_recipe(name)
    with open_storage(storage, read_only=True) as store:
        return kept_of_hash(name, epochs, store, RetrainRecipe)


def _chosen(searched: str | None, top: int | None, front: bool, where: str | None, *, given: bool) -> list[str]:
    """The designs of a search that were asked for. Raises `UserError` where it is not said which."""
    if searched is None:
        if top is not None or front or where is not None:
            raise UserError("--top, --front and --where choose from a search: name its storage by --from URL")
        if not given:
            raise UserError(
                "nothing to retrain: name designs (attnas retrain se ...), or --from URL with --top or --front"
            )
        return []
    if (top is None) == (not front):
        raise UserError("--from takes one of --top N and --front")
    from search.winners import winners

    words, found = winners(searched, top=top, where=where)
    print(readable(f"of {words}: {', '.join(found)}"), file=sys.stderr)
    return found


def _each_once(texts: list[str], placement: str | None) -> list[AttentionDesign | Layered]:
    """Designs by their keys, in order."""
    from search_space import find_design

    found: dict[str, AttentionDesign | Layered] = {}
    for text in texts:
        design = at_placement(find_design(text), placement)
        found.setdefault(design.key, design)
    return list(found.values())


def _folder(name: str) -> str:
    """A folder's name that every file system takes: a design for each place of a network is a long text."""
    plain = re.sub(r"[^A-Za-z0-9.@+-]", "_", name)
    return plain if len(plain) < 150 else f"{plain[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
