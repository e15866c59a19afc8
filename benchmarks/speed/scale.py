"""How much is measured, and what every section says of itself."""

from __future__ import annotations

import os
import shlex
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.tables import commit, machine


@dataclass(frozen=True)
class Scale:
    """`small`: to see that it works."""

    repeats: int = 5
    small: bool = False
    data: str = "synthetic"
    epochs: int | None = None  # of trials, instead of their own
    output: Path = Path("speed.md")

    def say(self, words: str) -> None:
        print(f"{time.strftime('%H:%M:%S')}  {words}", file=sys.stderr, flush=True)

    def where(self, *packages: str) -> str:
        """What a reader must know to believe the numbers; ask at the end."""
        named = ", ".join(f"{name} {version(name)}" for name in ("torch", *packages))
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        command = shlex.join(["python", "-m", "benchmarks.speed", *sys.argv[1:]])
        return (
            f"{machine()}, {named}; commit `{commit()}`, {time.strftime('%Y-%m-%d')}; load average at the end {load}. "
            f"Made by `{command}`." + " SMALL: not to be quoted." * self.small
        )
