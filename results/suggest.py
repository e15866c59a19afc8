"""Commands that texts suggest, with the options that make them mean the rows that were asked about.

A recipe is given by its hash: a search holds its rate and a user changes fields, so that its name alone would train
something else. The storage is that which the running command was given, of several the one that holds such rows; a
program's calls have none. Rows of `attnas retrain` are trained by it again.
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
_SEEDS = 5  # where a single retraining is to be confirmed
_storages: ContextVar[tuple[str, ...]] = ContextVar("storages", default=())


def asked_of(*storages: str) -> Callable[[], None]:
    """What is suggested from now on is to be asked of these storages, or of the default one; call what is returned to
    make it as it was before."""
    token = _storages.set(storages)
    return lambda: _storages.reset(token)


def command(typed: str, *words: object, like: Row | None = None) -> str:
    """`attnas TYPED WORDS...` as it can be typed, what needs it in quotes; training as the row `like`, if one is given.

    Only the path of a folder of images is left to be filled in, as PATH: rows don't keep it.
    """
    options: list[str] = []
    if like is not None:
        typed, words = _retraining(typed, words, like) if _is_retraining(like) else (typed, words)
        options = _training(like) if typed.split()[0] != "ablate" or not _is_retraining(like) else []
    options += [word for storage in _asked(like) for word in ("--storage", without_password(storage))]
    return " ".join(["attnas", typed, *map(shlex.quote, [*map(str, words), *options])])


def _asked(like: Row | None) -> tuple[str, ...]:
    """A question is asked of all storages; a training goes into one."""
    asked = _storages.get()
    if like is None or len(asked) < 2:
        return asked
    return (next((url for url in asked if _holds(url, like)), asked[0]),)


def _holds(url: str, like: Row) -> bool:
    from results.store import open_store

    with open_store(url, read_only=True) as store:
        return (like["data"], like["recipe_hash"]) in store.distinct("data", "recipe_hash")


def _is_retraining(row: Row) -> bool:
    """Its images were never read whole before it began: their listing stands for them."""
    return str(row.get("data_hash", "")).startswith("listing:")


def _retraining(typed: str, words: tuple[object, ...], row: Row) -> tuple[str, tuple[object, ...]]:
    """What comes to the same by `attnas retrain`; neighbours it does not know, so `ablate` is suggested by a proxy."""
    verb, _, rest = typed.partition(" ")
    if verb == "confirm":
        return "retrain", (row["design"], "--seeds", _SEEDS)
    return (f"retrain {rest}".strip(), words) if verb == "train" else (typed, words)


def _training(row: Row) -> list[str]:
    """The options of what trains for the data, network, recipe and length of a row or a line."""
    kind, colon, name = str(row["data"]).partition(":")
    kind = "" if _is_retraining(row) else f"{kind}:"
    options = {
        "--data": f"{kind}PATH/{name}" if colon else kind.rstrip(":"),
        "--backbone": str(row["backbone"]).partition("#")[0],
        "--image-size": str(row["image_size"]),
        "--recipe": str(row["recipe_hash"]),
        "--epochs": str(row["schedule_epochs"]),
    }
    if row["image_size"] == _USUAL_SIZE and not _is_retraining(row):
        del options["--image-size"]
    return [word for option in options.items() for word in option]
