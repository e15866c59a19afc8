"""What the tables of benchmarks share: how numbers are written, where they were made, notes that a new run keeps."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles

from trainers import environment

_NOTES = "## Notes (written by hand; a new run keeps them)"


def machine() -> str:
    cpu = environment.hardware(environment.pick_device("cpu")).partition(",")[0]
    return f"{cpu}, {os.cpu_count()} cores"


def commit() -> str:
    return environment.commit() or "none"


def write(path: Path, report: str) -> None:
    """Keep the notes that were written by hand."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    notes = old[old.index(_NOTES) :] if _NOTES in old else ""
    path.write_text(report + (f"\n{notes}" if notes else ""), encoding="utf-8")


def write_section(path: Path, head: str, section: str, order: Sequence[str]) -> None:
    """Put a section, `## title` and what follows, in place of the one of that title; keep the others, and the notes.

    `order` are the titles as they should follow each other, `head` is what comes before the first.
    """
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    body, _, notes = old.partition(_NOTES)
    there = {part.partition("\n")[0].strip(): part.strip() for part in body.split("\n## ")[1:]}
    there[section.removeprefix("## ").partition("\n")[0].strip()] = section.removeprefix("## ").strip()
    parts = [head.strip(), *(f"## {there[title]}" for title in order if title in there)]
    path.write_text("\n\n".join([*parts, *([(_NOTES + notes).strip()] if notes else [])]) + "\n", encoding="utf-8")


def spread(values: Sequence[float]) -> str:
    """`median (least to most)` to three figures; one value alone; nothing for none."""
    return _around(values, min, max)


def middle_half(values: Sequence[float]) -> str:
    """`median (lower to upper quartile)` to three figures; one value alone; nothing for none."""
    return _around(values, lambda given: quartile(given, 0), lambda given: quartile(given, 2))


def quartile(values: Sequence[float], which: int) -> float:
    """The lower (0) or upper (2)."""
    return quantiles(values, n=4, method="inclusive")[which]


def _around(
    values: Sequence[float], low: Callable[[Sequence[float]], float], high: Callable[[Sequence[float]], float]
) -> str:
    if not values:
        return ""
    if len(values) == 1:
        return figures(values[0])
    return f"{figures(median(values))} ({figures(low(values))} to {figures(high(values))})"


def figures(value: float) -> str:
    """Three of them, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
