"""The part of a report that speaks of one context: winners, pictures, and the table of all designs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from results.contexts import in_words
from results.counted import counted
from results.effects import Explained
from results.published import published
from results.ranking import criterion, pareto, top
from results.report_bases import SitesOf
from results.report_facts import Table
from results.report_pictures import Picture, pictures
from results.report_table import designs_table, stopped_designs
from results.spread import spread
from results.suggest import command
from results.summary import summarise

_WINNERS = 10


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    heading: str
    headline: str
    summary: list[str]
    ranked: str
    winners: Table
    front: Table
    pictures: list[Picture]
    designs: dict[str, Any]


def part(
    rows: pd.DataFrame,
    everything: pd.DataFrame,
    name: str,
    *,
    explained: Sequence[Explained] = (),
    importances: Mapping[str, float] | None = None,
    sites: SitesOf | None = None,
) -> Part:
    """The part for the rows of one context, and what of `everything` was stopped on the way there; `name` makes its ids
    its own on the page."""
    lines, stopped = summarise(rows), stopped_designs(rows, everything)
    best = top(rows, n=_WINNERS, by="expected")
    headline, *sentences = _summary(rows, best)
    return Part(
        name=name,
        heading=in_words(rows),
        headline=headline,
        summary=[_trained(rows, lines, stopped), headline, *sentences],
        ranked=criterion(best),
        winners=_ranking(best),
        front=_ranking(pareto(rows)),
        pictures=pictures(rows, best, name, explained=explained, importances=importances, sites=sites),
        designs=designs_table(lines, stopped),
    )


def _trained(rows: pd.DataFrame, lines: pd.DataFrame, stopped: pd.DataFrame) -> str:
    more = f" Stopped at a rung on the way: {len(stopped):,} more." if len(stopped) else ""
    return f"Trained to the end: {counted(len(lines), 'design')} in {counted(int(lines['n'].sum()), 'run')}.{more}"


def _summary(rows: pd.DataFrame, best: pd.DataFrame) -> list[str]:
    """Who leads, first; how sure that is."""
    complete = rows[rows["status"] == "complete"].drop_duplicates(["network_key", "seed"])
    luck = spread(complete["accuracy"], complete["network_key"])
    leader = best.iloc[0]
    if luck.df < 1:
        return [
            f"{leader['design']} has the highest accuracy, {_percent(leader['accuracy'])}, with one seed. No design "
            "has a second seed, so nothing tells luck from merit: the order may be the order of luck. "
            f"`{command('train none se --seeds 5', like=leader)}` tells the spread.",
        ]
    gap = 2**0.5 * luck.half_width(1)
    return [
        f"{leader['design']} leads: {_percent(leader['expected'])} is what fresh seeds are expected to give, "
        f"{_percent(leader['accuracy'])} the mean it reached (n = {leader['n']}, 95 % interval {_interval(leader)}).",
        "The mean of the best of many is flattered: it was chosen for it. The expected accuracy draws each mean "
        "towards that of all designs, the more the fewer its seeds; a winner is sure only when fresh seeds confirm it "
        f"(`{command('confirm', like=leader)}`).",
        f"Between seeds of one design the standard deviation is {100 * luck.within:.2f} points, between designs "
        f"{100 * luck.between:.2f}: two designs of one seed each must differ by {100 * gap:.2f} points before the "
        "difference means anything.",
    ]


def _ranking(lines: pd.DataFrame) -> Table:
    columns = ("", "design", "n", "mean %", "95 % interval", "expected %", "MACs (M)", "params", "seconds")
    rows = [
        [
            str(number),
            f"{line['design']}{_published(line)}",
            f"{line['n']}",
            f"{100 * line['accuracy']:.2f}",
            _interval(line),
            _percent(line["expected"], ""),
            f"{line['macs'] / 1e6:,.3f}",
            f"{line['params']:,}",
            _number(line["seconds"], 1, 1.0) or "–",
        ]
        for number, (_, line) in enumerate(lines.iterrows(), 1)
    ]
    return Table(columns, rows, frozenset({0, 2, 3, 4, 5, 6, 7, 8}))


def _published(line: pd.Series[Any]) -> str:
    name = published(line.to_frame().T).get(str(line["network_key"]))
    return "" if name is None or name == line["design"] else f"  ({name})"


def _percent(value: float, unit: str = " %") -> str:
    return "–" if pd.isna(value) else f"{100 * value:.2f}{unit}"


def _interval(line: pd.Series[Any]) -> str:
    if pd.isna(line["accuracy_low"]):
        return "–"
    return f"{100 * line['accuracy_low']:.2f} to {100 * line['accuracy_high']:.2f}"


def _number(value: float, digits: int, factor: float) -> str:
    return "" if pd.isna(value) else f"{value * factor:,.{digits}f}"
