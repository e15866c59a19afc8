"""The pictures of one context in a report; where there is none, why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from results import figure_bases, figure_curves, figure_effects, figure_front, figure_noise
from results.effects import Explained
from results.figure_style import label, svg
from results.ranking import pareto
from results.report_bases import SitesOf, bases_of
from results.row import CONTEXT
from results.together import sentence
from search_space import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Drawn = tuple[Figure, str, str]
    """A figure, what it shows in words, and its caption."""


@dataclass(frozen=True, slots=True)
class Picture:
    """`markup` is an <svg> element of ours, or empty, and then the caption says why there is none."""

    name: str
    heading: str
    markup: str
    caption: str


def pictures(
    rows: pd.DataFrame,
    best: pd.DataFrame,
    name: str,
    *,
    explained: Sequence[Explained] = (),
    importances: Mapping[str, float] | None = None,
    sites: SitesOf | None = None,
) -> list[Picture]:
    """Those of the rows of one context, `best` their best designs; `name` makes ids of the page its own."""

    def made(kind: str, heading: str, draw: Callable[[], Drawn]) -> Picture:
        try:
            figure, told, caption = draw()
        except UserError as error:
            why = str(error).removeprefix(f"{kind}: ")
            return Picture(kind, heading, "", why[:1].upper() + why[1:])
        return Picture(kind, heading, svg(figure, f"{name}-{kind}", told), caption)

    here = rows.iloc[0]
    found = [made("front", "The front: accuracy against MACs", partial(_front, rows))]
    for model in explained:
        if any(model.about[column] != here[column] for column in CONTEXT):
            continue
        found.append(made("effects", "Which axis matters: effects", partial(_effects, model, importances)))
        if model.shortage is None:
            heading = "Which axes act together: interactions"
            found.append(made("interactions", heading, partial(_interactions, model)))
    found.append(made("curves", "Learning curves", partial(_curves, rows)))
    found.append(made("noise", "Noise: runs of the same design", partial(_noise, rows)))
    found.append(made("basis", "What a winning squeeze listens to", partial(_basis, best, rows, sites)))
    return found


def _front(rows: pd.DataFrame) -> Drawn:
    figure, best = figure_front.front(rows), pareto(rows)
    ends = [
        f"{label(one['design'])} with {100 * one['accuracy']:.2f} % at {one['macs'] / 1e6:,.3f} M"
        for one in best.to_dict("records")
    ]
    designs = rows.loc[rows["status"] == "complete", "network_key"].nunique()
    told = f"Accuracy of {designs:,} designs against MACs. The front has {len(best)}: from {ends[0]} to {ends[-1]}."
    return figure, told, figure_front.front_caption(rows)


def _effects(model: Explained, importances: Mapping[str, float] | None) -> Drawn:
    figure = figure_effects.effects(model, importances=importances)
    levels = model.effects().dropna(subset="effect")
    told = f"Effects of {len(levels)} levels of {levels['axis'].nunique()} axes on accuracy, with 95 % intervals."
    return figure, told, figure_effects.effects_caption(model)


def _interactions(model: Explained) -> Drawn:
    told = f"{sentence(model.interactions())} Their surest cells, with 95 % intervals."
    return figure_effects.interactions(model), told, figure_effects.interactions_caption(model)


def _curves(rows: pd.DataFrame) -> Drawn:
    figure = figure_curves.curves(rows)
    drawn = ", ".join(label(design) for design, _ in figure_curves.drawn_designs(rows))
    return figure, f"Accuracy by epoch of {drawn}.", figure_curves.curves_caption(rows)


def _noise(rows: pd.DataFrame) -> Drawn:
    figure = figure_noise.noise(rows)
    told = f"Runs of designs with several seeds: {figure_noise.in_numbers(rows)}."
    return figure, told, figure_noise.noise_caption(rows)


def _basis(best: pd.DataFrame, rows: pd.DataFrame, sites: SitesOf | None) -> Drawn:
    told, heard = bases_of([str(text) for text in best["design"]], rows, sites)
    if not heard:
        raise UserError(told)
    caption = f"{told} Tiles: {figure_bases.NOTE}."
    return figure_bases.bases(heard), f"The basis of {label(heard[0][0])}.", caption
