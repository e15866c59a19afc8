"""What every engine does between evaluations: take in the rows, tell a report, stop a search that only fails."""

from __future__ import annotations

from typing import Protocol

from results.retry import persistently
from results.row import Row
from results.suggest import command
from search.budget import Budget, Stop
from search.failures import BREAKER, first_of_a_row
from search.study import Study
from search_space import UserError


class SearchError(UserError):
    """A search that can't go on, or can't be run as asked."""


class BrokenSearchError(SearchError):
    """One evaluation after the other fails."""


class Report(Protocol):
    """What a search tells whoever watches it."""

    def begin(self, study: Study, budget: Budget) -> None: ...
    def epoch(self, row: Row, record: dict[str, float]) -> None: ...
    def changed(self, study: Study) -> None: ...
    def row(self, row: Row) -> None: ...
    def say(self, text: str) -> None: ...
    def end(self, why: str) -> None: ...


class Silent:
    """A report that says nothing."""

    def begin(self, study: Study, budget: Budget) -> None: ...
    def epoch(self, row: Row, record: dict[str, float]) -> None: ...
    def changed(self, study: Study) -> None: ...
    def row(self, row: Row) -> None: ...
    def say(self, text: str) -> None: ...
    def end(self, why: str) -> None: ...


class Lookout:
    """Watches the rows that finish from now on, by whomever."""

    def __init__(self, study: Study, stop: Stop, report: Report) -> None:
        self.study, self.stop, self.report = study, stop, report
        self._last: list[Row] = []

    def look(self) -> bool:
        """Whether any row has finished since the last time; each is reported once.

        Raises `BrokenSearchError` when the last evaluations of the study failed alike.
        """
        new = persistently(self.study.sync, "a look at the rows", until=lambda: self.stop.told)
        for row in new:
            self._last = [*self._last, row][-BREAKER:]
            self.report.row(row)
            self._check()
        self.report.changed(self.study)
        return bool(new)

    def _check(self) -> None:
        first = first_of_a_row(self._last)
        if first is None:
            return
        whole = self.study.store.get(first.identity) or first
        cause = (whole.error or "").strip().splitlines()
        raise BrokenSearchError(
            f"stopped: {BREAKER} trainings in a row failed ({first.failure}). The first said: "
            f"{cause[-1] if cause else '?'} Finished rows are kept; `{command('results show', first.design)}` "
            "prints the traceback; when it is mended, the same command with --retry-failed goes on."
        )
