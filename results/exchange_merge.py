"""Put rows from elsewhere beside ours. What is ours stays; a row is its identity, so that nothing is doubled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from results import recipes, studies
from results.exchange import ExchangeError
from results.exchange_read import Source
from results.latencies import Latency
from results.lease import lease_is_dead
from results.row import MEASURED, Row
from results.schema import insert
from results.store import Store
from results.studies import Study
from results.table import EVALUATIONS, LATENCIES, STUDIES
from results.turn import Turn, get

_c = EVALUATIONS.c
_BATCH = 500  # rows a transaction, and parameters of a lookup: others write in between
_RESULT = ("status", "accuracy", "loss")


@dataclass(frozen=True, slots=True)
class Difference:
    """One evaluation, two results: `ours` was kept. Each is its status, accuracy and loss."""

    identity: str
    design: str
    seed: int
    ours: tuple[Any, ...]
    theirs: tuple[Any, ...]


@dataclass
class Merged:
    """What came of a source. `ended` are rows that had no measurement here and have theirs as their result now."""

    name: str
    rows: int = 0
    new: int = 0
    ended: int = 0
    there: int = 0
    differing: list[Difference] = field(default_factory=list)
    studies: int = 0
    renamed: dict[str, str] = field(default_factory=dict)
    recipes: int = 0
    latencies: int = 0


def check(source: Source, on_row: Callable[[int], None] | None = None) -> int:
    """Read all of a source and keep nothing; how many rows it has. Raises `ExchangeError` as `merge` would."""
    source.studies(), source.recipes(), source.latencies()
    number = 0
    for number, _ in enumerate(source.rows(), start=1):
        if on_row is not None and number % _BATCH == 0:
            on_row(number)
    return number


def merge(source: Source, store: Store, on_row: Callable[[int], None] | None = None) -> Merged:
    """Write what of a source is not there yet, some rows a transaction: cut off and called again, it goes on.

    The rule is that of `results.frame_of`: measured before failed before running. A row that was measured here is kept,
    whatever theirs says, and told where the results differ. One that failed or is running here takes the measurement of
    theirs; the owner of a running one is told so when it next writes. A failure of theirs ends no live training of
    ours. A study whose name is taken is called that with -2. The order in which rows "finished" (`Store.changes`) is
    that of their coming here, so that a search that is at work sees them.

    Raises:
        ExchangeError: a value that no attnas writes; `check` finds it before anything is written.
        RecipeConflictError: a recipe's hash is known here with other values.
    """
    merged = Merged(source.name)
    their_recipes, their_latencies, their_studies = source.recipes(), source.latencies(), source.studies()
    with store.turn() as turn:
        connection = turn.connection
        merged.recipes = sum([recipes.put(connection, recipe) for recipe in their_recipes])
        merged.latencies = sum([_put_latency(connection, latency) for latency in their_latencies])
        for study in their_studies:
            _put_study(connection, study, merged)
    for batch in _batches(source.rows()):
        with store.turn() as turn:
            _put_rows(turn, batch, merged)
        if on_row is not None:
            on_row(merged.rows)
    return merged


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    left = iter(rows)
    while batch := list(islice(left, _BATCH)):
        yield batch


def _put_rows(turn: Turn, batch: Sequence[Row], merged: Merged) -> None:
    named = {row.identity: row for row in batch}
    ours = _known(turn.connection, named)
    fresh = [row for identity, row in named.items() if identity not in ours]
    if fresh:
        turn.insert(fresh)
    merged.rows += len(batch)
    merged.new += len(fresh)
    for identity, result in ours.items():
        row = named[identity]
        theirs = tuple(getattr(row, name) for name in _RESULT)
        if _gives_way(turn.connection, result[0], row):
            merged.ended += turn.supersede(row) if row.status in MEASURED else turn.finish(row)
            continue
        merged.there += 1
        if result != theirs and result[0] != "running":
            merged.differing.append(Difference(identity, row.design, row.seed, result, theirs))


def _gives_way(connection: Connection, ours: str, theirs: Row) -> bool:
    """Whether our row has theirs as its result from now on."""
    if theirs.status in MEASURED:
        return ours not in MEASURED
    running = get(connection, theirs.identity) if ours == "running" else None
    return running is not None and lease_is_dead(running)


def _known(connection: Connection, identities: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """The status, accuracy and loss of those that are here, by identity."""
    asked = sa.select(_c.identity, *(_c[name] for name in _RESULT)).where(_c.identity.in_(list(identities)))
    found = connection.execute(asked.order_by(_c.identity))
    return {identity: tuple(result) for identity, *result in found}


def _put_latency(connection: Connection, latency: Latency) -> bool:
    write = insert(LATENCIES, connection.dialect.name).on_conflict_do_nothing().returning(LATENCIES.c.n)
    return connection.execute(write, asdict(latency)).first() is not None


def _put_study(connection: Connection, study: Study, merged: Merged) -> None:
    there = studies.select(connection, STUDIES.c.id == study.id)
    if there:
        if studies.config_hash(there[0].config) != studies.config_hash(study.config):
            raise ExchangeError(
                f"{merged.name}: study {study.name!r} has the id of {there[0].name!r} here, and asks for something "
                "else; it was changed by hand: leave it out"
            )
        studies.add_samplers(connection, there[0], study.config.get(studies.SAMPLERS))
        return
    name = studies.free_name(connection, study.name)
    values = asdict(study) | {"name": name, "config_hash": studies.config_hash(study.config)}
    connection.execute(sa.insert(STUDIES).values(**values))
    merged.studies += 1
    if name != study.name:
        merged.renamed[study.name] = name
