"""What a search says while it runs, on stderr: a live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time

from rich.console import Console, RenderableType
from rich.live import Live

from results.exchange import readable
from results.row import MEASURED, Row
from results.studies import config_hash
from search.budget import Budget
from search.mirror import Trial
from search.screen import draw, sum_up
from search.snapshot import Photographer, Snapshot
from search.study import Study
from search.wording import duration, row_line, worker_name

_QUIET_SECONDS = 60.0


class View:
    """A `search.lookout.Report` that keeps the latest snapshot and says every finished row in a line.

    Another thread may read `snapshot`, `epochs_here` and `name`.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.name = ""
        self.study: Study | None = None
        self.budget = Budget()
        self.why = ""
        self.snapshot = Snapshot()
        self.epochs_here: dict[str, float] = {}  # by identity, of trainings in this very process
        self.numbers: dict[Trial, int] = {}  # of trials, as they first finished a row
        self._best: dict[int, float] = {}  # the least of the quality, minimised, of each rung

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None: ...

    def begin(self, study: Study, budget: Budget) -> None:
        self.study, self.budget = study, budget
        self.name = study_name(study)
        self._photographer = Photographer(study, budget)
        for row in study.mirror.finished.values():
            self._number(row)
            self._is_best(row)
        self.changed(study)
        self.say(_opening(self.name, study, budget))

    def epoch(self, row: Row, record: dict[str, float]) -> None:
        self.epochs_here[row.identity] = record["epoch"]

    def changed(self, study: Study) -> None:
        self.snapshot = self._photographer.take()

    def row(self, row: Row) -> None:
        self.epochs_here.pop(row.identity, None)
        self.say(self._line(row))
        if row.settled:
            self.say(f"settled: {row.settled}")

    def end(self, why: str) -> None:
        assert self.study is not None
        self.why = why
        self.changed(self.study)

    def say(self, text: str) -> None:
        self.console.print(readable(text, keep="\n"), markup=False, soft_wrap=True)

    def _line(self, row: Row) -> str:
        """`trial 7/40  DESIGN  61.20%  12.345 M MACs  8.1 s  [3 of 10 epochs]  best so far`."""
        assert self.study is not None
        of = "" if self.budget.trials is None else f"/{self.budget.trials}"
        rung = f"  [{row.epochs} of {row.schedule_epochs} epochs]" if self.study.plan.rungs.halves else ""
        best = "  best so far" if self._is_best(row) else ""
        error = None
        if row.status == "failed":  # rows are told of without their tracebacks
            whole = self.study.store.get(row.identity)
            error = None if whole is None else whole.error
        return f"trial {self._number(row)}{of}  {row_line(row, error=error)}{rung}{best}"

    def _number(self, row: Row) -> int:
        return self.numbers.setdefault((row.network_key, row.seed), len(self.numbers) + 1)

    def _is_best(self, row: Row) -> bool:
        """Whether no row of its rung had such a quality before."""
        assert self.study is not None
        if row.status not in MEASURED:
            return False
        objectives = self.study.plan.objectives
        quality = objectives.values(row)[objectives.names.index(objectives.quality)]
        better = quality < self._best.get(row.epochs, float("inf"))
        if better:
            self._best[row.epochs] = quality
        return better


class Lines(View):
    """For a file or a pipe: a line a finished row, and a sign of life when a minute has passed without one."""

    def __init__(self, console: Console | None = None, *, quiet_seconds: float = _QUIET_SECONDS) -> None:
        super().__init__(console)
        self.quiet_seconds = quiet_seconds
        self._last_word = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sign_of_life, name="sign of life", daemon=True)

    def __enter__(self) -> Lines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def say(self, text: str) -> None:
        self._last_word = time.monotonic()
        super().say(text)

    def _sign_of_life(self) -> None:
        while not self._over.wait(min(1.0, self.quiet_seconds)):
            if self.name and time.monotonic() - self._last_word >= self.quiet_seconds:
                self.say(_at_work(self.snapshot, self.epochs_here, self.budget))


class Screen(View):
    """For a terminal: the picture of `search.screen`, drawn again four times a second."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(console)
        self._live = Live(console=self.console, get_renderable=self._picture, refresh_per_second=4)

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def row(self, row: Row) -> None:
        self.epochs_here.pop(row.identity, None)
        line = self._line(row)
        if row.status == "failed":
            self.say(line)
        if row.settled:
            self.say(f"settled: {row.settled}")

    def _picture(self) -> RenderableType:
        return draw(self.name, self.snapshot, self.budget, self.epochs_here, time.time())


def watching() -> View:
    """The view for where stderr goes."""
    console = Console(stderr=True, highlight=False)
    return Screen(console) if console.is_terminal else Lines(console)


def study_name(study: Study) -> str:
    return next((stored.name for stored in study.store.studies.list() if stored.id == study.id), "")


def _twins(study: Study) -> str:
    """Other studies that ask the same, hence have the same rows: a name may have been mistyped."""
    stored = study.store.studies.list()
    asked = next((config_hash(each.config) for each in stored if each.id == study.id), None)
    names = [each.name for each in stored if config_hash(each.config) == asked and each.id != study.id]
    return f" (asks the same as {', '.join(names)}, and shares its rows)" if names else ""


def _opening(name: str, study: Study, budget: Budget) -> str:
    left_out = study.candidates.left_out
    out = f", {left_out} designs left out (over a limit or impossible here)" if left_out else ""
    of = "" if budget.trials is None else f" of {budget.trials}"
    begun = study.mirror.trials
    return (
        f"study {name}{_twins(study)}: {len(study.candidates.networks):,} distinct networks{out}; "
        f"{begun}{of} trials already in the storage"
    )


def _at_work(snapshot: Snapshot, epochs_here: dict[str, float], budget: Budget) -> str:
    now = time.time()
    parts = [sum_up(snapshot, budget)]
    for row in snapshot.running:
        epoch = epochs_here.get(row.identity, row.progress or 0)
        since = duration(now - (row.started or now))
        parts.append(f"{worker_name(row.owner)} {row.design} epoch {epoch:.0f}/{row.epochs} since {since}")
    return "at work: " + "; ".join(parts)
