"""What a search says while it runs: a progress bar on a terminal, a line a trial elsewhere. All of it on stderr."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from results.row import Row
from search.objective import EpochReport
from search.study import Candidate


class Progressing:
    """A `Report` that shows trials done, the best accuracy so far, and time left."""

    def __init__(self, unit: str = "trial") -> None:
        self.console = Console(stderr=True, highlight=False)
        self.unit = unit
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

    def __enter__(self) -> Progressing:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def begin(self, trials: int, known: list[Row], candidates: dict[str, Candidate], left_out: int) -> None:
        finished = [row for row in known if row.status != "running"]
        self.trials, self.counted = trials, {row.identity for row in finished}
        for row in finished:
            self._best(row)
        out = f", {left_out} designs over a limit or impossible here left out" if left_out else ""
        self._say(
            f"{len(candidates)} distinct networks{out}; {self.done} of {trials} {self.unit}s already in the storage"
        )
        self.task = self.bar.add_task("", total=trials, completed=self.done, best=self._best_text())

    def trial(self, candidate: Candidate) -> EpochReport:
        text = str(candidate.design)
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
        self.bar.update(self.task, completed=self.done, best=self._best_text())
        self._say(f"{self.unit} {self.done}/{self.trials}  {self._row_text(row, trained)}")
        if row.settled:
            self._say(f"settled: {row.settled}")

    @property
    def done(self) -> int:
        return len(self.counted)

    def _row_text(self, row: Row, trained: bool) -> str:
        if row.accuracy is None:
            cause = (row.error or "").strip().splitlines()
            return f"{row.design}  failed ({row.failure}): {cause[-1] if cause else ''}"
        how = f"{row.seconds:.1f} s" if trained else "from its row"
        best = "  best so far" if self.best is row else ""
        return f"{row.design}  {row.accuracy:.2%}  {row.macs / 1e6:.3f} M MACs  {how}{best}"

    def _best(self, row: Row) -> None:
        if row.accuracy is not None and (self.best is None or row.accuracy > (self.best.accuracy or 0)):
            self.best = row

    def _best_text(self) -> str:
        return "" if self.best is None else f"best {self.best.accuracy:.2%} {self.best.design}"

    def _say(self, text: str) -> None:
        self.bar.console.print(text, markup=False, soft_wrap=True)
