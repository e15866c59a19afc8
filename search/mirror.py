"""The rows of a study as this process knows them: taken in as they change, counted as they come."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Protocol

from results.lease import lease_is_dead
from results.row import Row
from results.store import Store

_USUAL = 100  # evaluations that tell how long one takes

Trial = tuple[str, int]  # network key, seed


class Reader(Protocol):
    """The store, or a transaction of it."""

    def changes(self, since: int, **scope: Any) -> tuple[list[Row], int]: ...


class Mirror:
    """Rows in `scope` as far as `take` makes them ours; the store stays the truth, and `sync` costs what has changed.

    `take` gives the row to keep (with what else is known of it), or None.
    """

    def __init__(self, store: Store, scope: dict[str, Any], take: Callable[[Row], Row | None], seeds: int) -> None:
        self.store, self.scope, self.take, self.seeds = store, scope, take, seeds
        self.generation = 0  # changes when what is known may have shrunk
        self._reported: set[str] = set()
        self.forget()

    def forget(self) -> None:
        """Know nothing: the next `sync` reads everything."""
        self.generation += 1
        self.finished: dict[str, Row] = {}  # by identity, in the order of their commits
        self.running: dict[str, Row] = {}
        self.by_trial: dict[Trial, dict[int, Row]] = {}
        self.begun: dict[str, set[int]] = {}  # networks, and the seeds of their trials
        self.begun_at: dict[int, set[Trial]] = defaultdict(set)
        self.at_rung: dict[int, dict[Trial, Row]] = defaultdict(dict)  # finished rows
        self.measured: dict[int, list[str]] = defaultdict(list)  # networks, as their last seed finished the rung
        self._seeds_done: Counter[tuple[str, int]] = Counter()
        self._epochs_finished = 0.0
        self._cursor = -1

    def sync(self, reader: Reader | None = None) -> list[Row]:
        """Take in what has changed since the last time; returns the rows finished since then, oldest first."""
        rows, self._cursor = (reader or self.store).changes(self._cursor, **self.scope)
        again = self.finished.keys() & {row.identity for row in rows}
        if again:  # a failed row was set free, or an import brought the measurement that failed here
            self._reported -= again
            self.forget()
            return self.sync(reader)
        ours = [taken for row in rows if (taken := self.take(row)) is not None]
        for row in self.running.values():  # finished or still at it: then it is among the rows
            self._drop(row)
        new = [row for row in ours if row.status != "running"]
        self.running = {row.identity: row for row in ours if row.status == "running"}
        for row in ours:
            self._add(row)
        for row in new:
            self._count(row)
        fresh = [row for row in new if row.identity not in self._reported]
        self._reported.update(row.identity for row in fresh)
        return fresh

    def add_running(self, row: Row) -> None:
        """We have just claimed it."""
        self.running[row.identity] = row
        self._add(row)

    def absorb(self, row: Row) -> None:
        """A row that `changes` did not show: it was in the way of a claim."""
        self._add(row)
        if row.status == "running":
            self.running[row.identity] = row
        else:
            self._count(row)

    @property
    def trials(self) -> int:
        """Trials begun, by anyone."""
        return len(self.by_trial)

    @property
    def epochs(self) -> float:
        """Epochs trained, and being trained."""
        return self._epochs_finished + sum(map(epochs_of, self.running.values()))

    @property
    def dead(self) -> list[Row]:
        """Running rows whose process has gone."""
        return [row for row in self.running.values() if lease_is_dead(row)]

    def complete(self) -> list[Row]:
        """Rows trained to the last rung."""
        return [row for row in self.finished.values() if row.status == "complete"]

    def failures(self) -> Counter[str]:
        """How many rows failed, by class."""
        return Counter(row.failure for row in self.finished.values() if row.failure is not None)

    def usual_seconds(self, epochs: int) -> float | None:
        """Median seconds from claim to end of the last evaluations to this rung; None if none has ended."""
        rows = islice(reversed(self.at_rung[epochs].values()), _USUAL)
        known = [row.finished - row.started for row in rows if row.finished is not None and row.started is not None]
        return statistics.median(known) if known else None

    def rows_of(self, key: str, epochs: int, seeds: Iterable[int]) -> list[Row]:
        """The finished rows of one network at one rung."""
        found = (self.at_rung[epochs].get((key, seed)) for seed in seeds)
        return [row for row in found if row is not None]

    def _add(self, row: Row) -> None:
        self.by_trial.setdefault((row.network_key, row.seed), {})[row.epochs] = row
        self.begun.setdefault(row.network_key, set()).add(row.seed)
        self.begun_at[row.epochs].add((row.network_key, row.seed))

    def _drop(self, row: Row) -> None:
        rungs = self.by_trial.get((row.network_key, row.seed), {})
        if row.epochs in rungs and rungs[row.epochs].status == "running":
            del rungs[row.epochs]
            self.begun_at[row.epochs].discard((row.network_key, row.seed))
        if not rungs and self.by_trial.pop((row.network_key, row.seed), None) is not None:
            self.begun[row.network_key].remove(row.seed)
            if not self.begun[row.network_key]:
                del self.begun[row.network_key]

    def _count(self, row: Row) -> None:
        self.finished[row.identity] = row
        self._epochs_finished += epochs_of(row)
        self.at_rung[row.epochs][row.network_key, row.seed] = row
        self._seeds_done[row.network_key, row.epochs] += 1
        if self._seeds_done[row.network_key, row.epochs] == self.seeds:
            self.measured[row.epochs].append(row.network_key)


def epochs_of(row: Row) -> float:
    """What it trained, or will."""
    return float(row.epochs) if row.epochs_trained is None else row.epochs_trained
