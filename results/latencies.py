"""How long a network takes on some hardware: measured once, then looked up."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING

import sqlalchemy as sa

from results.schema import insert
from results.table import LATENCIES

if TYPE_CHECKING:
    from results.store import Store

_c = LATENCIES.c


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """The median of `n` measurements and their interquartile range, in seconds.

    `conditions` says what was timed (batch, image size, precision, threads) and `hardware` on what; together with the
    network key they name the measurement. `measured` is in unix seconds.
    """

    network_key: str
    hardware: str
    conditions: str
    seconds: float
    seconds_iqr: float
    n: int
    measured: float = field(default_factory=time.time)


class Latencies:
    """The table of latencies of a storage; made by `Store.latencies`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, network_key: str, hardware: str, conditions: str) -> Latency | None:
        """What was measured, if it was."""
        wanted = (_c.network_key == network_key, _c.hardware == hardware, _c.conditions == conditions)
        with self._store.reading() as connection:
            found = connection.execute(sa.select(LATENCIES).where(*wanted)).mappings().first()
        return None if found is None else Latency(**{f.name: found[f.name] for f in fields(Latency)})

    def known(self, hardware: str, conditions: str) -> dict[str, float]:
        """Seconds by network key of everything measured so, in the order of measuring."""
        wanted = (_c.hardware == hardware, _c.conditions == conditions)
        with self._store.reading() as connection:
            statement = sa.select(_c.network_key, _c.seconds).where(*wanted).order_by(_c.measured)
            return {found.network_key: found.seconds for found in connection.execute(statement)}

    def put(self, latency: Latency) -> Latency:
        """Keep a measurement, and return the one that is kept: the first stays, so that every process ranks alike."""
        with self._store.turn() as turn:
            write = insert(LATENCIES, turn.connection.dialect.name).on_conflict_do_nothing()
            turn.connection.execute(write, asdict(latency))
        kept = self.get(latency.network_key, latency.hardware, latency.conditions)
        assert kept is not None, "nothing deletes a latency"
        return kept
