"""Checkpoints of a retraining: whole or absent, checked when read, and of one run."""

from __future__ import annotations

import fcntl
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from search_space.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A training after some epochs. No random state and no schedule: both follow from the epoch."""

    identity: str  # of the run, to be read by people
    precision: str
    model: dict[str, Any]
    optimiser: dict[str, Any]
    curves: list[dict[str, float]]

    @property
    def epoch(self) -> int:
        return len(self.curves)

    def save(self, path: Path) -> None:
        """Raises `UserError` if there is no room; the checkpoint before stays."""
        write(path, {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path, identity: str) -> Checkpoint | None:
        """The checkpoint at `path`, None where there is none; nothing in the file is executed.

        Raises:
            UserError: the file is damaged or is no checkpoint, or it is another run's.
        """
        if not path.exists():
            return None
        try:
            _check_sums(path)
            found = cls(**torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # a damaged file makes the readers raise almost anything
            raise damaged(path, error) from error
        if found.identity != identity:
            raise UserError(
                f"{path} is the checkpoint of another run:\n  there: {found.identity}\n  given: {identity}\n"
                "Give the options of that run to go on with it, or another --output for this one."
            )
        return found


def damaged(path: Path, error: Exception) -> UserError:
    why = str(error).partition("\n")[0]
    return UserError(
        f"{path} is damaged or is no checkpoint of attnas ({why}). Nothing of it was used. Delete it to begin this "
        "training anew, or choose another --output."
    )


def _check_sums(path: Path) -> None:
    """torch reads its archives without looking at their checksums."""
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise ValueError(f"wrong checksum of {broken}")


def write(path: Path, state: dict[str, Any]) -> None:
    """Put tensors and plain values at `path`: at any moment it holds the old content or the new one.

    Raises:
        UserError: the file can't be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise UserError(
            f"{path} can't be written: {error}. Make room or mend the permissions; the same command then goes on "
            "from the checkpoint before."
        ) from error


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Make the folder and keep other processes from training into it. A killed process owns nothing.

    Raises:
        UserError: it can't be made, or another process trains into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise UserError(f"output {folder} can't be used: {error}. Choose another --output.") from error
    with lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock not inherited by workers that outlive us
        except (BlockingIOError, PermissionError) as error:
            raise UserError(f"another process trains into {folder}. Wait for it or choose another --output.") from error
        yield
