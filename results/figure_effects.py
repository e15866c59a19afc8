"""What each level of each axis is worth, and which cells of a pair of axes are worth more or less than that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from results.contexts import words_of
from results.effects import Explained
from results.figure_style import BLUE, INK, MUTED, label, new_figure, style
from results.together import BY_ITSELF, LUCK, beyond_luck, cells_of, p_in_words, sentence
from search_space.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_PAIRS = 3
_CELLS = 10


def effects(one: Explained, *, importances: Mapping[str, float] | None = None, caption: str | None = None) -> Figure:
    """Dots and intervals of every level, a panel an axis, in points of accuracy.

    What the rows can't tell is said in words. `importances` ({axis: share}) are Optuna's, written beside the axis.

    Raises:
        UserError: there are too few designs, or nothing to draw.
    """
    if one.shortage is not None:
        raise UserError(f"No effects: {one.shortage}")
    found = one.effects()
    if found["effect"].notna().sum() == 0:
        raise UserError("effects: the rows tell the effect of no axis; more designs that differ are needed.")
    found = found.assign(name=found["level"])
    panels = [found[found["axis"] == name].reset_index(drop=True) for name in dict.fromkeys(found["axis"])]
    shares = importances or {}
    titles = [
        f"{label(name)}   (importance by Optuna {shares[name]:.0%})" if name in shares else label(name)
        for name in dict.fromkeys(found["axis"])
    ]
    return _drawn(panels, titles, "effect on top-1 accuracy (points), other axes held equal", caption)


def interactions(one: Explained, *, caption: str | None = None) -> Figure:
    """Dots and intervals of the surest cells of the pairs of axes that act together beyond luck, a panel a pair.

    Raises:
        UserError: there is no such pair.
    """
    if one.shortage is not None:
        raise UserError(f"No interactions: {one.shortage}")
    cells = one.interactions()
    found = beyond_luck(cells).head(_PAIRS).to_dict("records")
    if not found:
        raise UserError(sentence(cells))
    panels = [
        cells_of(cells, pair["axis"], pair["other_axis"]).head(_CELLS).sort_values("effect", ascending=False)
        for pair in found
    ]
    panels = [
        panel.assign(name=panel["level"] + " x " + panel["other_level"]).reset_index(drop=True) for panel in panels
    ]
    titles = [
        f"{label(pair['axis'])} x {label(pair['other_axis'])}   (p by Holm {p_in_words(pair['p_holm'])}, "
        f"share of variance {100 * pair['share']:.0f} %)"
        for pair in found
    ]
    return _drawn(panels, titles, "top-1 accuracy (points) beyond what both levels lead to expect", caption)


def _drawn(panels: Sequence[pd.DataFrame], titles: Sequence[str], unit: str, caption: str | None) -> Figure:
    heights = [len(panel) + 1.1 for panel in panels]
    with style():
        figure = new_figure(7.6, 0.7 + 0.225 * sum(heights), caption)
        drawn = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, title, panel in zip(drawn, titles, panels, strict=True):
            _panel(axes, panel)
            axes.set_title(title, fontweight="bold", fontsize=9)
        drawn[-1].set_xlabel(unit)
    return figure


def _panel(axes: Any, panel: pd.DataFrame) -> None:
    y = -panel.index.to_numpy()
    known = panel["effect"].notna()
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.hlines(y[known], panel["low"][known] * 100, panel["high"][known] * 100, color=BLUE, linewidth=1.7)
    axes.plot(panel["effect"][known] * 100, y[known], "o", color=BLUE, markersize=5)
    for at in y[~known]:
        axes.text(0, at, "  these rows can't tell", va="center", color=MUTED, fontsize=8)
    axes.set_yticks(list(y), [f"{label(one['name'])}  ({one['designs']:.0f})" for one in panel.to_dict("records")])
    axes.set_ylim(y.min() - 0.6, 0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)


def effects_caption(one: Explained) -> str:
    free = f" Not in the model, so not held equal: {', '.join(one.not_in_model)}." if one.not_in_model else ""
    return (
        f"{words_of(one.about)}. Dots: effects in one linear model of {one.asked}, against the average level of the "
        f"axis; bars: 95 % intervals that hold together within an axis; (n) designs.{free}"
    )


def interactions_caption(one: Explained) -> str:
    number = len(beyond_luck(one.interactions()))
    shown = f"; of {number} such pairs the first {_PAIRS}" if number > _PAIRS else ""
    return (
        f"{words_of(one.about)}. Pairs of axes that act together beyond luck (Holm's p below {LUCK}{shown}), at most "
        f"{_CELLS} cells of each, the surest. Dots: how much better the designs of a cell are than both of its levels "
        f"lead to expect; bars: 95 % intervals that hold together within a pair; (n) designs. {BY_ITSELF}"
    )
