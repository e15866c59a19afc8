"""The picture of what is good and cheap: accuracy with its interval against a cost."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from results.contexts import in_words
from results.figure_labels import place_names
from results.figure_style import BLUE, CLOUD, INK, MUTED, PAPER, label, new_figure, style
from results.published import published
from results.ranking import pareto
from results.summary import summarise
from search_space.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COSTS = {
    "macs": ("MACs", "M", 1e-6),
    "params": ("parameters", "k", 1e-3),
    "latency": ("latency", "ms", 1e3),
    "memory": ("peak memory of training", "MiB", 2**-20),
    "seconds": ("training", "s", 1.0),
}
"""What a front may be drawn against: its name, its unit, and the factor to that."""

INTERVAL = "bars: 95 % confidence interval of the mean, spread between seeds pooled over all designs"
NO_INTERVAL = "no bars: no design has a second seed, so nothing tells luck"
_MANY = 1500  # points of a cloud that are worth a shape each
_LISTED = 12
_NUMBERED = 99
_SKEWED = 8.0  # the range of costs over that of the cheaper half, from which an even axis hides the half


def front(rows: pd.DataFrame, by: str = "macs", *, caption: str | None = None) -> Figure:
    """Mean accuracy against a cost over the rows of one context: every design, the front, published designs by name.

    Raises:
        UserError: `by` is no cost, no complete row has it, or MACs of several conventions would be compared.
    """
    if by not in COSTS:
        raise UserError(f"by={by!r} can't be drawn against; allowed: {', '.join(COSTS)}.")
    best = pareto(rows, "accuracy", by)  # refuses MACs of two conventions
    designs = summarise(rows).dropna(subset=[by])
    if designs.empty:
        raise UserError(f"no complete row has {by}: nothing to draw; allowed: {', '.join(COSTS)}.")
    title, unit, factor = COSTS[by]
    designs = designs.assign(x=designs[by].astype(float) * factor)
    best = best.assign(x=best[by].astype(float) * factor)
    names = published(designs)
    with style():
        key = [
            _line(number, one, f"{unit} {title}" if by in ("macs", "params") else unit)
            for number, one in enumerate(best.to_dict("records"), 1)
        ]
        said = caption is not None
        shown = key[:_LISTED] if said else []
        figure = new_figure(7.6, 4.7 + 0.155 * len(shown), caption)
        axes = figure.add_subplot()
        _cloud(axes, designs)
        _front_line(axes, best, designs["x"].max())
        named = designs[designs["network_key"].isin(names)]
        _intervals(axes, named, INK)
        inside = [BLUE if one in set(best["network_key"]) else PAPER for one in named["network_key"]]
        axes.scatter(named["x"], named["accuracy"] * 100, marker="D", s=30, c=inside, edgecolors=INK, zorder=5)
        axes.set_ylabel("top-1 accuracy, mean over seeds (%)")
        axes.margins(x=0.06, y=0.1)
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -2), min(high, 102))  # an interval of few noisy seeds may leave what can be
        over = _stretch(axes, designs["x"].to_numpy()) if by in ("macs", "params") else None
        axis = (
            f"{title} ({unit})" if over is None else f"{title}: the least, {over:,.3f} {unit}, and what is added to it"
        )
        axes.set_xlabel("\n".join([axis, *(["", "the front:"] if said else []), *shown]), loc="left" if said else None)
        _legend(axes, designs, best, named)
        wanted = [(x, y, names[network]) for x, y, network in zip(*_points(named), named["network_key"], strict=True)]
        numbers = [(x, y, str(number)) for number, (x, y) in enumerate(zip(*_points(best), strict=True), 1)][:_NUMBERED]
        lost = place_names(axes, [*numbers, *wanted], [])
        if lost:
            axes.text(0.99, 0.01, f"no room to name {len(lost)}", transform=axes.transAxes, ha="right", color=MUTED)
    return figure


def front_caption(rows: pd.DataFrame, by: str = "macs") -> str:
    conventions = sorted(set(rows.loc[rows["status"] == "complete", "macs_convention"]))
    counted = f" Counted: {', '.join(conventions)}." if by == "macs" else ""
    bars = INTERVAL if summarise(rows)["accuracy_low"].notna().any() else NO_INTERVAL
    return f"{in_words(rows)}. {_capital(bars)}.{counted}"


def _cloud(axes: Axes, designs: pd.DataFrame) -> None:
    many = len(designs) > _MANY
    axes.scatter(
        designs["x"],
        designs["accuracy"] * 100,
        s=9 if many else 16,
        c=CLOUD,
        alpha=0.35 if many else 0.55,
        linewidths=0,
        rasterized=many,
        zorder=2,
    )


def _front_line(axes: Axes, best: pd.DataFrame, right: float) -> None:
    """What is reached at a cost stays reached at a higher one: steps, drawn to the dearest design."""
    x = np.append(best["x"].to_numpy(), max(right, best["x"].max()))
    y = np.append(best["accuracy"].to_numpy(), best["accuracy"].max()) * 100
    axes.step(x, y, where="post", color=BLUE, linewidth=1.3, alpha=0.8, zorder=3)
    _intervals(axes, best, BLUE)
    axes.scatter(best["x"], best["accuracy"] * 100, s=42, c=BLUE, edgecolors=PAPER, linewidths=0.7, zorder=4)


def _intervals(axes: Axes, designs: pd.DataFrame, colour: str) -> None:
    known = designs.dropna(subset=["accuracy_low", "accuracy_high"])
    axes.vlines(
        known["x"], known["accuracy_low"] * 100, known["accuracy_high"] * 100, color=colour, alpha=0.45, zorder=3
    )


def _stretch(axes: Axes, x: NDArray[np.float64]) -> float | None:
    """Let what is added to the cheapest design count by powers of ten, if a few dear designs would hide the others.

    Returns the cost of the cheapest, None where an even axis is left. Gates hardly move MACs: most designs lie within a
    few thousandths of the plain network, and a block or two a tenth above it.
    """
    least = x.min()
    added = x - least
    if least <= 0 or added.max() <= _SKEWED * np.median(added):
        return None
    percent = 100 * added[added > 0] / least
    lowest = 10.0 ** np.floor(np.log10(np.quantile(percent, 0.1)))
    step = least * lowest / 100
    axes.set_xscale(
        "function", functions=(lambda v: np.arcsinh((v - least) / step), lambda v: least + step * np.sinh(v))
    )
    ticks = [lowest * 10**k for k in range(12) if lowest * 10**k <= percent.max() * 1.3]
    axes.set_xticks([least, *(least * (1 + p / 100) for p in ticks)], ["least", *(f"+{p:g} %" for p in ticks)])
    axes.set_xlim(least - 0.7 * step, least + added.max() * 1.35)
    return float(least)


def _legend(axes: Axes, designs: pd.DataFrame, best: pd.DataFrame, named: pd.DataFrame) -> None:
    from matplotlib.lines import Line2D

    def dot(marker: str, face: str, edge: str, text: str) -> Line2D:
        return Line2D([], [], marker=marker, linestyle="", color=face, markeredgecolor=edge, label=text, markersize=6)

    handles = [
        dot("o", BLUE, BLUE, f"front ({len(best)}, numbered)"),
        dot("D", PAPER, INK, f"published ({len(named)})"),
        dot("o", CLOUD, CLOUD, f"all designs ({len(designs):,})"),
    ]
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, borderaxespad=0.2)


def _line(number: int, one: Mapping[Hashable, Any], unit: str) -> str:
    return f"{number}  {label(one['design'])}: {100 * one['accuracy']:.2f} % (n = {one['n']}) at {one['x']:,.3f} {unit}"


def _points(designs: pd.DataFrame) -> tuple[list[float], list[float]]:
    return designs["x"].tolist(), (designs["accuracy"] * 100).tolist()


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
