"""Learning curves of the best designs beside no attention and SE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from results.contexts import in_words
from results.figure_style import BLUE, GREEN, INK, MUTED, ORANGE, PURPLE, label, new_figure, style
from results.ranking import top
from search_space import PRESETS
from search_space.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASELINES = ("none", "se")
_BEST = 3
_LOOKS = ((BLUE, "-"), (ORANGE, "-"), (GREEN, "-"))
_BASELINE_LOOKS = {"none": (INK, (0, (1, 1.2))), "se": (PURPLE, (0, (4, 1.5)))}


def curves(rows: pd.DataFrame, *, caption: str | None = None) -> Figure:
    """Accuracy by epoch over the complete rows of one context: the best by `expected`, `none` and `se`.

    A line is the mean over seeds, its band reaches from the lowest to the highest seed.

    Raises:
        UserError: no complete row holds a curve.
    """
    from matplotlib.ticker import MaxNLocator

    chosen = drawn_designs(rows)
    found = {name: _curve(part) for name, part in chosen}
    if all(curve.empty for curve in found.values()):
        raise UserError("no complete row holds a learning curve: nothing to draw.")
    looks = iter(_LOOKS)
    with style():
        figure = new_figure(7.6, 3.7, caption)
        axes = figure.add_subplot()
        for name, curve in found.items():
            colour, dash = _BASELINE_LOOKS.get(name) or next(looks)
            n = int(curve["n"].max()) if len(curve) else 0
            seeds = "1 seed" if n == 1 else f"{n} seeds"
            marker = "o" if len(curve) == 1 else ""
            axes.plot(
                curve.index,
                curve["mean"] * 100,
                color=colour,
                linestyle=dash,
                label=f"{label(name)}, {seeds}",
                marker=marker,
            )
            if n > 1:
                axes.fill_between(
                    curve.index.to_numpy(),
                    curve["min"] * 100,
                    curve["max"] * 100,
                    color=colour,
                    alpha=0.14,
                    linewidth=0,
                )
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"{rows['split'].iloc[0]} top-1 accuracy (%)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0.02)
        axes.legend(loc="best", labelcolor=INK)
        axes.tick_params(color=MUTED)
    return figure


def curves_caption(rows: pd.DataFrame) -> str:
    several = any(part["seed"].nunique() > 1 for _, part in drawn_designs(rows))
    lines = "Line: mean over seeds; band: lowest to highest seed" if several else "Lines of one seed each"
    return f"{in_words(rows)}. {lines}."


def drawn_designs(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """(name, complete rows) of the best few by `expected`, then of `none` and `se` where they were trained."""
    complete = rows[rows["status"] == "complete"]
    baselines = {PRESETS[name].key: name for name in BASELINES}
    order = [*_baseline_networks(complete, baselines).items()]
    networks = {network for network, _ in order}
    ranked = top(rows, n=_BEST + len(order), by="expected")
    others = ranked[~ranked["network_key"].isin(networks)].head(_BEST)
    best = zip(others["network_key"], others["design"], strict=True)
    return [(name, complete[complete["network_key"] == network]) for network, name in [*best, *order]]


def _baseline_networks(complete: pd.DataFrame, baselines: dict[str, str]) -> dict[str, str]:
    found = complete[complete["key"].isin(baselines)].drop_duplicates("network_key")
    return {
        str(network): name
        for key, name in baselines.items()
        for network in found.loc[found["key"] == key, "network_key"]
    }


def _curve(part: pd.DataFrame) -> pd.DataFrame:
    """Indexed by epoch: mean, min, max, n of accuracy over the seeds."""
    points = [
        (record["epoch"], record["accuracy"])
        for curve in part.drop_duplicates("seed")["curves"]
        for record in curve
        if isinstance(record, dict) and _is_number(record.get("epoch")) and _is_number(record.get("accuracy"))
    ]
    frame = pd.DataFrame(points, columns=["epoch", "accuracy"], dtype=float)
    return frame.groupby("epoch")["accuracy"].agg(["mean", "min", "max", "size"]).rename(columns={"size": "n"})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
