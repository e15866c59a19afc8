"""What every contestant does instead of training: log it, take no time or a little, answer from the table."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

SECONDS = "ATTNAS_BENCH_SECONDS"  # the environment's: how long a pretended training takes
FOLDER = "ATTNAS_BENCH_FOLDER"  # where what happens is noted
WORKERS = "ATTNAS_BENCH_WORKERS"  # how many processes wait for each other before the first trial; unset: none

WORST = {"error": 1.0, "macs": 1e12}  # what stands for a design that is impossible, where nothing else can

_PATIENCE_SECONDS = 120.0
_met: list[bool] = []


def pretended_training(on_step: Callable[[], None] | None = None) -> None:
    """Note that it begins, and take its time."""
    note("begun")
    end = time.monotonic() + float(os.environ.get(SECONDS, "0"))
    while time.monotonic() < end:
        if on_step is not None:
            on_step()
        time.sleep(0.01)


def note(word: str) -> None:
    """One line, one write: lines of several processes do not mix."""
    file = os.open(Path(os.environ[FOLDER], "log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{word} {time.time()} {os.getpid()}\n".encode())
    os.close(file)


def noted(folder: Path, word: str) -> int:
    """How often."""
    log = folder / "log"
    return sum(line.startswith(word) for line in log.read_text().splitlines()) if log.exists() else 0


def meet() -> None:
    """Wait until as many processes as there are workers have come so far: none works while others still start."""
    folder, number = Path(os.environ[FOLDER]), int(os.environ.get(WORKERS, "0"))
    if not number or _met:
        return
    _met.append(True)
    (folder / f"ready-{os.getpid()}").touch()
    end = time.monotonic() + _PATIENCE_SECONDS
    while len(list(folder.glob("ready-*"))) < number and time.monotonic() < end:
        time.sleep(0.01)


def met_at(folder: Path) -> float | None:
    """The unix time at which the last had come; None if nobody met."""
    return max((path.stat().st_mtime for path in folder.glob("ready-*")), default=None)
