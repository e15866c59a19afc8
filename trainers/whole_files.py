"""Files that are at any moment the old ones or the new ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path, part: Path | None = None) -> Iterator[Path]:
    """Where to write what `path` shall hold: `part`, by default PATH.part, which is not there when the block begins.

    It gets the name when the block ends well; otherwise it goes, so that its room is free, and `path` is as it was.
    """
    part = path.with_name(f"{path.name}.part") if part is None else part
    part.unlink(missing_ok=True)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
