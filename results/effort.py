"""What a search has done and what it cost, failures and early stops included."""

from __future__ import annotations

import pandas as pd

from results.counted import counted
from results.row import CONTEXT

_TRIAL = [*(name for name in CONTEXT if name != "epochs"), "network_key", "seed"]
_ENDS = {"complete": "went to the end", "stopped": "stopped at a rung", "failed": "failed", "running": "under way"}


def outcomes(rows: pd.DataFrame) -> str:
    """`49 trainings: 26 went to the end, 23 stopped at a rung`: a network with a seed counts once, as it ended last."""
    last = rows.sort_values("epochs", kind="stable").drop_duplicates(_TRIAL, keep="last")
    number = last["status"].value_counts()
    ends = ", ".join(f"{number[status]:,} {words}" for status, words in _ENDS.items() if status in number)
    return f"{counted(len(last), 'training')}{': ' if ends else ''}{ends}"


def own_seconds(rows: pd.DataFrame) -> pd.Series[float]:
    """The seconds that each evaluation itself took, 0 where unknown.

    `Row.seconds` is that of a whole training: one that goes on from a rung below holds that rung's seconds too, and
    their sum would count them twice. From claim to finish is this evaluation's own.
    """
    wall = (rows["finished"] - rows["started"]).clip(lower=0)
    return rows["seconds"].where(wall.isna() | (rows["seconds"] <= wall), wall).fillna(0.0)
