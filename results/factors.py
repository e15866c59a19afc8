"""Designs as lines of a factorial experiment: the mean of each network, and its level on each axis."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

import pandas as pd

from results.axes import axes_of
from results.lines import GROUP
from results.row import LABELS, MEASURED
from search_space.errors import UserError
from search_space.vocabulary import EXCITATIONS

FACTORS = (
    *("squeeze", "wavelet", "depth", "frequencies", "bands", "statistic", "each"),
    *("excitation", "reduction", "kernel", "placement"),
)
"""The axes of a `Space`. Frequencies of a DCT and bands of a wavelet are no levels of one axis: no design could have
either, so that nothing would tell them from the squeeze."""
_SELECTIONS = ("frequencies", "bands")
MEASURES = ("accuracy", "loss")

_NEEDED = (*GROUP, *LABELS, "key", "status", "seed")
NEEDED = (*_NEEDED, *MEASURES)
"""The columns of `Store.frame` that explaining takes."""


def named_axes(given: Iterable[str], here: Collection[str] = FACTORS) -> list[str]:
    """The names, each once; `selection` is frequencies and bands, or those of them that are `here`.

    Raises:
        UserError: one is neither of `FACTORS` nor `here`; with the nearest.
    """
    allowed = list(dict.fromkeys([*FACTORS, *here, "selection"]))
    selections = [name for name in _SELECTIONS if name in here] or list(_SELECTIONS)
    names: list[str] = []
    for name in given:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UserError(f"axis {name!r} does not exist; {hint}Axes: {', '.join(allowed)} (frequencies or bands).")
        names += selections if name == "selection" else [name]
    return list(dict.fromkeys(names))


@cache
def levels_of(key: str) -> dict[str, str] | None:
    """{axis: level} of a design's key, of the axes that it has; None for several designs in one network, or unreadable.

    Words of the space: a kernel by ECA's rule is `adaptive`, a design that is where it was published is at `published`
    (its place is no choice of its own: whatever it does belongs to the excitation). Not to be changed.
    """
    found = axes_of(key)
    if found["squeeze"] in ("layered", "unreadable"):
        return None
    chosen = {axis: found[axis] for axis in FACTORS}
    if str(found["excitation"]).startswith("conv1d"):
        chosen["kernel"] = "adaptive" if found["kernel"] is None else f"k{found['kernel']}"
    if not _has_each(found["excitation"]):
        chosen["each"] = None
    if found["placement"] is not None and "@" not in key:
        chosen["placement"] = "published"
    return {axis: _word(level) for axis, level in chosen.items() if level is not None}


def _has_each(excitation: str | None) -> bool:
    """Whether a design could give this excitation all numbers of a channel: some take one alone."""
    return excitation is None or not (EXCITATIONS[excitation.split("-")[0]].one_number or "-g" in excitation)


def _word(level: Any) -> str:
    return str(level).lower() if isinstance(level, bool) else str(level)


def experiment(frame: pd.DataFrame, on: str = "accuracy", epochs: int | None = None) -> pd.DataFrame:
    """One line for each network in each context: its complete rows, or all that were measured at `epochs`.

    Columns: those of the context and its labels, network_key, key (the first, if it has several), runs (distinct
    seeds), mean and squares (sum of squared deviations from it) of `on`, and a column for each of `FACTORS`: a word, or
    None where the design lacks the axis. Networks of several designs have none but None.

    Raises:
        UserError: `on` is no measure, the frame lacks columns, or nothing was measured so.
    """
    if on not in MEASURES:
        raise UserError(f"on={on!r} can't be explained; allowed: {', '.join(MEASURES)}")
    missing = [name for name in (*_NEEDED, on) if name not in frame.columns]
    if missing:
        raise UserError(f"the frame lacks the columns {', '.join(missing)}; give the whole of store.frame()")
    rows = _chosen(frame, epochs).drop_duplicates([*GROUP, "seed"]).sort_values([*GROUP, "key", "seed"])
    grouped = rows.groupby(list(GROUP), sort=False)
    about: dict[str, Any] = {name: (name, "first") for name in (*LABELS, "key")}
    lines = grouped.agg(**about, runs=("seed", "size"), mean=(on, "mean"), squares=(on, "var")).reset_index()
    lines["squares"] = lines["squares"].fillna(0.0) * (lines["runs"] - 1)
    levels = [levels_of(key) or {} for key in lines["key"]]
    return lines.assign(**{axis: pd.Series([of.get(axis) for of in levels], dtype=object) for axis in FACTORS})


def _chosen(frame: pd.DataFrame, epochs: int | None) -> pd.DataFrame:
    measured = frame[frame["status"].isin(MEASURED)]
    chosen = measured[measured["status"] == "complete" if epochs is None else measured["epochs"] == epochs]
    if not chosen.empty:
        return chosen
    rungs = ", ".join(map(str, sorted(set(measured["epochs"])))) or "none"
    asked = "no row is complete" if epochs is None else f"no row was measured at {epochs} epochs"
    raise UserError(f"{asked}; epochs at which rows were measured: {rungs} (--epochs)")
