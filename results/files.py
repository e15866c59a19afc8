"""How pages, pictures and tables become files."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from search_space.errors import UserError


def check_folder(path: Path) -> None:
    """Raises `UserError` if a file can't be where its folder isn't."""
    if not path.absolute().parent.is_dir():
        raise UserError(f"{str(path)!r} can't be written: there is no folder {str(path.absolute().parent)!r}; make it.")


def write_whole(path: Path, content: bytes) -> None:
    """Write beside, then rename: nobody reads half a file, and a full disk costs no old one. Raises `UserError`."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise UserError(f"{str(path)!r} can't be written: {error.strerror}; name a file elsewhere.") from error
