"""The `--storage` option: one default, no password on the screen, nothing that is gone at the end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from search_space.errors import UserError

if TYPE_CHECKING:
    from results import Store

STORAGE = Annotated[str, typer.Option(help="Where rows are kept: sqlite:///FILE or postgresql://USER@HOST/NAME.")]
STORAGE_DEFAULT = "sqlite:///attnas.db"


def check_storage(url: str) -> None:
    """Raises `UserError` for a database in memory: its rows would end with the command."""
    if re.fullmatch(r"sqlite(\+\w+)?:(//)?/?(:memory:)?", url):
        raise UserError(f"storage {url!r} is in memory and would be gone at the end; give a file: {STORAGE_DEFAULT}")


def open_storage(url: str, *, read_only: bool = False) -> Store:
    from results import open_store

    return open_store(url, read_only=read_only)


def without_password(url: str) -> str:
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)
