"""What an export says about its rows, counted while they are written."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from results.exchange import canonical
from results.row import CONTEXT, LABELS


class Tally:
    """Counts over exported rows; holds one entry a design and network, and none a row."""

    DESIGN: ClassVar = (
        *("design", "key", "backbone", "image_size", "num_classes"),
        *("macs", "macs_convention", "params"),
    )
    CONTEXT: ClassVar = (*LABELS, *CONTEXT)

    def __init__(self) -> None:
        self.rows = 0
        self.statuses: Counter[str] = Counter()
        self.contexts: Counter[tuple[Any, ...]] = Counter()
        self.design_texts: set[str] = set()
        self.networks: set[str] = set()
        self.recipes: set[str] = set()
        self.studies: set[str] = set()
        self.newest: float | None = None
        self.seconds = 0.0
        self._designs: Counter[tuple[Any, ...]] = Counter()
        self._where: dict[str, Counter[Any]] = {name: Counter() for name in ("hardware", "precision", "commit")}
        self._versions: Counter[str] = Counter()

    def add(self, cells: Mapping[str, Any]) -> None:
        self.rows += 1
        self.statuses[cells["status"]] += 1
        self.contexts[tuple(cells[name] for name in self.CONTEXT)] += 1
        self._designs[tuple(cells[name] for name in self.DESIGN)] += 1
        self.design_texts.add(cells["design"])
        self.networks.add(cells["network_key"])
        self.recipes.add(cells["recipe_hash"])
        if cells["study"] is not None:
            self.studies.add(cells["study"])
        if cells["finished"] is not None:
            self.newest = max(self.newest or 0.0, cells["finished"])
        self.seconds += cells["seconds"] or 0.0
        for name, counter in self._where.items():
            counter[cells[name]] += 1
        self._versions[canonical(cells["versions"])] += 1

    @property
    def date(self) -> str | None:
        """The day (UTC) on which the newest row was finished: the only date of an export."""
        return None if self.newest is None else time.strftime("%Y-%m-%d", time.gmtime(self.newest))

    def title(self) -> str:
        data = sorted({context[0] for context in self.contexts})
        return f"Evaluations of channel-attention designs on {' and '.join(data)}" if data else "No evaluations"

    def designs(self) -> list[dict[str, Any]]:
        """One record a design text and network, with its axes; None where a design has no such axis."""
        from results.axes import axes_of

        found = sorted(self._designs.items(), key=lambda item: canonical(item[0]))
        return [
            dict(zip(self.DESIGN, one, strict=True)) | axes_of(one[0]) | {"evaluations": number}
            for one, number in found
        ]

    def environment(self) -> str:
        """JSON: on what and with what the rows were measured, each with its number of rows, the most first."""
        told: dict[str, Any] = {
            name: [{name: value, "evaluations": number} for value, number in _ordered(counter)]
            for name, counter in self._where.items()
        }
        told["versions"] = [
            {"versions": json.loads(text), "evaluations": number} for text, number in _ordered(self._versions)
        ]
        return json.dumps(told, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _ordered(counter: Counter[Any]) -> list[tuple[Any, int]]:
    return sorted(counter.items(), key=lambda item: (-item[1], str(item[0])))
