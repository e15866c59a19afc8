"""What a search asks of a design: how good it is, and what it may cost. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from results.row import Row
from search_space.errors import UserError

QUALITIES = ("accuracy", "loss")
COSTS = {
    "macs": "macs",
    "params": "params",
    "latency": "latency_seconds",
    "memory": "peak_memory_bytes",
}
"""Objectives beside the quality, and the column of a row that holds each."""


class ObjectiveError(UserError):
    """Objectives that make no search."""


@dataclass(frozen=True)
class Objectives:
    """One quality and any of the costs, in the order given: `accuracy` goes up, everything else down."""

    names: tuple[str, ...] = ("accuracy", "macs")

    def __post_init__(self) -> None:
        allowed = (*QUALITIES, *COSTS)
        strange = [name for name in self.names if name not in allowed]
        qualities = [name for name in self.names if name in QUALITIES]
        if strange or len(qualities) != 1 or len(set(self.names)) != len(self.names):
            raise ObjectiveError(
                f"objectives: {','.join(self.names) or 'none'} given; allowed: one of {', '.join(QUALITIES)}, with any "
                f"of {', '.join(COSTS)}, each once, as accuracy,macs."
            )

    @classmethod
    def parse(cls, text: str) -> Objectives:
        return cls(tuple(name.strip() for name in text.split(",") if name.strip()))

    def __str__(self) -> str:
        return ",".join(self.names)

    @property
    def quality(self) -> str:
        return next(name for name in self.names if name in QUALITIES)

    @property
    def need_latency(self) -> bool:
        return "latency" in self.names

    def values(self, row: Row) -> tuple[float, ...]:
        """The row's numbers, each to be minimised (accuracy as the error 1 - accuracy); NaN where one is missing."""
        return tuple(_value(row, name) for name in self.names)

    def mean(self, rows: Sequence[Row]) -> tuple[float, ...]:
        """The mean over rows of one network, as several seeds of it."""
        columns = zip(*map(self.values, rows), strict=True)
        return tuple(sum(column) / len(rows) for column in columns)


def _value(row: Row, name: str) -> float:
    if name == "accuracy":
        return float("nan") if row.accuracy is None else 1 - row.accuracy
    found = getattr(row, COSTS.get(name, name))
    return float("nan") if found is None else float(found)
