"""How much is measured, and how numbers are written."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Scale:
    """`quick`: everything once and little of it, to see that it works."""

    quick: bool
    began: float
    repeats: int

    @property
    def share(self) -> float:
        """Of the trials of a whole run."""
        return 0.2 if self.quick else 1.0

    def say(self, words: str) -> None:
        print(f"{time.monotonic() - self.began:6.0f} s  {words}", file=sys.stderr, flush=True)


def spread(values: Sequence[float]) -> str:
    """`median (least to most)` to three figures; one value alone; nothing for none."""
    if not values:
        return ""
    if len(values) == 1:
        return figures(values[0])
    return f"{figures(median(values))} ({figures(min(values))} to {figures(max(values))})"


def figures(value: float) -> str:
    """Three of them, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
