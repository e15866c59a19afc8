"""What each choice of a design is worth: its neighbours, trained with the same seeds, beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from results.row import CONTEXT
from results.spread import LEVEL
from search_space.errors import UserError

Floats = NDArray[np.float64]

COLUMNS = (
    *("axis", "design", "key", "network_key", "n", "accuracy", "difference", "low", "high", "df"),
    *("macs", "macs_difference", "params", "params_difference"),
)


@dataclass(frozen=True)
class Paired:
    """Differences to the first design, each over the `n` seeds that both have; shape [designs - 1].

    `deviation` is that of one run once what its design and its seed do is taken away, pooled over all designs, with
    `df` degrees of freedom. `half_width` makes intervals that hold for all designs at once.
    """

    n: NDArray[np.intp]
    difference: Floats
    deviation: float
    df: int

    @property
    def half_width(self) -> Floats:
        compared = int((self.n > 0).sum())
        if self.df < 1 or not compared:
            return np.full(len(self.n), np.nan)
        quantile = stdtrit(self.df, 1 - (1 - LEVEL) / 2 / compared)
        return np.asarray(quantile * self.deviation * np.sqrt(2 / np.where(self.n > 0, self.n, np.nan)))


def paired(values: Floats) -> Paired:
    """From `values`, shape [designs, seeds], NaN where a run is missing: a randomised block design, seeds its blocks.

    run = design + seed + luck of the two together, of one variance; with a spread pooled over all designs three seeds
    decide. The intervals are Bonferroni's over the comparisons, which share a deviation and a first design: valid
    whatever runs are missing, and a few per cent wider than Dunnett's, which are exact when none is.
    """
    there = np.isfinite(values)
    both = there[1:] & there[0]
    n = both.sum(axis=1)
    gaps = np.where(both, values[1:] - values[0], 0.0)
    difference = np.where(n > 0, gaps.sum(axis=1) / np.maximum(n, 1), np.nan)
    designs, seeds = np.nonzero(there)
    columns = np.hstack([np.eye(values.shape[0])[designs], np.eye(values.shape[1])[seeds]])
    runs = values[there]
    fit, _, rank, _ = np.linalg.lstsq(columns, runs, rcond=None)
    df = len(runs) - int(rank)
    left = runs - columns @ fit
    deviation = float(left @ left / df) ** 0.5 if df > 0 else float("nan")
    return Paired(n, difference, deviation, df)


def ablation(frame: pd.DataFrame, base: str, choices: Mapping[str, str]) -> pd.DataFrame:
    """A line for the design with the network key `base`, then one for each of `choices` ({network key: axis}).

    `frame` holds rows of one context, the seeds that are to be compared. Columns: axis (None of the design itself),
    design, key, network_key, n (seeds it shares with the design), accuracy (mean of its complete rows), difference to
    the design over the shared seeds with low and high (simultaneous 95 % interval over all choices; NaN with one seed)
    and df (degrees of freedom of the spread behind all intervals), macs, params and their differences. Choices that
    have no row at all are left out.

    Raises:
        UserError: rows of several contexts, or none of the design.
    """
    wanted = frame[frame["network_key"].isin([base, *choices])]
    if wanted[list(CONTEXT)].drop_duplicates().shape[0] > 1:
        raise UserError("rows of different data, recipe or fidelity can't be compared; select those of one context")
    complete = wanted[wanted["status"] == "complete"].drop_duplicates(["network_key", "seed"])
    if base not in set(complete["network_key"]):
        raise UserError(f"no complete row of the design itself (network {base}), which the others are compared with")
    table = complete.pivot(index="network_key", columns="seed", values="accuracy")
    order = [base, *(key for key in choices if key in set(wanted["network_key"]))]
    table = table.reindex(order)
    values = table.to_numpy(dtype=float)
    found = paired(values)
    half = found.half_width
    about = wanted.drop_duplicates("network_key").set_index("network_key").loc[order]
    lines = about.reset_index()[["network_key", "design", "key", "macs", "params"]].assign(
        axis=pd.Series([None, *(choices[key] for key in order[1:])], dtype=object),
        n=[int(np.isfinite(values[0]).sum()), *found.n.tolist()],
        accuracy=table.mean(axis=1).to_numpy(),
        difference=[np.nan, *found.difference],
        low=[np.nan, *(found.difference - half)],
        high=[np.nan, *(found.difference + half)],
        df=found.df,
    )
    for cost in ("macs", "params"):
        lines[f"{cost}_difference"] = lines[cost] - lines[cost].iloc[0]
    return lines[list(COLUMNS)]
