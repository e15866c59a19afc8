"""What a report says beside its pictures: what was searched and how, what failed, what it cost. Plain values."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from results.contexts import contexts, in_words
from results.effort import outcomes, own_seconds
from results.row import STATUSES
from results.studies import Study

_LONGEST_ERROR = 300
_SHOWN_FAILURES = 40
_WORDS = {"samplers": "designs chosen by"}
_SAID_ELSEWHERE = (
    "space",
    "rungs",
    "factor",
    "data_hash",
    "recipe_hash",
    "split",
    "num_classes",
    "epochs",
    "schedule_epochs",
)


@dataclass(frozen=True, slots=True)
class Table:
    """Headings and cells as they are read; columns of numbers are set right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Searched:
    """One study: its name, what it asked for, its axes with their values, how its trials ended."""

    name: str
    begun: str
    facts: dict[str, str]
    axes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    kind: str
    number: int
    designs: int
    error: str
    trace: str


def searched(studies: Sequence[Study], frame: pd.DataFrame) -> list[Searched]:
    found = []
    for study in studies:
        rows = frame[frame["study"] == study.id]
        facts = {"trials": outcomes(rows)}
        known = {key: value for key, value in study.config.items() if key not in _SAID_ELSEWHERE}
        facts |= {_WORDS.get(key, key.replace("_", " ")): _plain(value) for key, value in known.items()}
        facts |= _halving(study.config)
        space = study.config.get("space")
        axes = {axis: _plain(values) for axis, values in space.items()} if isinstance(space, dict) else {}
        found.append(Searched(study.name, date(study.created), facts, axes))
    return found


def _halving(config: Mapping[str, Any]) -> dict[str, str]:
    rungs, factor = config.get("rungs"), config.get("factor")
    if not isinstance(rungs, list):
        return {}
    goes_on = f"; of each rung one in {_plain(factor)} goes on" if len(rungs) > 1 else ""
    return {"trained for": f"{_plain(rungs)} epochs{goes_on}"}


def counts(rows: pd.DataFrame) -> str:
    """`41 complete, 3 failed`, in rows."""
    number = rows["status"].value_counts()
    return ", ".join(f"{number[status]:,} {status}" for status in STATUSES[1:] + STATUSES[:1] if status in number)


def fidelities(frame: pd.DataFrame) -> Table:
    """Every context, the leading one first."""
    rows = [
        [
            in_words(part),
            f"{part.loc[part['status'] == 'complete', 'network_key'].nunique():,}",
            f"{part['network_key'].nunique():,}",
            f"{part['seed'].nunique():,}",
            counts(part),
        ]
        for part in contexts(frame)
    ]
    return Table(
        ("what was trained", "designs complete", "designs", "seeds", "evaluations"), rows, frozenset({1, 2, 3})
    )


def surroundings(frame: pd.DataFrame) -> dict[str, str]:
    """Where and with what the rows were made."""
    ended = frame[frame["status"] != "running"]
    facts = {}
    for name in ("hardware", "precision", "commit", "macs_convention"):
        found = ended[name].dropna().value_counts()
        facts[name.replace("_", " ").replace("macs", "MACs")] = "; ".join(
            f"{value} ({n:,} rows)" for value, n in found.head(8).items()
        )
    versions: dict[str, set[str]] = {}
    for each in ended["versions"]:
        for library, version in each.items() if isinstance(each, dict) else ():
            versions.setdefault(str(library), set()).add(str(version))
    facts["versions"] = ", ".join(f"{name} {' / '.join(sorted(found))}" for name, found in sorted(versions.items()))
    if ended["finished"].notna().any():
        began = ended["started"].min() if ended["started"].notna().any() else ended["finished"].min()
        facts["dates (UTC)"] = f"{date(began)} to {date(ended['finished'].max())}"
    return {name: text or "not recorded" for name, text in facts.items()}


def failures(frame: pd.DataFrame) -> list[Failure]:
    """By class and the last line of the traceback, which is what went wrong; the most frequent first."""
    failed = frame[frame["status"] == "failed"].copy()
    failed["line"] = [_last_line(error) for error in failed["error"]]
    found = [
        Failure(str(kind), len(rows), int(rows["network_key"].nunique()), str(line), str(rows["error"].iloc[0] or ""))
        for (kind, line), rows in failed.groupby([failed["failure"].fillna("unknown"), "line"])
    ]
    return sorted(found, key=lambda one: -one.number)[:_SHOWN_FAILURES]


def _last_line(error: Any) -> str:
    lines = [line.strip() for line in str(error or "").splitlines() if line.strip()]
    line = lines[-1] if lines else "no message was kept"
    return line if len(line) <= _LONGEST_ERROR else f"{line[: _LONGEST_ERROR - 1]}…"


def cost(frame: pd.DataFrame) -> Table:
    """Device-hours and epochs by hardware and how the evaluations ended, and in all."""
    ended = frame[frame["status"] != "running"]
    lines = pd.DataFrame(
        {
            "hardware": ended["hardware"].fillna("not recorded"),
            "hours": own_seconds(ended) / 3600,
            "status": ended["status"],
            "epochs": ended["epochs_trained"].fillna(0.0),
        }
    )
    rows = [_cost_line(str(name), part) for name, part in lines.groupby("hardware")]
    if len(rows) > 1:
        rows.append(_cost_line("all together", lines))
    columns = ("device", "evaluations", "hours", "of these stopped", "of these failed", "epochs trained")
    return Table(columns, rows, frozenset(range(1, 6)))


def _cost_line(name: str, lines: pd.DataFrame) -> list[str]:
    by_status = lines.groupby("status")["hours"].sum()
    hours = [lines["hours"].sum(), by_status.get("stopped", 0.0), by_status.get("failed", 0.0)]
    return [name, f"{len(lines):,}", *(f"{value:,.2f}" for value in hours), f"{lines['epochs'].sum():,.0f}"]


def date(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
    except (TypeError, ValueError, OverflowError, OSError):
        return "at no time that a calendar has"


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items()) or "none"
    return json.dumps(value)
