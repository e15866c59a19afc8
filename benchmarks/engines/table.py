"""The designs, what they cost, and what a pretended training of each gives: worked out once, read by every process.

Peers get it as a file, so that what they spend is theirs and not the counting of MACs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypedDict

TABLE = "ATTNAS_BENCH_TABLE"  # the environment's: the file


class Entry(TypedDict):
    key: str  # of the network
    macs: int
    params: int
    accuracy: float


Table = dict[str, Entry]
"""By the text of the design; what is impossible on the backbone is not there."""


def write_table(path: Path) -> Table:
    """Every valid design of the default space that the benchmark's backbone can have."""
    from benchmarks.engines.landscape import landscape
    from benchmarks.engines.small import small_setting
    from search_space import DesignError, Space

    space, setting = Space(), small_setting()
    truth = {design.key: value for design, value in landscape(space, 0).items()}
    table: Table = {}
    for design in space.designs():
        try:
            setting.check(design)
        except DesignError:
            continue
        cost = setting.cost(design)
        accuracy = 1 / (1 + 2.718281828 ** -truth[design.key])
        key = setting.network_key(design)
        table[str(design)] = {"key": key, "macs": cost.macs, "params": cost.params, "accuracy": accuracy}
    path.write_text(json.dumps(table), encoding="utf-8")
    return table


def read_table() -> Table:
    """As the environment says."""
    found: Any = json.loads(Path(os.environ[TABLE]).read_text(encoding="utf-8"))
    return found
