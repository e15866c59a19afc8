"""The part of a report that speaks of one context: winners, pictures, and the table of all designs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from results import figure_bases, figure_curves, figure_effects, figure_front, figure_noise
from results.contexts import in_words
from results.effects import Explained
from results.figure_style import label, svg
from results.ranking import criterion, pareto, top
from results.report_bases import SitesOf, bases_of
from results.report_facts import Table, counts
from results.report_table import designs_table
from results.row import CONTEXT
from results.spread import spread
from results.summary import summarise
from results.together import sentence
from search_space import UserError

_WINNERS = 10


@dataclass(frozen=True, slots=True)
class Picture:
    """`markup` is an <svg> element of ours, or empty, and then the caption says why there is none."""

    name: str
    heading: str
    markup: str
    caption: str


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    heading: str
    summary: list[str]
    ranked: str
    winners: Table
    front: Table
    pictures: list[Picture]
    designs: dict[str, Any]


def part(
    rows: pd.DataFrame,
    name: str,
    *,
    explained: Sequence[Explained] = (),
    importances: Mapping[str, float] | None = None,
    sites: SitesOf | None = None,
) -> Part:
    """The part for the rows of one context; `name` makes its ids its own on the page."""
    lines = summarise(rows)
    best = top(rows, n=_WINNERS, by="expected")
    return Part(
        name=name,
        heading=in_words(rows),
        summary=_summary(rows, lines, best),
        ranked=criterion(best),
        winners=_ranking(best),
        front=_ranking(pareto(rows)),
        pictures=[
            _front(rows, lines, name),
            *(picture for model in explained for picture in _explained(model, rows, importances, name)),
            _curves(rows, name),
            _noise(rows, name),
            _bases(best, rows, sites, name),
        ],
        designs=designs_table(lines),
    )


def _summary(rows: pd.DataFrame, lines: pd.DataFrame, best: pd.DataFrame) -> list[str]:
    complete = rows[rows["status"] == "complete"].drop_duplicates(["network_key", "seed"])
    luck = spread(complete["accuracy"], complete["network_key"])
    leader = best.iloc[0]
    said = [f"{len(lines):,} designs were trained to the end, in {len(complete):,} runs ({counts(rows)})."]
    if luck.df < 1:
        return [
            *said,
            f"{leader['design']} has the highest accuracy, {_percent(leader['accuracy'])}, with one seed. No design "
            "has a second seed, so nothing tells luck from merit: the order below may be the order of luck. "
            "attnas train none se --seeds 5 tells the spread.",
        ]
    said.append(
        f"{leader['design']} leads: {_percent(leader['expected'])} is what fresh seeds are expected to give, "
        f"{_percent(leader['accuracy'])} the mean it reached (n = {leader['n']}, 95 % interval {_interval(leader)})."
    )
    said.append(
        "The mean of the best of many is flattered: it was chosen for it. The expected accuracy draws each mean "
        "towards that of all designs, the more the fewer its seeds; a winner is sure only when fresh seeds confirm it "
        "(attnas confirm)."
    )
    gap = 2**0.5 * luck.half_width(1)
    said.append(
        f"Between seeds of one design the standard deviation is {100 * luck.within:.2f} points, between designs "
        f"{100 * luck.between:.2f}: two designs of one seed each must differ by {100 * gap:.2f} points before the "
        "difference means anything."
    )
    return said


def _ranking(lines: pd.DataFrame) -> Table:
    columns = ("", "design", "n", "mean %", "95 % interval", "expected %", "MACs (M)", "params", "s")
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
    name = figure_front.published(line.to_frame().T).get(str(line["network_key"]))
    return "" if name is None or name == line["design"] else f"  ({name})"


def _front(rows: pd.DataFrame, lines: pd.DataFrame, name: str) -> Picture:
    heading = "The front: accuracy against MACs"
    try:
        figure, best = figure_front.front(rows), pareto(rows)
    except UserError as error:
        return Picture("front", heading, "", str(error))
    ends = [
        f"{label(one['design'])} with {_percent(one['accuracy'])} at {one['macs'] / 1e6:,.3f} M"
        for one in best.to_dict("records")
    ]
    told = f"Accuracy of {len(lines):,} designs against MACs. The front has {len(best)}: from {ends[0]} to {ends[-1]}."
    return Picture("front", heading, svg(figure, f"{name}-front", told), figure_front.front_caption(rows))


def _explained(
    model: Explained, rows: pd.DataFrame, importances: Mapping[str, float] | None, name: str
) -> Iterator[Picture]:
    """Effects and interactions, if it is the model of this context."""
    here = rows.iloc[0]
    if any(model.about[column] != here[column] for column in CONTEXT):
        return
    yield _effects(model, importances, name)
    if model.shortage is None:
        yield _interactions(model, name)


def _effects(model: Explained, importances: Mapping[str, float] | None, name: str) -> Picture:
    heading = "Which axis matters: effects"
    try:
        figure = figure_effects.effects(model, importances=importances)
    except UserError as error:
        return Picture("effects", heading, "", str(error))
    levels = model.effects().dropna(subset="effect")
    told = f"Effects of {len(levels)} levels of {levels['axis'].nunique()} axes on accuracy, with 95 % intervals."
    return Picture("effects", heading, svg(figure, f"{name}-effects", told), figure_effects.effects_caption(model))


def _interactions(model: Explained, name: str) -> Picture:
    heading = "Which axes act together: interactions"
    try:
        figure = figure_effects.interactions(model)
    except UserError as error:
        return Picture("interactions", heading, "", str(error))
    told = f"{sentence(model.interactions())} Their surest cells, with 95 % intervals."
    markup = svg(figure, f"{name}-interactions", told)
    return Picture("interactions", heading, markup, figure_effects.interactions_caption(model))


def _curves(rows: pd.DataFrame, name: str) -> Picture:
    heading = "Learning curves"
    try:
        figure = figure_curves.curves(rows)
    except UserError as error:
        return Picture("curves", heading, "", str(error))
    drawn = ", ".join(label(design) for design, _ in figure_curves.drawn_designs(rows))
    told = f"Accuracy by epoch of {drawn}."
    return Picture("curves", heading, svg(figure, f"{name}-curves", told), figure_curves.curves_caption(rows))


def _noise(rows: pd.DataFrame, name: str) -> Picture:
    heading = "Noise: runs of the same design"
    try:
        figure = figure_noise.noise(rows)
    except UserError as error:
        return Picture("noise", heading, "", str(error))
    told = f"Runs of designs with several seeds: {figure_noise.in_numbers(rows)}."
    return Picture("noise", heading, svg(figure, f"{name}-noise", told), figure_noise.noise_caption(rows))


def _bases(best: pd.DataFrame, rows: pd.DataFrame, sites: SitesOf | None, name: str) -> Picture:
    heading = "What the winning squeeze listens to"
    told, heard = bases_of([str(text) for text in best["design"]], rows, sites)
    if not heard:
        return Picture("basis", heading, "", told)
    markup = svg(figure_bases.bases(heard), f"{name}-basis", f"The basis of {label(heard[0][0])}.")
    return Picture("basis", heading, markup, f"{told} Tiles: {figure_bases.NOTE}.")


def _percent(value: float, unit: str = " %") -> str:
    return "–" if pd.isna(value) else f"{100 * value:.2f}{unit}"


def _interval(line: pd.Series[Any]) -> str:
    if pd.isna(line["accuracy_low"]):
        return "unknown"
    return f"{100 * line['accuracy_low']:.2f} to {100 * line['accuracy_high']:.2f}"


def _number(value: float, digits: int, factor: float) -> str:
    return "" if pd.isna(value) else f"{value * factor:,.{digits}f}"
