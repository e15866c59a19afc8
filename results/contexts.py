"""The contexts in a frame: which rows may stand together, and what people call them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from results.counted import counted
from results.row import CONTEXT, MEASURED
from results.suggest import UNFINISHED, command
from search_space.errors import UserError

Precedence = tuple[bool, int, int]


def precedence(split: str, designs: int, runs: int) -> Precedence:
    """Where several contexts would do and none is named, that of the least is meant: never the test split, whose rows
    choose nothing, unless there is no other; else the most designs, then the most runs of them.

    Reports, pictures and confirmations count complete designs; effects those that they explain, at a rung stopped ones.
    """
    return split == "test", -designs, -runs


def contexts(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each context, by `precedence` of their complete designs, then of all that were measured.

    A row that several storages hold counts once.
    """
    rows = frame.drop_duplicates("identity")
    parts = [part for _, part in rows.groupby(list(CONTEXT), sort=True)]
    return sorted(parts, key=lambda part: (precedence_of(part, ("complete",)), precedence_of(part, MEASURED)))


def precedence_of(rows: pd.DataFrame, statuses: Collection[str]) -> Precedence:
    """Of the rows of one context, those of these statuses counted."""
    counted = rows[rows["status"].isin(statuses)]
    return precedence(rows["split"].iloc[0], int(counted["network_key"].nunique()), len(counted))


def leading(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first of `contexts`.

    Raises:
        UserError: no design is complete in any.
    """
    parts = contexts(frame)
    if not parts or not (parts[0]["status"] == "complete").any():
        raise UserError(f"no complete row: nothing to draw; `{command(UNFINISHED)}` lists what is")
    return parts[0]


def with_rungs(rows: pd.DataFrame, everything: pd.DataFrame) -> pd.DataFrame:
    """The rows of one context and, of `everything`, those of the same trainings' other epochs: where others stopped."""
    first = rows.iloc[0]
    same = np.logical_and.reduce([everything[name] == first[name] for name in CONTEXT if name != "epochs"])
    return everything[same]


def in_words(rows: pd.DataFrame) -> str:
    """What a picture or a table of these rows of one context speaks of, so that no number is mistaken."""
    return words_of(rows.iloc[0])


def words_of(row: Mapping[Any, Any] | pd.Series[Any]) -> str:
    return (
        f"{row['data']} ({row['num_classes']} classes) at {row['image_size']} px, {row['split']} split, "
        f"{row['backbone']}, recipe {row['recipe']} ({str(row['recipe_hash'])[:8]}), "
        f"{row['epochs']} of {counted(row['schedule_epochs'], 'epoch')}"
    )
