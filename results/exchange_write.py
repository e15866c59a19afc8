"""`export`: the finished rows of a storage, and what explains them, as a directory (see `results.exchange`)."""

from __future__ import annotations

import csv
import importlib.metadata
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from results import exchange, exchange_check, query, recipes, studies
from results.exchange import ExchangeError, canonical
from results.exchange_check import RefusedError
from results.exchange_place import beside, check_target, put, put_away_what_was_killed
from results.exchange_tally import Tally
from results.exchange_texts import About, citation, readme
from results.latencies import Latency
from results.query_axes import Designs
from results.store import Store
from results.table import EVALUATIONS, LATENCIES, ROW_COLUMNS, SCHEMA_VERSION

OnRow = Callable[[int, int], None]
"""Told how many rows are done, and of how many."""

_c = EVALUATIONS.c
_BATCH = 500
_TEXTS = tuple(c.name for c in ROW_COLUMNS if isinstance(c.type, sa.String) and c.name != "error")


@dataclass(frozen=True)
class Exported:
    """What was written. `content_hash` names the rows, studies, recipes and latencies, and nothing of the day."""

    directory: Path
    content_hash: str
    rows: int
    designs: int
    running_left_out: int
    unknown_recipes: tuple[str, ...]
    bytes: int


def export(
    store: Store,
    directory: Path,
    *,
    where: str | None = None,
    title: str | None = None,
    authors: Sequence[str] = (),
    note: str | None = None,
    force: bool = False,
    on_row: OnRow | None = None,
) -> Exported:
    """Write every row that has ended, or those for which `where` holds, to a new directory: whole, or not at all.

    The same rows give the same bytes. With `where` only the studies, recipes and latencies of these rows are written.
    `authors` are "Family, Given", or the name of a group. `force` replaces a directory that an export made.

    Raises:
        QueryError: `where` is no query.
        ExchangeError: the directory is there already, or cannot be made.
    """
    put_away_what_was_killed(directory)
    check_target(directory, force)
    with beside(directory) as made:
        with _snapshot(store) as connection:
            ended = _c.status != "running"
            condition = ended if where is None else sa.and_(ended, query.parse(where, Designs(connection)))
            running = connection.scalar(sa.select(sa.func.count()).where(_c.status == "running")) or 0
            tally = _write_rows(connection, condition, made / exchange.ROWS, on_row)
            known = _write_lists(connection, tally, made, everything=where is None)
        unknown = tuple(sorted(tally.recipes - known))
        _write(made / exchange.MANIFEST, canonical(_manifest(tally, where, note)) + "\n")
        _write(made / exchange.ENVIRONMENT, tally.environment())
        _write_designs(made / exchange.DESIGNS, tally)
        sums = {name: exchange.sha256(made / name) for name in exchange.LOADED}
        content = exchange.content_hash(sums)
        about = About(title or tally.title(), tuple(authors), note, content)
        _write(made / exchange.README, readme(tally, about, where=where, unknown_recipes=unknown))
        _write(made / exchange.CITATION, citation(tally, about))
        sums = {name: exchange.sha256(made / name) for name in exchange.SUMMED}
        _write(made / exchange.SUMS, exchange.sums_text(sums))
        size = sum(path.stat().st_size for path in made.iterdir())
        put(made, directory, force)
    return Exported(directory, content, tally.rows, len(tally.design_texts), running, unknown, size)


def attnas_version() -> str:
    try:
        return importlib.metadata.version("attnas")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _manifest(tally: Tally, where: str | None, note: str | None) -> dict[str, Any]:
    versions = {"format": exchange.FORMAT, "schema_version": SCHEMA_VERSION, "attnas": attnas_version()}
    return versions | {"rows": tally.rows, "where": where, "note": note}


@contextmanager
def _snapshot(store: Store) -> Iterator[Connection]:
    """A connection that sees one moment: a search may be writing. SQLite's transactions do so by themselves."""
    with store.reading() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


def exported_cells(cells: dict[str, Any]) -> dict[str, Any]:
    """A record of `ROW_COLUMNS` as it is written: nothing private, nothing that could steer a terminal."""
    kept = {name: cells[name] for name in exchange.KEPT}
    for name in _TEXTS:
        value = kept.get(name)
        if isinstance(value, str):
            kept[name] = exchange.readable(value)
    if isinstance(kept["error"], str):
        kept["error"] = exchange.readable(exchange.without_paths(kept["error"]), keep="\n\t")
    return kept


def _write_rows(connection: Connection, condition: Any, path: Path, on_row: OnRow | None) -> Tally:
    total = connection.scalar(sa.select(sa.func.count()).select_from(EVALUATIONS).where(condition)) or 0
    chosen = sa.select(*ROW_COLUMNS).where(condition).order_by(_c.identity).execution_options(yield_per=_BATCH)
    tally = Tally()
    with path.open("w", encoding="ascii", newline="\n") as file:
        with connection.execute(chosen) as every:
            for found in every.mappings():
                cells = exported_cells(dict(found))
                _check_importable(cells)
                file.write(canonical(cells) + "\n")
                tally.add(cells)
                if on_row is not None and (tally.rows % _BATCH == 0 or tally.rows == total):
                    on_row(tally.rows, total)
        _sync(file)
    return tally


def _check_importable(cells: dict[str, Any]) -> None:
    """Raises `ExchangeError` for a row that `import` would refuse, and with it the whole export."""
    try:
        exchange_check.row(cells)
    except RefusedError as error:
        name = exchange.readable(str(cells["identity"]))
        raise ExchangeError(
            f"row {name} is none that an import would take: {error}; mend it, or leave it out with "
            f"--where \"identity != '{name}'\""
        ) from None


def _write_lists(connection: Connection, tally: Tally, made: Path, *, everything: bool) -> set[str]:
    """Studies, recipes and latencies; returns the hashes of all recipes that the storage knows."""
    kept = recipes.select(connection)
    asked = [study for study in studies.select(connection) if everything or study.id in tally.studies]
    columns = [LATENCIES.c[name] for name in Latency.__dataclass_fields__]
    found = [dict(one) for one in connection.execute(sa.select(*columns)).mappings()]
    measured = [one for one in found if everything or one["network_key"] in tally.networks]
    measured.sort(key=lambda one: (one["network_key"], one["hardware"], one["conditions"]))
    used = [asdict(recipe) for recipe in kept if everything or recipe.hash in tally.recipes]
    _write(made / exchange.RECIPES, exchange.lines_of(used))
    _write(made / exchange.STUDIES, exchange.lines_of(sorted(map(asdict, asked), key=lambda one: one["id"])))
    _write(made / exchange.LATENCIES, exchange.lines_of(measured))
    return {recipe.hash for recipe in kept}


def _write_designs(path: Path, tally: Tally) -> None:
    from results.axes import AXES

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*Tally.DESIGN, *AXES, "evaluations"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(tally.designs())
        _sync(file)


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        _sync(file)


def _sync(file: Any) -> None:
    """On disk before the directory gets its name: what has the name is whole, after a power cut too."""
    file.flush()
    os.fsync(file.fileno())
