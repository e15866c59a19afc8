"""What `attnas train` and `attnas confirm` say while they run: a bar on a terminal, a line a training elsewhere.

All of it on stderr.
"""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from results.confirmed import Confirmation
from results.counted import counted
from results.exchange import readable
from results.row import Row
from search.confirm_ahead import still_to_train
from search.objective import EpochReport
from search.verdict import went
from search.wording import row_line
from search_space import AttentionDesign, Layered


class Progressing:
    """A `search.replicate.Watch` that shows trainings done, the best accuracy so far, and time left."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.best: Row | None = None
        self.counted: set[str] = set()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[best]}", markup=False),
            console=self.console,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def begin(self, trainings: int, known: list[Row]) -> None:
        finished = [row for row in known if row.status != "running"]
        self.trainings, self.counted = trainings, {row.identity for row in finished}
        for row in finished:
            self._best(row)
        self._say(f"{len(self.counted)} of {counted(trainings, 'training')} already in the storage")
        self.task = self.bar.add_task("", total=trainings, completed=len(self.counted), best=self._best_text())

    def training(self, design: AttentionDesign | Layered) -> EpochReport:
        text = str(design)
        self.bar.update(self.task, description=text)
        if not self.console.is_terminal:
            self._say(f"{text} ...")

        def on_epoch(record: dict[str, float]) -> None:
            shown = f"{text}  epoch {record['epoch']:.0f}: {record['accuracy']:.2%}"
            self.bar.update(self.task, description=shown)

        return on_epoch

    def row(self, row: Row, trained: bool) -> None:
        if row.status == "running":
            self._say(f"{row.design}: running in another process ({row.owner})")
            return
        self.counted.add(row.identity)
        self._best(row)
        self.bar.update(self.task, completed=len(self.counted), best=self._best_text())
        best = "  best so far" if self.best is row else ""
        if trained:
            self._say(f"training {len(self.counted)}/{self.trainings}  {row_line(row)}{best}")
        else:
            self._say(f"{row_line(row, how='from its row')}{best}")
        if row.settled:
            self._say(f"settled: {row.settled}")

    def _best(self, row: Row) -> None:
        if row.accuracy is not None and (self.best is None or row.accuracy > (self.best.accuracy or 0)):
            self.best = row

    def _best_text(self) -> str:
        return "" if self.best is None else readable(f"best {self.best.accuracy:.2%} {self.best.design}")

    def _say(self, text: str) -> None:
        self.bar.console.print(readable(text, keep="\n"), markup=False, soft_wrap=True)


class Confirming(Progressing):
    """A `search.confirm.Teller`: who was sent out, and how many trainings there are at most. No run is called best."""

    looks = 0

    def stands(self, state: Confirmation) -> None:
        for look in state.looks[self.looks :]:
            if look.out:
                self._say(went(look, state))
        self.looks = len(state.looks)
        _, most = still_to_train(state)
        self.trainings = len(self.counted) + most
        self.bar.update(self.task, total=self.trainings)

    def _best(self, row: Row) -> None:
        """One run is nobody's result."""


class Testing(Confirming):
    """Of a training on the test split only the end is told."""

    def training(self, design: AttentionDesign | Layered) -> EpochReport:
        super().training(design)

        def on_epoch(record: dict[str, float]) -> None:
            self.bar.update(self.task, description=f"{design}  epoch {record['epoch']:.0f}")

        return on_epoch
