"""What `attnas ablate` says: what it will train, and what each choice turned out to be worth."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from results.counted import counted
from results.exchange import readable
from results.row import Row
from results.shortage import FEWEST
from results.suggest import FAILED, command
from search.ablate import Ablation, Work, studied_seeds
from search.clock import work_line
from search.tables import context_line, records
from search.text_table import draw
from search.wording import points, span

_SHOWN = 3


def announce(made: Ablation, ahead: Work, seeds: Sequence[int]) -> None:
    """On stderr, before the work begins."""
    print("\n".join(_plan_lines(made, ahead, seeds)), file=sys.stderr)


def say_plan(made: Ablation, ahead: Work, seeds: Sequence[int], *, as_json: bool) -> None:
    """On stdout: it is what was asked for."""
    if as_json:
        counted = {"trainings": ahead.trainings, "left": ahead.left, "studied": ahead.studied, "seconds": ahead.seconds}
        print(json.dumps(_facts(made, seeds) | counted | asdict(ahead.clock), indent=1))
        return
    lines = _plan_lines(made, ahead, seeds)
    lines += [f"  {axis:12} {made.designs[key]}" for key, axis in made.axis_of.items()]
    print("\n".join(lines))


def _plan_lines(made: Ablation, ahead: Work, seeds: Sequence[int]) -> list[str]:
    axes = ", ".join(f"{axis} {number}" for axis, number in made.axes.items())
    neighbours = counted(len(made.axis_of), "neighbour")
    lines = [f"{made.designs[made.base]} and {neighbours} ({axes}), seeds {span(seeds)}"]
    if made.impossible:
        lines.append(f"left out, impossible on this backbone: {_few(made.impossible)}")
    return [*lines, work_line(ahead.trainings, ahead.left, ahead.clock), *_flattered(ahead.studied)]


def _flattered(studied: Sequence[int]) -> list[str]:
    if not studied:
        return []
    return [
        f"With seed {span(studied)} a study had trained the design before: if it was chosen by that, its luck is in "
        "every difference, and the neighbours look worse than they are. Without --first-seed the seeds are fresh."
    ]


def say(found: pd.DataFrame, rows: Sequence[Row], made: Ablation, seeds: Sequence[int], *, as_json: bool) -> None:
    """The table and what it means."""
    unfinished = [row for row in rows if row.status != "complete"]
    if as_json:
        facts = _facts(made, seeds) | {"unfinished": [_unfinished(row) for row in unfinished]}
        facts |= {"studied": studied_seeds(made, rows)}
        print(json.dumps(facts | {"lines": records(found)}, indent=1, allow_nan=False))
        return
    lines = records(found)
    print(context_line({name: getattr(rows[0], name) for name in Row.__slots__}))
    print(f"seeds {span(seeds)}, differences paired by seed; 95 % intervals that hold for all lines at once\n")
    ordered = sorted(lines[1:], key=lambda line: (list(made.axes).index(line["axis"]), -(line["difference"] or 0.0)))
    draw([_table_line(line) for line in [lines[0], *ordered]], left=("axis", "design"))
    told = [*_meaning(lines[1:], unfinished), *_flattered(studied_seeds(made, rows))]
    print("\n" + "\n".join(map(readable, told)))


def _table_line(line: dict[str, Any]) -> dict[str, str]:
    is_base = line["axis"] is None
    half = None if line["high"] is None else line["high"] - line["difference"]
    gap = (
        ""
        if is_base
        else points(line["difference"], sign=True, unknown="-") + ("" if half is None else f" ± {100 * half:.2f}")
    )
    return {
        "axis": "" if is_base else line["axis"],
        "design": line["design"],
        "n": str(line["n"]),
        "accuracy %": "-" if line["accuracy"] is None else f"{100 * line['accuracy']:.2f}",
        "difference": gap,
        "MACs": f"{line['macs']:,}" if is_base else f"{line['macs_difference']:+,}",
        "params": f"{line['params']:,}" if is_base else f"{line['params_difference']:+,}",
    }


def _meaning(lines: Sequence[dict[str, Any]], unfinished: Sequence[Row]) -> list[str]:
    told = []
    known = [line for line in lines if line["low"] is not None]
    if known:
        better = [line["design"] for line in known if line["low"] > 0]
        worse = [line["design"] for line in known if line["high"] < 0]
        if better:
            told.append(f"Better than the design, beyond luck: {_few(better)}.")
        if worse:
            told.append(f"Worse, beyond luck: {_few(worse)}.")
        rest = len(known) - len(better) - len(worse)
        width = max(line["high"] - line["difference"] for line in known)
        if rest:
            luck = f"luck alone makes differences of up to {100 * width:.2f} points here"
            told.append(f"{rest} of {len(known)} can't be told from it: {luck}.")
        if known[0]["df"] < FEWEST:
            freedom = f"{known[0]['df']} degree{'' if known[0]['df'] == 1 else 's'} of freedom"
            told.append(f"How large luck is, is hardly known itself ({freedom}); more --seeds tell it.")
    else:
        told.append("Nothing tells luck from difference here: a second common seed does (--seeds 2 or more).")
    failed = [row for row in unfinished if row.status == "failed"]
    if failed:
        told.append(f"{counted(len(failed), 'training')} failed (`{command(FAILED)}`).")
    running = len(unfinished) - len(failed)
    if running:
        told.append(
            f"{counted(running, 'training runs', 'trainings run')} in other processes; the same command says more when "
            "that has ended."
        )
    return told


def _unfinished(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("design", "network_key", "seed", "status", "failure", "owner")}


def _facts(made: Ablation, seeds: Sequence[int]) -> dict[str, Any]:
    neighbours = [{"axis": axis, "design": str(made.designs[key])} for key, axis in made.axis_of.items()]
    about = {"design": str(made.designs[made.base]), "network_key": made.base, "seeds": list(seeds)}
    return about | {"neighbours": neighbours, "impossible": made.impossible}


def _few(names: Sequence[str] | dict[str, str]) -> str:
    first = ", ".join(list(names)[:_SHOWN])
    return first if len(names) <= _SHOWN else f"{first} and {len(names) - _SHOWN} more"
