"""What each level of each axis is worth, with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from results.contexts import words_of
from results.effects import Explained
from results.figure_style import BLUE, INK, MUTED, label, new_figure, style
from search_space.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def effects(one: Explained, *, importances: Mapping[str, float] | None = None, caption: str | None = None) -> Figure:
    """Dots and intervals of every level, a panel an axis, in points of accuracy.

    What the rows can't tell is said in words. `importances` ({axis: share}) are Optuna's, written beside the axis.

    Raises:
        UserError: there are too few designs, or nothing to draw.
    """
    if one.shortage is not None:
        raise UserError(f"no effects: {one.shortage}")
    found = one.effects()
    if found["effect"].notna().sum() == 0:
        raise UserError("effects: the rows tell the effect of no axis; more designs that differ are needed.")
    axes_of = list(dict.fromkeys(found["axis"]))
    panels = [found[found["axis"] == name].reset_index(drop=True) for name in axes_of]
    heights = [len(panel) + 1.1 for panel in panels]
    with style():
        figure = new_figure(7.6, 0.7 + 0.225 * sum(heights), caption)
        drawn = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, name, panel in zip(drawn, axes_of, panels, strict=True):
            _panel(axes, panel)
            share = (importances or {}).get(name)
            beside = "" if share is None else f"   (importance by Optuna {share:.0%})"
            axes.set_title(f"{label(name)}{beside}", fontweight="bold", fontsize=9)
        drawn[-1].set_xlabel("effect on top-1 accuracy (points), other axes held equal")
    return figure


def _panel(axes: Any, panel: pd.DataFrame) -> None:
    y = -panel.index.to_numpy()
    known = panel["effect"].notna()
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.hlines(y[known], panel["low"][known] * 100, panel["high"][known] * 100, color=BLUE, linewidth=1.7)
    axes.plot(panel["effect"][known] * 100, y[known], "o", color=BLUE, markersize=5)
    for at in y[~known]:
        axes.text(0, at, "  these rows can't tell", va="center", color=MUTED, fontsize=8)
    axes.set_yticks(list(y), [f"{label(one['level'])}  ({one['designs']:.0f})" for one in panel.to_dict("records")])
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
