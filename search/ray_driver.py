"""What the driver of a Ray search decides: which evaluation is handed out, and what becomes of one that is lost.

The driver claims each evaluation before Ray is told of it and keeps its lease alive until it has ended, so that one
that waits for a machine is safe too. The actor that trains it writes the row; nothing is learned from what Ray says but
that an evaluation is over. Imports no Ray.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from results.retry import persistently
from search.budget import Budget, HandedBack, Stop
from search.latency import LatencyError
from search.lookout import Lookout, Report, SearchError
from search.study import Job, Study
from search.worker import begin
from search_space import UserError

OVER_LIMIT, REFUSED = "over_limit", "refused"  # keys of what an actor may say beside that it is done

_LOOK_SECONDS = 0.3
_BEAT_SECONDS = 20.0
_FEWEST_LOSSES = 5  # in a row, without a row in between, that are no accident

_log = logging.getLogger(__name__)


class Driver:
    """Hands out jobs by name (Tune's trial ids) and takes them back. Used by one thread."""

    def __init__(self, study: Study, budget: Budget, stop: Stop, report: Report, *, workers: int) -> None:
        self.study, self.budget, self.stop, self.report, self.workers = study, budget, stop, report, workers
        self.jobs: dict[str, Job] = {}  # handed out and not ended
        self.is_over = False  # nothing more will be handed out
        self.error: UserError | None = None  # that ends the search
        self.fault: Exception | None = None  # our own, or the database's
        self._lookout = Lookout(study, stop, report)
        self._looked = 0.0
        self._ended_since = True  # then what is next depends on rows that we have not seen
        self._losses_in_a_row = 0

    # -- handing out -----------------------------------------------------------------------------------------------

    def next(self, name: str) -> Job | None:
        """A claimed job; None if all workers have one, or there is none now, or (`is_over`) there will be none."""
        self.look(now=self._ended_since)
        self.is_over = self.is_over or self.must_end or self.stop.told
        if self.is_over or len(self.jobs) >= self.workers:
            return None
        job = begin(self.study, self.budget, self.stop)
        if job is None:
            begun_on = len(self.study.mirror.finished)
            self.look(now=True)
            self.is_over = self.stop.told or (self.study.is_over() and len(self.study.mirror.finished) == begun_on)
            return None
        self.jobs[name] = job
        return job

    # -- taking back -----------------------------------------------------------------------------------------------

    def done(self, name: str, said: Mapping[str, Any]) -> None:
        """The actor has carried the job out: its row is in the storage, unless it says otherwise."""
        job = self._take_back(name)
        if OVER_LIMIT in said:
            self.study.proposals.exclude(job.candidate.key, said[OVER_LIMIT])
        elif REFUSED in said:
            self._leave(job, self.study.store.release)
            self.error = self.error or SearchError(said[REFUSED])

    def lost(self, name: str) -> None:
        """The actor has died, or raised what is no failure of a training: the job may be begun again."""
        job = self._take_back(name)
        if self._leave(job, self.study.store.abandon):  # else it died after its commit
            self._losses_in_a_row += not self.stop.told
            self.report.say(f"{job.row.design}: its Ray actor was lost; what it was at is begun again")

    def said(self, words: str) -> None:
        """The last words of an actor that was lost; ends the search if all of them are."""
        most = max(_FEWEST_LOSSES, 2 * self.workers)
        if self._losses_in_a_row > most and self.error is None:
            self.error = SearchError(
                f"stopped: Ray lost {self._losses_in_a_row} evaluations and finished none in between. The last said: "
                f"{words.strip()[-2000:] or 'no word'}"
            )

    def give_back_all(self) -> None:
        """Release every claim that is still ours, when nobody works on any of them any more."""
        for name in list(self.jobs):
            self._leave(self._take_back(name), self.study.store.release)

    def _take_back(self, name: str) -> Job:
        self._ended_since = True
        return self.jobs.pop(name)

    def _leave(self, job: Job, how: Callable[[str, str], bool]) -> bool:
        identity, owner = job.row.identity, str(job.row.owner)
        return persistently(lambda: how(identity, owner), "a claim given back", until=lambda: self.stop.told)

    # -- watching --------------------------------------------------------------------------------------------------

    @property
    def must_end(self) -> bool:
        """Whether what still runs must be cut short now."""
        try:
            self.stop.check()
        except HandedBack:
            return True
        return (self.error or self.fault) is not None

    def look(self, *, now: bool = False) -> None:
        """Tell the report what has changed in the storage, not more than a few times a second unless `now`."""
        if not now and time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        try:
            if self._lookout.look():
                self._losses_in_a_row = 0
            _check_latencies(self.study)
        except UserError as error:
            self.error = self.error or error
        self._looked, self._ended_since = time.monotonic(), False

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Keep the leases of every job that was handed out, from a thread, as long as the block lasts."""
        left = threading.Event()
        thread = threading.Thread(target=self._beat_until, args=(left,), name="heartbeats", daemon=True)
        thread.start()
        try:
            yield
        finally:
            left.set()
            thread.join()

    def _beat_until(self, left: threading.Event) -> None:
        while not left.wait(_BEAT_SECONDS):
            for job in list(self.jobs.values()):
                try:
                    self.study.store.beat(job.row.identity, str(job.row.owner))
                except SQLAlchemyError:
                    _log.warning("no heartbeats, trying again in %g seconds", _BEAT_SECONDS, exc_info=True)
                    break


def _check_latencies(study: Study) -> None:
    """The nodes of a cluster may differ, and their latencies would not compare."""
    if not study.plan.needs_latency:
        return
    kinds = {str(row.hardware) for row in study.mirror.finished.values() if row.latency_seconds is not None}
    if len(kinds) > 1:
        raise LatencyError(
            f"the latencies of this study were measured on {' and '.join(sorted(kinds))}, and would not compare. Use "
            "nodes that are alike, or leave latency out of objectives and limits."
        )
