"""Two designs beside each other: their means, the difference, and how sure it is."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pandas as pd

from results.lines import GROUP, lines_of
from results.power import seeds_needed
from results.row import CONTEXT, LABELS
from results.spread import Spread, half_width
from results.suggest import command
from results.summary import spreads, summarise
from search_space import find_design
from search_space.errors import UserError

PAIRED_FROM = 4
"""Common seeds from which on the differences seed by seed are used alone.

A pair of designs with a common seed shares part of its luck, which the difference is free of; but its spread is then
estimated from these few differences. With 2 of them Student's factor is 12.7 and with 3 it is 4.3, against 2.0 of the
spread that is pooled over the whole context: what is shared can't make up for that.
"""
_MEASURES = ("accuracy", "accuracy_low", "accuracy_high", "loss", "macs", "params", "latency", "memory", "seconds")

Side = str | pd.Series


class Difference(NamedTuple):
    """A difference of means, its interval (NaN where nothing is known of luck), and how it was computed."""

    method: str
    common_seeds: int
    value: float
    half: float
    needed: float  # seeds of each design, to see a true difference of this size; NaN where not known


def compare(rows: pd.DataFrame, a: Side, b: Side, lines: pd.DataFrame | None = None) -> pd.DataFrame:
    """One line for each context in which both designs have complete rows.

    `rows` are those of both designs, of others too if `lines` are not given: what `Store.lines` says of all designs,
    which tells the spread. `a` and `b` are keys, design texts or presets, or a truth for each row of the frame that
    says whether it is of this design. By a text rows of other spellings of its network are found where rows of its own
    tell which network it is; else `search.twins.rows_of` tells it, which builds the network.

    Columns: the context and its labels; a and b (the designs' texts), and of each (`..._a`, `..._b`) n, accuracy with
    its interval as in `summarise`, loss, macs, params, latency, memory, seconds; common_seeds; difference (accuracy of
    A less that of B), difference_low and difference_high (95 % confidence interval), method; and seeds_needed: how many
    of each a true difference of this size would take to be seen (95 % interval, power 80 %).

    method is "paired": Student's t on the differences between equal seeds, of which there are `PAIRED_FROM` or more;
    "unpaired": the spread between seeds pooled over all designs of the context; or "none" where no design of the
    context has a second seed, and nothing tells luck.

    Raises:
        UserError: a text is no design, both are the same rows, or no context has complete rows of both.
    """
    rows = rows.reset_index(drop=True)  # joined frames may have an index twice
    summary, luck = _of_all(rows if lines is None else lines)
    complete = rows["status"] == "complete"
    sides = {}
    for name, side in (("a", a), ("b", b)):
        of_side = rows[complete & _chosen(rows, side)]
        sides[name] = of_side.drop_duplicates([*GROUP, "seed"])
    networks = {network for side in sides.values() for network in side["network_key"]}
    means = _by_context(summary[summary["network_key"].isin(networks)])
    there = {name: _by_context(side) for name, side in sides.items()}
    found = [
        _line(context, {name: parts[context] for name, parts in there.items()}, means[context], luck[context])
        for context in luck
        if all(context in parts for parts in there.values())
    ]
    if not found:
        raise UserError(_nothing(a, b, sides))
    return pd.DataFrame(found)


def _by_context(rows: pd.DataFrame) -> dict[Any, pd.DataFrame]:
    return dict(iter(rows.groupby(list(CONTEXT))))


def _of_all(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[Any, Spread]]:
    """The summary of all designs, and the spread of each context."""
    lines = lines_of(rows)
    luck = {tuple(lines[list(CONTEXT)].iloc[here[0]]): of_runs for here, of_runs in spreads(lines)}
    return summarise(lines), luck


def _chosen(frame: pd.DataFrame, side: Side) -> pd.Series:
    if not isinstance(side, str):
        return side.reset_index(drop=True)
    named = frame["key"] == find_design(side).key
    return named | frame["network_key"].isin(frame.loc[named, "network_key"])


def _line(context: Any, rows: dict[str, pd.DataFrame], summary: pd.DataFrame, luck: Spread) -> dict[str, Any]:
    networks = {name: side["network_key"].iloc[0] for name, side in rows.items()}
    of_context = summary.set_index("network_key")
    line = dict(zip(CONTEXT, context, strict=True)) | {name: of_context[name].iloc[0] for name in LABELS}
    if networks["a"] == networks["b"]:
        design = rows["a"]["design"].iloc[0]
        raise UserError(f"{design!r} and {rows['b']['design'].iloc[0]!r} are one network on {line['backbone']}")
    line |= {name: of_context.loc[networks[name], "design"] for name in ("a", "b")}
    for measure in ("n", *_MEASURES):
        line |= {f"{measure}_{name}": of_context.loc[networks[name], measure] for name in ("a", "b")}
    by_seed = {name: side.set_index("seed")["accuracy"] for name, side in rows.items()}
    found = difference(by_seed["a"], by_seed["b"], luck)
    return line | {
        "common_seeds": found.common_seeds,
        "difference": found.value,
        "difference_low": found.value - found.half,
        "difference_high": found.value + found.half,
        "method": found.method,
        "seeds_needed": found.needed,
        "hardware": " + ".join(sorted({*rows["a"]["hardware"].dropna(), *rows["b"]["hardware"].dropna()})),
    }


def difference(a: pd.Series, b: pd.Series, luck: Spread) -> Difference:
    """The accuracy of A less that of B, each by seed, where `luck` is the spread of their context."""
    common = a.index.intersection(b.index)
    if len(common) >= PAIRED_FROM:
        each = (a.loc[common] - b.loc[common]).to_numpy()
        sd, n = float(each.std(ddof=1)), len(each)
        half = float(half_width(sd, n - 1, n))
        return Difference("paired", n, float(each.mean()), half, _needed(float(each.mean()), sd, paired=True))
    value = float(a.mean() - b.mean())
    if luck.df < 1:
        return Difference("none", len(common), value, math.nan, math.nan)
    half = float(luck.half_width(1 / (1 / len(a) + 1 / len(b))))
    return Difference("unpaired", len(common), value, half, _needed(value, luck.within, paired=False))


def _needed(gap: float, sd: float, *, paired: bool) -> float:
    return seeds_needed(abs(gap), sd, paired=paired) if gap else math.nan


def _nothing(a: Side, b: Side, sides: dict[str, pd.DataFrame]) -> str:
    named = [
        side if isinstance(side, str) else str(rows["design"].iloc[0]) if len(rows) else name.upper()
        for (name, rows), side in zip(sides.items(), (a, b), strict=True)
    ]
    empty = [name for name, side in zip(named, sides.values(), strict=True) if side.empty]
    like = next((side.iloc[0] for side in sides.values() if len(side)), None)
    if empty:
        return (
            f"no complete row of {' and '.join(map(repr, empty))}; `{command('train', *empty, like=like)}` makes some"
        )
    both = [str(side["design"].iloc[0]) for side in sides.values()]
    return (
        f"{named[0]!r} and {named[1]!r} have no complete rows of the same data, backbone, recipe and fidelity; "
        f"`{command('train', *both, like=like)}` trains both alike"
    )
