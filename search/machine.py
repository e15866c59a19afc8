"""What every command that trains does first: its recipe, its machine, its data; and how it ends on Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from search.kept_recipe import is_hash, recipe_of_hash
from search.storage import open_storage
from search_space.errors import UserError

if TYPE_CHECKING:
    from trainers import Recipe


def chosen_recipe(name: str, epochs: int | None, settings: list[str] | None, storage: str) -> Recipe:
    """By its name, or by the hash of one that the storage keeps."""
    from trainers.recipe import find_recipe

    if is_hash(name):
        with open_storage(storage, read_only=True) as store:
            chosen = recipe_of_hash(name, epochs, store)
    else:
        chosen = find_recipe(name)
    return chosen.changed_text(settings or [], epochs=epochs)


def prepare_machine(backbone: str, image_size: int, device: str | None, precision: str | None, threads: int) -> None:
    """Refuse what can be refused before data are fetched and a storage is made, and set the threads.

    A search has one thread unless told: on small maps two processes of one thread did what one of two did, and threads
    that wait for each other while another process runs slowed both 25-fold.
    """
    import torch

    from trainers import sites
    from trainers.environment import pick_device
    from trainers.precision import check_precision

    torch.set_num_threads(threads)
    sites(backbone, image_size)
    pick_device(device)
    if precision is not None:
        check_precision(precision)


def load(data: str, image_size: int, data_dir: Path | None, skip_corrupt: bool) -> Any:
    from trainers import load_data

    return load_data(data, image_size=image_size, data_dir=data_dir, skip_corrupt=skip_corrupt)


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does: what it is at is handed back."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C or SIGTERM ends a long command with a word on what was kept, and exit code 130 or 143."""

    def end(*_: object) -> None:
        raise Terminated

    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, end) if in_main else None
    try:
        yield
    except KeyboardInterrupt as stop:
        print("interrupted: what was finished is kept, the same command goes on.", file=sys.stderr)
        raise typer.Exit(143 if isinstance(stop, Terminated) else 130) from None
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def one_voice() -> Iterator[None]:
    """Of several processes the first on each host says what is wrong, but for what one of the others alone ran into."""
    try:
        yield
    except UserError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            raise
        from trainers.processes import PeerLostError, ProcessError

        if isinstance(error, ProcessError) and not isinstance(error, PeerLostError):
            raise
        raise typer.Exit(2) from None
