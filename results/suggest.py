"""Commands that texts suggest, with the options that make them mean the rows that were asked about.

A recipe is given by its hash: a search holds its rate and a user changes fields, so that its name alone would train
something else. The storage is that which the running command was given; a program's calls have none.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from results.urls import without_password

if TYPE_CHECKING:
    import pandas as pd

    Row = Mapping[Any, Any] | pd.Series[Any]

FAILED = "results query \"status == 'failed'\""
UNFINISHED = "results query \"status != 'complete'\""

_USUAL_SIZE = 32  # of the command line's --image-size
_storage: ContextVar[str | None] = ContextVar("storage", default=None)


def asked_of(storage: str | None) -> Callable[[], None]:
    """What is suggested from now on is to be asked of this storage, or of the default one; call what is returned to
    make it as it was before."""
    token = _storage.set(storage)
    return lambda: _storage.reset(token)


def command(typed: str, *words: object, like: Row | None = None) -> str:
    """`attnas TYPED WORDS...` as it can be typed, what needs it in quotes; training as the row `like`, if one is given.

    Only the path of a folder of images is left to be filled in, as PATH: rows don't keep it.
    """
    storage = _storage.get()
    options = [] if like is None else _training(like)
    options += [] if storage is None else ["--storage", without_password(storage)]
    return " ".join(["attnas", typed, *map(shlex.quote, [*map(str, words), *options])])


def _training(row: Row) -> list[str]:
    """The options of `train`, `confirm` and `ablate` for the data, network, recipe and length of a row or a line."""
    kind, colon, name = str(row["data"]).partition(":")
    options = {
        "--data": f"{kind}:PATH/{name}" if colon else kind,
        "--backbone": str(row["backbone"]).partition("#")[0],
        "--image-size": str(row["image_size"]),
        "--recipe": str(row["recipe_hash"]),
        "--epochs": str(row["schedule_epochs"]),
    }
    if row["image_size"] == _USUAL_SIZE:
        del options["--image-size"]
    return [word for option in options.items() for word in option]
