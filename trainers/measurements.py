"""What was measured of this machine, kept in `ways.json` of the cache directory for every process that comes after."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainers.data import default_cache_dir
from trainers.whole_files import whole

_log = logging.getLogger(__name__)


def of(key: str) -> dict[str, Any]:
    """What is known under the key; nothing if it was never measured or can't be read."""
    return _read().get(key, {})


@contextmanager
def announced(what: str) -> Iterator[list[str]]:
    """Says on stderr, in one line, what is being measured, and at the end what the block has put into the list."""
    print(f"measuring {what}, once", end=" ... ", file=sys.stderr, flush=True)
    told: list[str] = []
    yield told
    print(*told, file=sys.stderr)


def keep(key: str, found: Mapping[str, float | None]) -> None:
    """In the place of what was known under the key. Where it can't be written a warning is all."""
    path = _file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path, path.with_name(f"{path.name}.{os.getpid()}")) as part:
            part.write_text(json.dumps(_read() | {key: dict(found)}, indent=1))
    except OSError as error:
        _log.warning("%s can't be written (%s): the next process measures again.", path, error)


def _read() -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(_file().read_text())
        assert all(isinstance(one, dict) for one in found.values())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, AssertionError):
        _log.warning("%s can't be read; what it held is measured again.", _file())
        return {}
    return found


def _file() -> Path:
    return default_cache_dir() / "ways.json"
