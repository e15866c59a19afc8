"""Decoded arrays on disk: entries are complete or absent, checked when read, and hold no pickle."""

import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ARRAY_NAMES = ("train_images", "train_labels", "test_images", "test_labels")


class FolderCache:
    """`directory`/listings/<fingerprint>.json says what a listing of files held; `directory`/<content hash>/ holds it.

    An entry is a .npy file for each array, and `entry.json` with their digests.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def read_listing(self, fingerprint: str) -> tuple[str, dict[str, str]] | None:
        """The source hash of a listing and its images that cannot be decoded; None where the listing is unknown."""
        record = _read_json(self._listing(fingerprint))
        return (record["source_hash"], record["dropped"]) if record.keys() == {"source_hash", "dropped"} else None

    def write_listing(self, fingerprint: str, source_hash: str, dropped: Mapping[str, str]) -> None:
        path = self._listing(fingerprint)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.directory) as scratch:
            whole = Path(scratch) / path.name
            whole.write_text(json.dumps({"source_hash": source_hash, "dropped": dict(dropped)}))
            whole.replace(path)

    def read_arrays(self, content_hash: str) -> dict[str, NDArray[Any]] | None:
        """The arrays of an entry; None where there is no entry, or one that is not what was written."""
        entry = self.directory / content_hash
        arrays = _read_entry(entry)
        if arrays is None and entry.exists():
            print(f"the cache entry {entry} is damaged: its images are decoded again", file=sys.stderr)
        return arrays

    def write_arrays(self, content_hash: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write an entry aside, then put it in place of whatever damaged entry is there."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.directory) as scratch:
            whole, entry = Path(scratch) / "entry", self.directory / content_hash
            whole.mkdir()
            for name, array in arrays.items():
                np.save(whole / f"{name}.npy", array, allow_pickle=False)
            digests = {name: _digest(array) for name, array in arrays.items()}
            (whole / "entry.json").write_text(json.dumps(digests))
            try:
                whole.rename(entry)
            except OSError:
                if not entry.exists():
                    raise
                if _read_entry(entry) is None:  # otherwise another process was done first
                    entry.rename(Path(scratch) / "damaged")
                    whole.rename(entry)

    def _listing(self, fingerprint: str) -> Path:
        return self.directory / "listings" / f"{fingerprint}.json"


def _read_entry(entry: Path) -> dict[str, NDArray[Any]] | None:
    try:
        arrays = {name: np.load(entry / f"{name}.npy", allow_pickle=False) for name in ARRAY_NAMES}
    except (OSError, ValueError, EOFError):
        return None
    whole = _read_json(entry / "entry.json") == {name: _digest(array) for name, array in arrays.items()}
    return arrays if whole else None


def _digest(array: NDArray[Any]) -> str:
    """Sha256 over type, shape and content."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    """The object in the file; empty where there is no file, or one that is not whole."""
    try:
        value = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
