"""How long one training takes here, as its like took or a few steps take now; what so many come to, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from results.counted import counted
from search.candidates import Candidate
from search.short_trial import short_trial
from search.wording import duration
from trainers.environment import hardware, pick_device

if TYPE_CHECKING:
    from results.row import Row
    from search.objective import Setting
    from search_space import AttentionDesign, Layered


@dataclass(frozen=True)
class Clock:
    """The seconds of one training: `measured` on a few steps, or the median of so many `rows` of the same context.

    `elsewhere`: none of these rows is of this hardware.
    """

    seconds_each: float
    measured: bool = False
    rows: int = 0
    elsewhere: bool = False

    def __str__(self) -> str:
        if self.measured:
            return f"{duration(self.seconds_each)} each, measured on a few steps"
        of = f"{'' if self.rows == 1 else 'the median of '}{counted(self.rows, 'row')} of the same recipe"
        return f"{duration(self.seconds_each)} each, {of}{', all of other hardware' if self.elsewhere else ''}"


def clock(rows: Sequence[Row], design: AttentionDesign | Layered, setting: Setting) -> Clock:
    """By the complete ones of `rows`, of this hardware if there are any; `design` is tried where no row tells."""
    here = hardware(pick_device(setting.device))
    took = [row for row in rows if row.status == "complete" and row.seconds is not None]
    took_here = [row for row in took if row.hardware == here]
    seconds = [_from_the_start(row) for row in took_here or took]
    if seconds:
        return Clock(median(seconds), rows=len(seconds), elsewhere=not took_here)
    short = short_trial(Candidate(design, setting.network_key(design), setting.cost(design)), setting)
    recipe = setting.recipe
    return Clock(short.seconds(recipe.epochs_trained(recipe.epochs, setting.steps_an_epoch)), measured=True)


def _from_the_start(row: Row) -> float:
    """What the row would have taken had no rung trained a part of it."""
    assert row.seconds is not None
    return row.seconds * row.epochs / row.epochs_trained if row.epochs_trained else row.seconds


def work_line(trainings: int, left: int, each: Clock) -> str:
    """`6 trainings, 2 already there, 4 still to do: about 56 s in one process (14 s each, ...)`."""
    line = f"{counted(trainings, 'training')}, {trainings - left:,} already there, {left:,} still to do"
    if not left:
        return line
    return f"{line}: about {duration(left * each.seconds_each)} in one process ({each})"
