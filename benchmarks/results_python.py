"""The same questions in a Python session that runs: each is asked once, then timed. Prints JSON.

python -m benchmarks.results_python URL REPEATS
"""

from __future__ import annotations

import json
import sys
import time

import results
from results.comparison import compare
from results.grouping import group
from results.store import Store

QUESTIONS = {
    "top(store.lines())": lambda store: results.top(store.lines()),
    'pareto(store.lines(), minimise=["macs", "latency"])': lambda store: results.pareto(
        store.lines(), minimise=["macs", "latency"]
    ),
    'group(store.lines(), ["squeeze", "excitation"])': lambda store: group(store.lines(), ["squeeze", "excitation"]),
    'compare(store.frame(key=[...]), "se", "eca", store.lines())': lambda store: compare(
        store.frame(key=["avg/mlp-r16", "avg/conv1d"]), "se", "eca", store.lines()
    ),
    "store.frame(\"squeeze == 'dct' and accuracy > 0.68\")": lambda store: store.frame(
        "squeeze == 'dct' and accuracy > 0.68"
    ),
    'store.frame(sort=["-accuracy"], limit=20)': lambda store: store.frame(sort=["-accuracy"], limit=20),
    'sql(store, "SELECT squeeze, count(*) FROM rows GROUP BY squeeze")': lambda store: results.sql(
        store, "SELECT squeeze, count(*) FROM rows GROUP BY squeeze"
    ),
    'store.frame(status="complete"), all 40 columns': lambda store: store.frame(status="complete"),
}


def main() -> None:
    url, repeats = sys.argv[1], int(sys.argv[2])
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in QUESTIONS}
    with results.open_store(url, read_only=True) as store:
        for number in range(repeats + 1):
            for name, ask in QUESTIONS.items():  # in turn: what the machine does beside meets all of them
                timed = _timed(ask, store)
                if number:
                    found[name].append(timed)
    print(json.dumps(found))


def _timed(ask, store: Store) -> tuple[float, float]:
    """(wall, CPU) seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    assert len(ask(store)), "an answer without a row"
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
