"""Search engines side by side: overhead, waste, kills, samplers. Writes benchmarks/engines.md.

python -m benchmarks.engines [--only overhead,resume,waste,kills,samplers] [--quick] [--repeats 3] [--output FILE]
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import signal
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.engines import kills, overhead, resume, samplers, waste
from benchmarks.engines.report import Scale
from benchmarks.engines.table import TABLE, write_table
from trainers.environment import commit, hardware, pick_device

SECTIONS = {
    "overhead": overhead.section,
    "resume": resume.section,
    "waste": waste.section,
    "kills": kills.section,
    "samplers": samplers.section,
}

_NOTES = "## Notes on the tables (written by hand; a new run keeps them)"


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    arguments.add_argument("--only", help=f"some of {','.join(SECTIONS)}, separated by commas")
    arguments.add_argument("--quick", action="store_true", help="everything once and little of it")
    arguments.add_argument("--repeats", type=int, default=3, help="of each measurement of the first sections")
    arguments.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "engines.md")
    options = arguments.parse_args()
    names = options.only.split(",") if options.only else list(SECTIONS)
    if strange := set(names) - SECTIONS.keys():
        arguments.error(f"no section {', '.join(strange)}; there are {', '.join(SECTIONS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that processes and folders go too
    scale = Scale(options.quick, time.monotonic(), 1 if options.quick else options.repeats)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="ab-table-") as folder:
        places = Path(folder, "designs.json")
        write_table(places)
        os.environ[TABLE] = str(places)
        notes = _notes(options.output)
        found: list[str] = []
        for name in names:
            found.append(SECTIONS[name](places, scale))
            text = "\n\n".join([_head(scale, load), *found, notes]) + "\n"
            options.output.write_text(
                text, encoding="utf-8"
            )  # each time: a run that is cut short has measured something
    print(text)


def _notes(path: Path) -> str:
    """What people have written below the tables of an earlier run stays."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    return _NOTES + old.partition(_NOTES)[2].rstrip()


def _head(scale: Scale, load: float) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("optuna", "ray", "sqlalchemy", "torch"))
    command = shlex.join(["python", "-m", "benchmarks.engines", *sys.argv[1:]])
    return "\n\n".join(
        [
            "# Search engines side by side",
            f"{hardware(pick_device())}, {os.cpu_count()} cores, load {load:.1f} before the run; Python "
            f"{platform.python_version()}, {packages}; commit {commit()}; {time.strftime('%Y-%m-%d')}, "
            f"{(time.monotonic() - scale.began) / 60:.0f} minutes." + " QUICK: not to be quoted." * scale.quick,
            f"`{command}`",
            "All contestants search the same space (the default one) with the same objectives (error and MACs, of "
            "resnet8 at 32 px), and write to a storage that survives a crash. Costs of designs come from a table, and "
            "trainings are pretended, for the peers as for attnas. Optuna's trials carry 5 user attributes, rows of "
            "attnas have 38 columns.",
        ]
    )


if __name__ == "__main__":
    main()
