"""What a campaign is run on: a storage, an engine, and which kills it must survive, when."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from postgres import Server, find_binaries

BACKENDS = ("sqlite", "postgresql", "ray")
TICKETS = ("trained", "inside", "commit", "committed", "terminate", "crash")  # see hooks/sitecustomize.py
_FULL = {
    "sqlite": {"trained": 12, "inside": 10, "commit": 8, "committed": 4, "worker": 13, "driver": 6},
    "postgresql": {"trained": 10, "inside": 7, "commit": 6, "terminate": 4, "crash": 2}
    | {"committed": 4, "worker": 10, "driver": 5, "backend": 5},
    "ray": {"trained": 12, "inside": 10, "commit": 8, "committed": 4, "actor": 15, "driver": 2, "raylet": 1, "gcs": 1},
}
_SMALL = {  # of Ray no driver: to start a cluster again takes longest, and tests/test_ray_engine.py does it
    "sqlite": {"trained": 1, "inside": 1, "commit": 1, "worker": 1, "driver": 1},
    "postgresql": {"trained": 1, "inside": 1, "commit": 1, "terminate": 1, "crash": 1, "backend": 1},
    "ray": {"trained": 1, "inside": 1, "commit": 1, "committed": 1, "actor": 1},
}


@dataclass(frozen=True)
class Strike:
    """Kill a victim of this kind, or at this moment, once so many evaluations have been committed."""

    after: int
    kind: str


@dataclass(frozen=True)
class Plan:
    backend: str
    trials: int
    strikes: tuple[Strike, ...]
    axes: tuple[str, ...] = ()  # that narrow the space: to list fewer designs takes less time at each start

    @property
    def epochs(self) -> int:
        """With 3 there are rungs of 1 and 3 epochs, of which a third of the trials reaches the second."""
        return 1 if self.backend == "postgresql" else 3

    def options(self) -> list[str]:
        engine = ["--engine", "ray"] if self.backend == "ray" else []
        return [*engine, "--trials", str(self.trials), "--epochs", str(self.epochs), *self.axes]


def full(backend: str, trials: int, seed: int) -> Plan:
    return _plan(backend, _FULL[backend], trials, seed, ())


def small(backend: str, seed: int) -> Plan:
    axes = ("squeeze=none,avg,max,dct", "frequencies=low2,top2,top4", "reduction=4,8")
    return _plan(backend, _SMALL[backend], 24, seed, [word for axis in axes for word in ("--axis", axis)])


def _plan(backend: str, kinds: dict[str, int], trials: int, seed: int, axes: Sequence[str]) -> Plan:
    order = random.Random(f"{backend} {seed}")
    names = [kind for kind, number in kinds.items() for _ in range(number)]
    order.shuffle(names)
    moments = sorted(order.sample(range(1, int(0.8 * trials)), len(names)))
    return Plan(backend, trials, tuple(map(Strike, moments, names)), tuple(axes))


@contextmanager
def storage(plan: Plan, folder: Path, server: Server | None = None) -> Iterator[tuple[str, Server | None]]:
    """The URL of an empty storage, and the server if it is PostgreSQL's."""
    if plan.backend != "postgresql":
        yield f"sqlite:///{folder}/rows.db", None
    elif server is not None:
        yield server.url(server.new_database()), server
    else:
        binaries = find_binaries()
        assert binaries is not None, "asked before"
        with tempfile.TemporaryDirectory(prefix="attnas-postgres-", ignore_cleanup_errors=True) as place:
            own = Server(binaries, Path(place))
            own.start()
            try:
                yield own.url(own.new_database()), own
            finally:
                with suppress(AssertionError):
                    own.stop()


def connections(server: Server, url: str) -> list[int]:
    """The pids of PostgreSQL's own processes that serve this database; none while it recovers from a crash."""
    import psycopg

    database = url.rpartition("/")[2].partition("?")[0]
    try:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", [database]).fetchall()
    except psycopg.OperationalError:
        return []
    return sorted(pid for (pid,) in found)
