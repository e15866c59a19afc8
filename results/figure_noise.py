"""The spread between seeds of one design beside that between designs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from results.contexts import in_words
from results.figure_style import BLUE, CLOUD, GREEN, MUTED, label, new_figure, style
from results.spread import LEVEL, spread
from results.suggest import command
from results.summary import summarise
from search_space.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 30


def noise(rows: pd.DataFrame, *, caption: str | None = None) -> Figure:
    """Every run of the designs of one context that have two seeds or more, each with its mean and interval.

    The band is where one run of an average design falls 95 times of 100 by the luck of its seed alone.

    Raises:
        UserError: no design has two seeds.
    """
    complete = rows[rows["status"] == "complete"].drop_duplicates(["network_key", "seed"])
    luck = spread(complete["accuracy"], complete["network_key"]) if len(complete) else None
    if luck is None or luck.df < 1:
        trained = command("train none se --seeds 4", like=None if rows.empty else rows.iloc[0])
        raise UserError(f"noise: no design has two seeds; `{trained}` makes them.")
    lines = summarise(rows)
    several = lines[lines["n"] > 1].sort_values(["n", "accuracy"], ascending=[False, False])
    shown = several.head(_MOST).sort_values("accuracy", ignore_index=True)
    with style():
        figure = new_figure(7.6, 1.6 + 0.24 * len(shown), caption)
        axes = figure.add_subplot()
        half = 100 * float(luck.half_width(1)) if luck.within else 0.0
        axes.axvspan(100 * luck.mean - half, 100 * luck.mean + half, color=GREEN, alpha=0.11, linewidth=0)
        axes.axvline(100 * luck.mean, color=GREEN, linewidth=1, linestyle=(0, (5, 2)))
        runs = complete.merge(shown.reset_index()[["index", "network_key"]], on="network_key")
        axes.scatter(runs["accuracy"] * 100, runs["index"], s=17, c=CLOUD, alpha=0.9, linewidths=0, zorder=3)
        axes.hlines(shown.index, shown["accuracy_low"] * 100, shown["accuracy_high"] * 100, color=BLUE, linewidth=1.6)
        axes.plot(shown["accuracy"] * 100, shown.index, "|", color=BLUE, markersize=11, markeredgewidth=2, zorder=4)
        axes.set_yticks(
            list(shown.index), [f"{label(one['design'])}  ({one['n']})" for one in shown.to_dict("records")]
        )
        axes.set_ylim(-0.8, len(shown) - 0.2)
        low, high = axes.get_xlim()
        axes.set_xlim(max(low, -2), min(high, 102))  # an interval of few noisy seeds may leave what can be
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"top-1 accuracy (%)\n{in_numbers(rows)}", loc="right")
        if len(several) > len(shown):
            left = len(several) - len(shown)
            axes.text(
                1, 0.01, f"{left} more have two seeds", transform=axes.transAxes, ha="right", color=MUTED, fontsize=8
            )
    return figure


def noise_caption(rows: pd.DataFrame) -> str:
    return (
        f"{in_words(rows)}. Dots: runs; tick and bar: mean and {100 * LEVEL:.0f} % interval, spread pooled; (n) seeds. "
        "Green: where one run of an average design falls 95 times of 100 by luck alone."
    )


def in_numbers(rows: pd.DataFrame) -> str:
    """`standard deviation between seeds 1.16 points (15 df), between designs 0.00`."""
    complete = rows[rows["status"] == "complete"].drop_duplicates(["network_key", "seed"])
    luck = spread(complete["accuracy"], complete["network_key"])
    return (
        f"standard deviation between seeds {100 * luck.within:.2f} points ({luck.df} df), "
        f"between designs {100 * luck.between:.2f} points ({luck.designs} designs)"
    )
