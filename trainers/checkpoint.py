"""Checkpoints, of a retraining and of a proxy's trunk: whole or absent, checked when read, and of one run."""

from __future__ import annotations

import fcntl
import glob
import logging
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor

from search_space.errors import UserError
from trainers.whole_files import whole

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A training after some epochs and updates. No random state and no schedule: both follow from them."""

    identity: str  # of the run, to be read by people
    precision: str
    model: dict[str, Any]
    optimiser: dict[str, Any]
    curves: list[dict[str, float]]
    average: dict[str, Any] | None = None  # of the weights, where a recipe has one
    updates: int = 0  # of the epoch that was running
    epoch_loss: float = 0.0  # their sum
    scaler: dict[str, Any] = field(default_factory=dict)  # of the loss, in float16
    corrupt: dict[str, str] = field(default_factory=dict)  # images that could not be read, and why
    seconds: float | None = None  # that the training had taken; those of its last record unless said

    @property
    def epoch(self) -> int:
        return len(self.curves)

    @property
    def spent(self) -> float:
        """Seconds of the training so far."""
        if self.seconds is not None:
            return self.seconds
        return self.curves[-1]["seconds"] if self.curves else 0.0

    def save(self, path: Path) -> None:
        """Raises `UserError` if there is no room; the checkpoint before stays."""
        write(path, _content(self))

    @classmethod
    def load(cls, path: Path, identity: str) -> Checkpoint | None:
        """The checkpoint at `path`, None where there is none; nothing in the file is executed.

        Raises:
            UserError: the file is damaged or is no checkpoint, or it is another run's.
        """
        if not path.exists():
            return None
        try:
            found = cls(**read(path))
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except OSError as error:
            raise UserError(
                f"{path} can't be read now: {error}. Nothing was changed; the same command goes on."
            ) from error
        except Exception as error:  # a damaged file makes the readers raise almost anything
            raise damaged(path, error) from error
        if found.identity != identity:
            raise UserError(
                f"{path} is the checkpoint of another run:\n  there: {found.identity}\n  given: {identity}\n"
                "Give the options of that run to go on with it, or another --output for this one."
            )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """A proxy training before its rate decays, so that a longer one can go on from here as if it had never stopped."""

    identity: str  # of the training but for its length, to be read by people
    step: int
    model: dict[str, Any]
    momenta: list[Tensor]
    random: Tensor  # of the generator that draws order, crops and mirrors
    ahead: Tensor  # int64: the images of the running epoch that are still to come, in their order
    epoch_loss: Tensor  # float32 []: the sum over the steps of the running epoch
    curves: list[dict[str, float]]
    seconds: float

    def save(self, path: Path) -> None:
        """Raises `OSError` if it can't be written; what was there before stays."""
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f"{glob.escape(path.name)}.*.part"):  # by a killed process
            left.unlink(missing_ok=True)
        # a process taken for dead may still write: each its own part
        replace(path, _content(self), part=path.with_name(f"{path.name}.{uuid4().hex[:8]}.part"))

    @classmethod
    def load(cls, path: Path, identity: str) -> Trunk | None:
        """The trunk at `path`; None where there is none and, with a logged warning, where the file is damaged or
        another training's. Nothing in the file is executed."""
        if not path.exists():
            return None
        try:
            found = cls(**read(path))
        except Exception as error:  # a damaged file makes the readers raise almost anything
            why = str(error).partition("\n")[0]
            _log.warning("%s is damaged or of another version (%s): training from the start.", path, why)
            return None
        if found.identity != identity:
            _log.warning(
                "%s is of another training: from the start.\n  there: %s\n  given: %s", path, found.identity, identity
            )
            return None
        return found


def _content(checkpoint: Checkpoint | Trunk) -> dict[str, Any]:
    return {each.name: getattr(checkpoint, each.name) for each in fields(checkpoint)}


def damaged(path: Path, error: Exception) -> UserError:
    why = str(error).partition("\n")[0]
    others = [*sorted(path.parent.glob("epoch-*.pt"), reverse=True), *path.parent.glob("best.pt")]
    instead = f"Copy {others[0].name} over it to go on from there, delete it" if others else "Delete it"
    return UserError(
        f"{path} is damaged or is no checkpoint of attnas ({why}). Nothing of it was used. {instead} to begin this "
        "training anew, or choose another --output."
    )


def read(path: Path) -> dict[str, Any]:
    """What `write` wrote; nothing in the file is executed. A damaged one makes this raise almost anything."""
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()  # torch reads its archives without looking at their checksums
    if broken is not None:
        raise ValueError(f"wrong checksum of {broken}")
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def write(path: Path, state: dict[str, Any]) -> None:
    """Put tensors and plain values at `path`: at any moment it holds the old content or the new one.

    Raises:
        UserError: the file can't be written.
    """
    try:
        replace(path, state)
    except OSError as error:
        raise UserError(
            f"{path} can't be written: {error}. Make room or mend the permissions; the same command then goes on "
            "from the checkpoint before."
        ) from error


def replace(path: Path, state: dict[str, Any], *, part: Path | None = None) -> None:
    """Raises `OSError`; what was there before stays then."""
    with whole(path, part) as begun, begun.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())


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
