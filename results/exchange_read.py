"""Where rows come from: a directory that an export wrote, or another storage. Either may be a stranger's."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from results import exchange, exchange_check, recipes, studies
from results.counted import counted
from results.exchange import ExchangeError
from results.exchange_check import RefusedError
from results.latencies import Latency
from results.recipes import KeptRecipe
from results.row import Row
from results.store import Store
from results.studies import Study
from results.table import EVALUATIONS, LATENCIES, ROW_COLUMNS, SCHEMA_VERSION

T = TypeVar("T")

LONGEST_LINE = 16 << 20
"""Bytes of one row: 200 epochs take 40 thousand."""
LARGEST_LIST = 32 << 20
"""Bytes of a file that is read whole."""

_SUM = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9.]+)")


class Source(Protocol):
    """Rows that have ended, each checked when it is read, and what explains them."""

    @property
    def name(self) -> str:
        """As messages call it."""

    def rows(self) -> Iterator[Row]:
        """By identity, each once. Raises `ExchangeError`."""

    def studies(self) -> list[Study]: ...
    def recipes(self) -> list[KeptRecipe]: ...
    def latencies(self) -> list[Latency]: ...


class Directory:
    """An export. Its checksums and its format are checked at once.

    Raises:
        ExchangeError: it is no whole export, or of a newer format.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            what = "is no directory; unpack it first" if path.exists() else "does not exist"
            raise ExchangeError(f"{path} {what}; give a directory that `attnas results export` wrote, or a storage")
        self.path = path
        self.name = str(path)
        self.sums = _checked_sums(path)
        self._rows = _rows_of_manifest(path, self._read(exchange.MANIFEST))

    @property
    def content_hash(self) -> str:
        """What a citation calls the version."""
        return exchange.content_hash(self.sums)

    @property
    def ignored(self) -> list[str]:
        """What lies in the directory and is no part of the export: it is never opened."""
        return sorted(found.name for found in self.path.iterdir() if found.name not in (*self.sums, exchange.SUMS))

    def rows(self) -> Iterator[Row]:
        path, before, number = self.path / exchange.ROWS, "", 0
        sum_ = hashlib.sha256()
        with exchange.open_plain(path) as file:
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                sum_.update(line)
                where = f"{path}, line {number}"
                row = _taken(where, _row_of_line, line)
                if row.identity <= before:
                    raise ExchangeError(f"{where}: identity {row.identity} is there twice, or out of order")
                before = row.identity
                yield row
        self._check_unchanged(exchange.ROWS, sum_.hexdigest())
        if number != self._rows:
            has = counted(number, "row")
            raise ExchangeError(f"{path} has {has}, {exchange.MANIFEST} says {self._rows}: get it again")

    def studies(self) -> list[Study]:
        return self._list(exchange.STUDIES, exchange_check.study)

    def recipes(self) -> list[KeptRecipe]:
        return self._list(exchange.RECIPES, exchange_check.recipe)

    def latencies(self) -> list[Latency]:
        return self._list(exchange.LATENCIES, exchange_check.latency)

    def _list(self, name: str, read: Callable[[Any], T]) -> list[T]:
        path = self.path / name
        found = _taken(str(path), exchange_check.parse, self._read(name))
        if not isinstance(found, list):
            raise ExchangeError(f"{path} is no list; get the export again")
        return [_taken(f"{path}, entry {number}", read, one) for number, one in enumerate(found, start=1)]

    def _read(self, name: str) -> bytes:
        text = _whole(self.path / name)
        self._check_unchanged(name, hashlib.sha256(text).hexdigest())
        return text

    def _check_unchanged(self, name: str, sum_: str) -> None:
        """Between the first look and this one somebody may have put another file there."""
        if sum_ != self.sums[name]:
            raise ExchangeError(f"{self.path / name} was changed while it was read; get the export again")


class Storage:
    """Another storage, open to be read."""

    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self._store = store

    def rows(self) -> Iterator[Row]:
        ended = sa.select(*ROW_COLUMNS).where(EVALUATIONS.c.status != "running").order_by(EVALUATIONS.c.identity)
        with self._reading() as connection:
            for found in connection.execute(ended.execution_options(yield_per=500)).mappings():
                cells = {name: value for name, value in found.items() if name not in exchange.PRIVATE}
                yield _taken(f"{self.name}, row {found['identity']!a}", exchange_check.row, cells)

    def studies(self) -> list[Study]:
        return self._list("study", exchange_check.study, studies.select, "id", "name", "config", "created")

    def recipes(self) -> list[KeptRecipe]:
        return self._list("recipe", exchange_check.recipe, recipes.select, "hash", "kind", "name", "content")

    def latencies(self) -> list[Latency]:
        columns = [LATENCIES.c[name] for name in Latency.__dataclass_fields__]
        with self._reading() as connection:
            found = [dict(one) for one in connection.execute(sa.select(*columns)).mappings()]
        return [_taken(f"{self.name}, a latency", exchange_check.latency, one) for one in found]

    def _list(self, what: str, read: Callable[[Any], T], select: Callable[..., list[Any]], *names: str) -> list[T]:
        with self._reading() as connection:
            found = select(connection)
        records = ({name: getattr(one, name) for name in names} for one in found)
        return [_taken(f"{self.name}, {what} {one[names[0]]!a}", read, one) for one in records]

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection; what it meets in a damaged or forged file is the user's error."""
        try:
            with self._store.engine.connect() as connection:
                yield connection
        except (DBAPIError, ValueError) as error:  # a text that is no JSON, or no UTF-8
            reason = " ".join(str(getattr(error, "orig", error)).split())
            raise ExchangeError(f"{self.name} cannot be read: {reason}; mend it, or leave it out") from error


def _checked_sums(path: Path) -> dict[str, str]:
    """{name: SHA-256} of the files of an export, which they have."""
    told = path / exchange.SUMS
    if not told.exists() and not told.is_symlink():
        within = sorted(found.parent.name for found in path.glob(f"*/{exchange.SUMS}"))
        raise ExchangeError(
            f"{path} holds no {exchange.SUMS}; give "
            + (
                f"the exports in it: {', '.join(shlex.quote(str(path / name)) for name in within)}"
                if within
                else "a directory that `attnas results export` wrote"
            )
        )
    sums: dict[str, str] = {}
    for number, line in enumerate(_whole(told).decode("ascii", "backslashreplace").splitlines(), start=1):
        found = _SUM.fullmatch(line)
        if found is None or found[2] not in exchange.SUMMED or found[2] in sums:
            raise ExchangeError(
                f"{told}, line {number}: {line[:120]!a} names no file of an export, or one twice; the files are "
                f"{', '.join(exchange.SUMMED)}. A newer attnas may write others: upgrade, or get the export again"
            )
        sums[found[2]] = found[1]
    missing = [name for name in exchange.SUMMED if name not in sums]
    if missing:
        raise ExchangeError(f"{told} has no sum of {', '.join(missing)}: the export is not whole; get it again")
    wrong = [name for name in exchange.SUMMED if exchange.sha256(path / name) != sums[name]]
    if wrong:
        raise ExchangeError(
            f"{path}: {', '.join(wrong)} changed since the export was written (its SHA-256 is not that of "
            f"{exchange.SUMS}); get it again. Nothing was imported"
        )
    return sums


def _rows_of_manifest(path: Path, text: bytes) -> int:
    """How many rows an export says that it holds."""
    told = path / exchange.MANIFEST
    manifest = _taken(str(told), exchange_check.parse, text)
    said: dict[str, Any] = manifest if isinstance(manifest, dict) else {}
    numbers: list[Any] = [said.get(name) for name in ("format", "schema_version", "rows")]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ExchangeError(f"{told}: format, schema_version and rows are to be whole numbers; get the export again")
    version, schema, rows = numbers
    if version > exchange.FORMAT or schema > SCHEMA_VERSION:
        raise ExchangeError(
            f"{path} was written by a newer attnas: format {version}, schema version {schema}; this attnas knows up to "
            f"{exchange.FORMAT} and {SCHEMA_VERSION}; upgrade attnas"
        )
    return int(rows)


def _row_of_line(line: bytes) -> Row:
    if len(line) > LONGEST_LINE:
        raise RefusedError(f"is longer than {LONGEST_LINE:,} bytes")
    return exchange_check.row(exchange_check.parse(line))


def _whole(path: Path) -> bytes:
    with exchange.open_plain(path) as file:
        text = file.read(LARGEST_LIST + 1)
    if len(text) > LARGEST_LIST:
        raise ExchangeError(f"{path} is larger than {LARGEST_LIST:,} bytes; only {exchange.ROWS} may be; get it again")
    return text


def _taken(where: str, read: Callable[[Any], T], found: Any) -> T:
    try:
        return read(found)
    except RefusedError as error:
        raise ExchangeError(f"{where}: {error}; get it again, or leave it out") from None
