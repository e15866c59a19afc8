"""Where an export is made, and how it comes to its place: whole, and only then under its name.

It is made in a hidden directory beside the place, so on the same disk. What is killed leaves that directory behind; the
next export to the same place puts it away, if its process is dead. A kill between the two renames of a replacement
leaves the old export in there: it is put back first.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from results import exchange
from results.exchange import ExchangeError
from results.lease import owner_is_dead, this_owner

_MADE, _OLD, _OWNER = "export", "old", "owner"


def check_target(directory: Path, force: bool) -> None:
    if not directory.parent.is_dir():
        raise ExchangeError(f"{directory}: {directory.parent} is no directory; make it, or name another place")
    if not os.access(directory.parent, os.W_OK):
        raise ExchangeError(f"{directory}: no permission to write in {directory.parent}; name another place")
    if Path.cwd().is_relative_to(directory.resolve()):
        raise ExchangeError(f"{directory} is the folder you are in, or one around it; name a new one")
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise ExchangeError(f"{directory} is no directory; name a new one")
    there = sorted(path.name for path in directory.iterdir()) if directory.exists() else []
    if there and not force:
        raise ExchangeError(f"{directory} is not empty; name a new directory, or replace an export with --force")
    if there and not {exchange.MANIFEST, exchange.SUMS} <= set(there):
        raise ExchangeError(f"{directory} is no export, and --force would delete what is in it; name another directory")
    foreign = [name for name in there if name not in (*exchange.SUMMED, exchange.SUMS)]
    if foreign:
        raise ExchangeError(
            f"{directory} holds {foreign[0]!r}, which no export has written, and --force would delete it; name another "
            "directory"
        )


@contextmanager
def beside(directory: Path) -> Iterator[Path]:
    """An empty directory on the same disk, gone at the end unless it has been moved."""
    with tempfile.TemporaryDirectory(prefix=f".{directory.name}-", dir=directory.parent) as scratch:
        Path(scratch, _OWNER).write_text(this_owner(), encoding="utf-8")
        made = Path(scratch, _MADE)
        made.mkdir()  # with the permissions that a new directory of this user has; the scratch is closed to others
        yield made


def put_away_what_was_killed(directory: Path) -> None:
    """Of exports to this place whose process is dead, where we may look."""
    named = re.compile(re.escape(f".{directory.name}-") + "[a-z0-9_]{8}")  # as tempfile calls them
    there: list[Path] = []
    with suppress(OSError):
        there = [found for found in directory.parent.iterdir() if named.fullmatch(found.name)]
    for scratch in there:
        if scratch.is_symlink() or not _was_killed(scratch):
            continue
        old = scratch / _OLD
        if old.is_dir() and not directory.exists():
            old.rename(directory)
        shutil.rmtree(scratch, ignore_errors=True)


def _was_killed(scratch: Path) -> bool:
    try:
        return owner_is_dead((scratch / _OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # no scratch of ours, or somebody else's


def put(made: Path, directory: Path, force: bool) -> None:
    """Into its place; what was there goes only when the new one has the name."""
    check_target(directory, force)  # again: to write the rows may have taken an hour
    old = made.with_name(_OLD)
    try:
        if directory.exists():
            directory.rename(old)
        made.rename(directory)
    except BaseException:
        if old.exists() and not directory.exists():
            old.rename(directory)
        raise
    shutil.rmtree(old, ignore_errors=True)
