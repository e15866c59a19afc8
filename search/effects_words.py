"""What `attnas results effects` says of a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from results.counted import counted
from results.effects import Explained
from results.exchange import readable
from results.row import CONTEXT, MEASURED
from results.together import LUCK, beyond_luck, cells_of, p_in_words, pairs, sentence, stand_out
from search.importance import ENOUGH
from search.tables import context_line, records
from search.text_table import draw

_SHOWN = 6


def say(one: Explained, importances: Mapping[str, float], *, every_pair: bool) -> None:
    axes = records(one.axes())
    print(context_line(one.about))
    print("\n".join(_about(one)) + "\n")
    if one.shortage is not None:
        print(f"{one.shortage}\n")
        draw([{name: f"{axis[name]}" for name in ("axis", "levels", "designs")} for axis in axes], left=("axis",))
        return
    draw([_axis_line(axis, importances) for axis in axes], left=("axis",))
    effects = one.effects()
    for name in one.model.axes:
        _say_axis(name, records(effects[effects["axis"] == name]), one.on)
    print()
    _say_pairs(one, every=every_pair)
    print("\n".join(map(readable, [*_verdict(axes), *_untold(axes, effects), *_caveats(one)])))


def _about(one: Explained) -> list[str]:
    model = one.model
    lines = [
        f"{one.on} of {counted(model.designs, 'design')}, {counted(int(model.runs.sum()), 'run')}; {one.asked} in one "
        f"linear model, {model.rank} parameters"
    ]
    if one.not_in_model:
        lines.append(f"not in it, and so not held equal: {', '.join(one.not_in_model)}")
    if one.shortage is None:
        left = f"spread that it leaves between designs: {_size(model.scale, one.on)}"
        seeds = "; between seeds of one design: " + _size(math.sqrt(model.within), one.on)
        lines.append(left + ("" if math.isnan(model.within) else seeds) + " (standard deviations)")
    return lines


def _axis_line(axis: dict[str, Any], importances: Mapping[str, float]) -> dict[str, str]:
    share = "-"
    if axis["share"] is not None:
        share = f"{axis['share']:.0%} ({axis['share_low']:.0%} to {axis['share_high']:.0%})".replace("%", " %")
    return {
        "axis": axis["axis"],
        "levels": str(axis["levels"]),
        "designs": f"{axis['designs']:,}",
        "share of variance": share,
        "F": "-" if axis["F"] is None else f"{axis['F']:.3g}",
        "p (Holm)": _p(axis["p_holm"]),
        "Optuna's importance": f"{importances[axis['axis']]:.2f}" if axis["axis"] in importances else "-",
    }


def _say_axis(name: str, levels: list[dict[str, Any]], on: str) -> None:
    """Best first; levels of which nothing can be told come last."""
    sign = -1 if on == "accuracy" else 1
    ordered = sorted(levels, key=lambda level: (level["effect"] is None, sign * (level["effect"] or 0.0)))
    print()
    draw(
        [
            {
                name: level["level"],
                "designs": f"{level['designs']:,}",
                "runs": f"{level['runs']:,}",
                "effect": _signed(level["effect"], on),
                "from": _signed(level["low"], on),
                "to": _signed(level["high"], on),
            }
            for level in ordered
        ],
        left=(name,),
    )


def _say_pairs(one: Explained, *, every: bool) -> None:
    cells = one.interactions()
    shown = pairs(cells) if every else beyond_luck(cells).head(_SHOWN)
    if len(shown):
        draw([_pair_line(pair) for pair in records(shown)], left=("pair of axes",))
    for pair in records(beyond_luck(cells) if every else shown.head(2)):
        _say_cells(cells_of(cells, pair["axis"], pair["other_axis"]), pair, one.on, limit=None if every else 5)
    print(sentence(cells))


def _pair_line(pair: dict[str, Any]) -> dict[str, str]:
    share = "-" if pair["share"] is None else f"{100 * pair['share']:.0f} %"
    return {
        "pair of axes": f"{pair['axis']} x {pair['other_axis']}",
        "df": str(pair["df"]),
        "F": "-" if pair["F"] is None else f"{pair['F']:.3g}",
        "p (Holm)": _p(pair["p_holm"]),
        "share of variance": share,
    }


def _say_cells(cells: pd.DataFrame, pair: dict[str, Any], on: str, limit: int | None) -> None:
    sure = cells[stand_out(cells)]
    lines = [
        {
            f"{pair['axis']} x {pair['other_axis']}": f"{cell['level']} x {cell['other_level']}",
            "designs": f"{cell['designs']:,}",
            "beyond both effects": _signed(cell["effect"], on),
            "from": _signed(cell["low"], on),
            "to": _signed(cell["high"], on),
        }
        for cell in records(sure if limit is None else sure.head(limit))
    ]
    print()
    if lines:
        draw(lines, left=tuple(lines[0])[:1])
    else:
        print(f"{pair['axis']} x {pair['other_axis']}: no single cell stands out, they do together.")
    print()


def _verdict(axes: list[dict[str, Any]]) -> list[str]:
    tested = [axis for axis in axes if axis["p_holm"] is not None]
    beyond = [axis["axis"] for axis in sorted(tested, key=lambda axis: axis["p_holm"]) if axis["p_holm"] < LUCK]
    if not tested:
        return ["Nothing can be said of any axis: these designs tell none from the others."]
    if not beyond:
        return [f"No axis stands out beyond luck ({len(tested)} tested)."]
    rest = (
        "" if len(beyond) == len(tested) else "; of the others nothing can be said, which is not that they do nothing"
    )
    return [f"Beyond luck: {', '.join(beyond)}{rest}."]


def _untold(axes: list[dict[str, Any]], effects: pd.DataFrame) -> list[str]:
    notes = [f"{axis['axis']}: {axis['note']}" for axis in axes if axis["note"]]
    levels = effects[effects["effect"].isna()]
    notes += [f"{row['axis']} {row['level']}: {row['note']}" for row in records(levels)]
    if not notes:
        return []
    more = [f"  and {len(notes) - _SHOWN} more (--json has all)"] if len(notes) > _SHOWN else []
    return ["Not told by these rows:", *(f"  {note}" for note in notes[:_SHOWN]), *more]


def _caveats(one: Explained) -> list[str]:
    unit = "points of accuracy" if one.on == "accuracy" else "loss"
    lines = [
        f"Effects are {unit} against the average level of the axis, other axes of the model held equal; 95 % "
        "intervals, which hold for all levels of an axis at once."
    ]
    if one.left_out:
        lines.append(f"Left out: {counted(one.left_out, 'network')} of several designs, or of a later version.")
    if one.model.designs < ENOUGH:
        lines.append(
            f"Optuna's importances look at the best tenth of the designs: below {ENOUGH} designs a few of them."
        )
    return lines


def say_rungs(frame: pd.DataFrame, one: Explained, epochs: int | None) -> None:
    """That a rung of halving has more designs than were trained to the end."""
    same = [name for name in CONTEXT if name != "epochs"]
    measured = frame[frame["status"].isin(MEASURED)]
    for name in same:
        measured = measured[measured[name] == one.about[name]]
    sizes = measured.groupby("epochs")["network_key"].nunique()
    here = one.model.designs + one.left_out
    more = [f"{number:,} at {rung} epochs" for rung, number in sizes.items() if number > here]
    if epochs is None and more:
        print(f"Complete rows alone, the few that halving let through; measured were {', '.join(more)} (--epochs).")


def _signed(value: float | None, on: str) -> str:
    if value is None:
        return "-"
    return f"{100 * value:+.2f}" if on == "accuracy" else f"{value:+.4f}"


def _size(value: float, on: str) -> str:
    return f"{100 * value:.2f} points" if on == "accuracy" else f"{value:.4f}"


def _p(value: float | None) -> str:
    return "-" if value is None else p_in_words(value)
