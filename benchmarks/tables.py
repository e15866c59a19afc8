"""What the tables of benchmarks share: where they were made, and the notes that a new run keeps."""

from __future__ import annotations

import os
from pathlib import Path

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
