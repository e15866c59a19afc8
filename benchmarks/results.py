"""How long questions to a large storage take, each as a process of its own. Writes benchmarks/results.md.

python -m benchmarks.results [--rows 100000] [--repeats 5] [--output FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

from benchmarks.results_store import make
from benchmarks.tables import commit, machine, write

QUESTIONS = [
    "top",
    "top --by accuracy -n 5 --json",
    "top --group-by squeeze,excitation",
    "pareto",
    "pareto --minimise macs,latency --csv",
    "query \"squeeze == 'dct' and accuracy > 0.68\" --columns design,selection,reduction,accuracy",
    "query \"status == 'complete' and depth == 2\" --group-by wavelet,selection",
    "query \"data == 'cifar100'\" --sort=-accuracy -n 20 --markdown",
    'sql "SELECT squeeze, count(*) AS n, avg(accuracy) AS a FROM rows GROUP BY squeeze ORDER BY a DESC"',
    "compare se eca",
    "show se",
]
EVERYTHING = ["query \"status == 'complete'\" --parquet all.parquet", "query \"status == 'complete'\" --csv"]
FLOORS = {
    "the interpreter alone": "pass",
    "the imports of pandas and SQLAlchemy": "import pandas, sqlalchemy",
    "the same, and the command line's own": "import pandas, sqlalchemy, search.cli, search.asking",
}


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.results", description=__doc__)
    arguments.add_argument("--rows", type=int, default=100_000)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder, "rows.db")
        make(storage, options.rows)
        size = storage.stat().st_size / 2**20
        attnas = [sys.executable, "-m", "search", "results"]
        found = {
            f"`attnas results {words}`": _times(
                [*attnas, *shlex.split(words), "--storage", f"sqlite:///{storage}"], folder, options.repeats
            )
            for words in QUESTIONS
        }
        floors = {name: _times([sys.executable, "-c", code], folder, options.repeats) for name, code in FLOORS.items()}
        whole = {
            f"`attnas results {words}`": _times(
                [*attnas, *shlex.split(words), "--storage", f"sqlite:///{storage}"], folder, options.repeats
            )
            for words in EVERYTHING
        }
        session = _in_a_session(f"sqlite:///{storage}", folder, options.repeats)
    write(options.output, _report(found, floors, session, whole, options.rows, size, options.repeats))


def _in_a_session(url: str, folder: str, repeats: int) -> dict[str, list[tuple[float, float]]]:
    command = [sys.executable, "-m", "benchmarks.results_python", url, str(repeats)]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, check=True, text=True)
    return {f"`{name}`": [tuple(pair) for pair in pairs] for name, pairs in json.loads(done.stdout).items()}


def _environment() -> dict[str, str]:
    here = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": here}


def _times(command: list[str], folder: str, repeats: int) -> list[tuple[float, float]]:
    """(wall, CPU) seconds of whole processes, after one that is not counted."""
    found = []
    for number in range(repeats + 1):
        before, began = os.times(), time.perf_counter()
        done = subprocess.run(
            command,
            cwd=folder,
            env=_environment(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        if number:
            found.append((time.perf_counter() - began, cpu))
    print(
        f"{statistics.median(wall for wall, _ in found):.2f} s  {shlex.join(command[2:])}", file=sys.stderr, flush=True
    )
    return found


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _report(found: dict, floors: dict, session: dict, whole: dict, rows: int, size: float, repeats: int) -> str:
    def table(times: dict[str, list[tuple[float, float]]]) -> str:
        lines = [
            f"| {name.replace('|', chr(92) + '|')} | {_spread([w for w, _ in t])} | {_spread([c for _, c in t])} |"
            for name, t in times.items()
        ]
        return "\n".join(["| | wall seconds | CPU seconds |", "| --- | --- | --- |", *lines])

    packages = ", ".join(f"{name} {version(name)}" for name in ("pandas", "pyarrow", "SQLAlchemy", "typer"))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"""# Questions to a storage of {rows:,} rows

A generated SQLite storage of {size:.0f} MiB ([results_store.py](results_store.py)): the designs of the default space in
seven contexts, a curve of 5 to 30 epochs a row. Each command is a process of its own, from the start of the interpreter
to its end; median (least to most) of {repeats} after one that warms the system's cache of files.

{machine()}, Python {platform.python_version()}, {packages}; commit `{commit()}`, {date.today()}; load average at the
end {load}. Made by `python -m benchmarks.results --rows {rows}`.

{table(found)}

What remains of each when nothing is asked:

{table(floors)}

The same in a Python session that runs ([results_python.py](results_python.py)), asked in turn:

{table(session)}

Every complete row written out, 36 columns:

{table(whole)}
"""


if __name__ == "__main__":
    main()
