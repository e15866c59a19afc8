"""The `--storage` option: one default, no password on the screen, nothing that is gone at the end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from search_space.errors import UserError

if TYPE_CHECKING:
    from results import Store

STORAGE_DEFAULT = "sqlite:///attnas.db"


def _asked(context: typer.Context, given: str | list[str]) -> str | list[str]:
    """What texts of this command suggest is of this storage, or of these."""
    from results.suggest import asked_of

    urls = [given] if isinstance(given, str) else list(dict.fromkeys(given))
    context.call_on_close(asked_of(*([] if urls == STORAGES_DEFAULT else urls)))
    return given


STORAGE = Annotated[
    str, typer.Option(help="Where rows are kept: sqlite:///FILE or postgresql://USER@HOST/NAME.", callback=_asked)
]
STORAGES = Annotated[
    list[str],
    typer.Option(
        "--storage",
        help="sqlite:///FILE or postgresql://USER@HOST/NAME; repeatable: an evaluation counts once.",
        callback=_asked,
    ),
]
STORAGES_DEFAULT = [STORAGE_DEFAULT]


def check_storage(url: str) -> None:
    """Raises `UserError` for a database in memory: its rows would end with the command."""
    if re.fullmatch(r"sqlite(\+\w+)?:(//)?/?(:memory:)?", url):
        raise UserError(f"storage {url!r} is in memory and would be gone at the end; give a file: {STORAGE_DEFAULT}")


def open_storage(url: str, *, read_only: bool = False) -> Store:
    from results import open_store

    return open_store(url, read_only=read_only)


@contextmanager
def open_storages(urls: Sequence[str]) -> Iterator[list[Store]]:
    """Each storage once, to read."""
    with ExitStack() as opened:
        yield [opened.enter_context(open_storage(url, read_only=True)) for url in dict.fromkeys(urls)]


def without_password(url: str) -> str:
    from results.urls import without_password as hide

    return hide(url)
