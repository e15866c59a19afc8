"""What a search has cost: device-hours and epochs, failures and early stops included."""

from __future__ import annotations

import pandas as pd


def own_seconds(rows: pd.DataFrame) -> pd.Series[float]:
    """The seconds that each evaluation itself took, 0 where unknown.

    `Row.seconds` is that of a whole training: one that goes on from a rung below holds that rung's seconds too, and
    their sum would count them twice. From claim to finish is this evaluation's own.
    """
    wall = (rows["finished"] - rows["started"]).clip(lower=0)
    return rows["seconds"].where(wall.isna() | (rows["seconds"] <= wall), wall).fillna(0.0)
