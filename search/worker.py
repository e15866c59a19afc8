"""One worker: begin, train, write, until the study is over or it is told to stop."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from results.retry import persistently
from results.row import Row
from results.store import Store
from search.budget import Budget, HandedBack, Stop
from search.latency import OverLatencyError, latency_within
from search.lookout import Lookout, Report, Silent
from search.objective import Setting
from search.proposals import Plan
from search.recording import carry_out, give_back
from search.study import MOST_KILLS, Job, Study
from search_space import UserError
from trainers import Outcome
from trainers.outcome import TrialTimeout, failure_class

_WAIT_SECONDS = 0.3


def work(
    study: Study,
    budget: Budget,
    stop: Stop,
    *,
    timeout_seconds: float | None = None,
    report: Report | None = None,
) -> str:
    """Evaluate until nothing is left to begin; returns why it ended. Rows of others are reported too.

    Raises `BrokenSearchError` when the last evaluations of the study, by whomever, failed alike.
    """
    watch = report or Silent()
    lookout = Lookout(study, stop, watch)
    while not stop.told:
        lookout.look()
        job = begin(study, budget, stop)
        if job is None:
            lookout.look()
            if study.is_over() and not stop.told:
                return study.why_over(budget)
            stop.wait(_WAIT_SECONDS)
            continue
        watch.changed(study)
        try:
            do(
                job,
                study.plan,
                study.setting,
                study.store,
                stop,
                checkpoint=study.checkpoint(job.trial),
                timeout_seconds=timeout_seconds,
                on_epoch=watch.epoch,
            )
        except OverLatencyError as over:
            study.proposals.exclude(job.candidate.key, over.excess)
        except HandedBack:
            break
    lookout.look()
    return "the time is up" if stop.time_is_up else "stopped"


def begin(study: Study, budget: Budget, stop: Stop) -> Job | None:
    """Claim the next job; None if there is none now, or if it could not end in time, which `stop` then knows."""
    job = persistently(lambda: study.begin(budget), "the next evaluation", until=lambda: stop.told)
    if job is None or stop.deadline is None:
        return job
    usual = study.mirror.usual_seconds(job.row.epochs)
    if usual is not None and time.time() + usual > stop.deadline:
        give_back(job.row, study.store)
        stop.too_late = True
        return None
    return job


def do(
    job: Job,
    plan: Plan,
    setting: Setting,
    store: Store,
    stop: Stop,
    *,
    checkpoint: Path | None,
    timeout_seconds: float | None = None,
    on_epoch: Callable[[Row, dict[str, float]], None],
) -> Row:
    """Carry out a claimed job, in the process that claimed it or another; raises if that gives the claim back.

    Raises:
        OverLatencyError: the network was measured to be over the plan's limit.
        HandedBack: `stop` says so.
    """
    row = job.row
    if row.attempts > MOST_KILLS:
        return _give_up(row, store)
    if plan.needs_latency:
        try:
            row = replace(row, latency_seconds=latency_within(job.candidate, setting, store, plan.max_latency))
        except (UserError, OverLatencyError):
            give_back(row, store)
            raise
        except Exception as error:  # a network that can't even be measured: the same as one that can't be trained
            return _fail(row, store, failure_class(error), traceback.format_exc())
    done: list[float] = [0.0]

    def epoch(record: dict[str, float]) -> None:
        done[0] = record["epoch"]
        on_epoch(row, record)

    def training() -> Outcome:
        return setting.train(
            job.candidate.design,
            row.seed,
            until=row.epochs,
            checkpoint=checkpoint,
            on_epoch=epoch,
            on_step=Watchdog(timeout_seconds, stop),
        )

    finished = carry_out(row, store, training, progress=lambda: done[0], stopped=lambda: stop.told)
    if finished.status == "complete" and checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return finished


class Watchdog:
    """Called between the steps of a training: hands it back when the search must stop, ends it when it is too long."""

    def __init__(self, timeout_seconds: float | None, stop: Stop) -> None:
        self.timeout_seconds, self.stop = timeout_seconds, stop
        self.started = time.monotonic()

    def __call__(self) -> None:
        self.stop.check()
        if self.timeout_seconds is not None and time.monotonic() - self.started > self.timeout_seconds:
            raise TrialTimeout(f"not done within {self.timeout_seconds:g} s (--timeout)")


def _give_up(row: Row, store: Store) -> Row:
    """A design whose process was killed again and again, as by the system when memory runs out, fails as such."""
    words = f"the process that trained it was killed {MOST_KILLS} times (out of memory?)"
    return _fail(row, store, "infra", words)


def _fail(row: Row, store: Store, failure: str, error: str) -> Row:
    """End a claimed row that was never trained."""
    ended = replace(row, status="failed", failure=failure, error=error, finished=time.time(), epochs_trained=0.0)
    persistently(lambda: store.finish(ended), f"the row of {row.design}")
    return ended
