"""The form in which results leave a storage: a directory of plain text that another group can load, check and cite.

`rows.jsonl` has one evaluation a line, by identity. Text rather than Parquet: it is read by anything in any year, two
exports can be compared by `diff`, and equal rows are equal bytes, which no Parquet writer promises from one version to
the next. It is not compressed: a reader then never meets a line that swells, and who wants it smaller packs the
directory. Everything is JSON or CSV; nothing in it can be run.

Left out is who was at work: owner and heartbeat hold host names. The paths in the tracebacks of failed rows are
shortened to their last part.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from results.row import COLUMNS
from search_space.errors import UserError

FORMAT = 1

MANIFEST = "export.json"
ROWS = "rows.jsonl"
STUDIES = "studies.json"
RECIPES = "recipes.json"
LATENCIES = "latencies.json"
DESIGNS = "designs.csv"
ENVIRONMENT = "environment.json"
README = "README.md"
CITATION = "CITATION.cff"
SUMS = "SHA256SUMS"

LOADED = (ROWS, STUDIES, RECIPES, LATENCIES)
"""What an import reads beside the manifest; the content hash is over these."""
SUMMED = tuple(sorted((*LOADED, MANIFEST, DESIGNS, ENVIRONMENT, README, CITATION)))
"""Every file but the sums themselves."""

PRIVATE = ("owner", "heartbeat")
KEPT = tuple(name for name in COLUMNS if name not in PRIVATE)
"""The columns of an exported row."""

_CHUNK = 1 << 20
_QUOTED_PATH = re.compile(r"""(["'])(?:[A-Za-z]:[\\/]|/)[^"'\n]*[\\/]""")
_PATH = re.compile(r"""(?<![\w.])(?:[A-Za-z]:[\\/]|/)(?:[^\s/\\:'"<>|,;()]+[/\\])+""")


class ExchangeError(UserError):
    """An export that cannot be written or read: which file, what is wrong with it, what to do."""


def canonical(value: Any) -> str:
    """JSON of one spelling, in ASCII: sorted names, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def readable(text: str, keep: str = "") -> str:
    """The text with what is no printable character escaped, but for those in `keep`: it cannot steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def without_paths(text: str) -> str:
    """A traceback without the folders of somebody's machine: `/home/ann/attnas/x.py` becomes `.../x.py`."""
    return _PATH.sub(".../", _QUOTED_PATH.sub(r"\1.../", text))


def open_plain(path: Path) -> BinaryIO:
    """A regular file, open to be read; never what a link points at, nor a pipe.

    Raises:
        ExchangeError: it is missing, or is something else.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # Windows has neither
    try:
        file = os.fdopen(os.open(path, flags), "rb")
    except FileNotFoundError:
        raise ExchangeError(f"{path} is missing: the export is not whole; get it again") from None
    except OSError as error:
        raise ExchangeError(
            f"{path} cannot be read: {error.strerror}; an export holds regular files and no links"
        ) from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ExchangeError(f"{path} is no regular file; an export holds nothing else")
    return file


def sha256(path: Path) -> str:
    """64 hex digits of a regular file. Raises `ExchangeError`."""
    found = hashlib.sha256()
    with open_plain(path) as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def sums_text(sums: dict[str, str]) -> str:
    """As `sha256sum` of coreutils writes it, by name."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def content_hash(sums: dict[str, str]) -> str:
    """64 hex digits that name what an import would read: the SHA-256 of the lines of `LOADED`."""
    return hashlib.sha256(sums_text({name: sums[name] for name in LOADED}).encode("ascii")).hexdigest()


def lines_of(values: Iterable[Any]) -> str:
    """A JSON array with one value a line, which `diff` can compare."""
    inner = ",\n".join(map(canonical, values))
    return f"[\n{inner}\n]\n" if inner else "[]\n"
