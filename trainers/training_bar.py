"""The bar of a long training: how far, how fast, how long still, and how well."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_SPEED_OVER = 600.0  # seconds: measuring `val` once an epoch slows it down for a while


class TrainingBar:
    """Over all images of all epochs; where stderr is no terminal, or it is not `shown`, there is nothing to see."""

    def __init__(self, epochs: int, images: int, *, shown: bool) -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[facts]}"),
        )
        self._bar = Progress(
            *columns,
            TimeRemainingColumn(),
            console=console,
            disable=not (shown and console.is_terminal),
            transient=True,
            speed_estimate_period=_SPEED_OVER,
        )
        self._epochs, self._images = epochs, images
        self._task = self._bar.add_task("", total=epochs * images, facts="")
        self._done, self._facts = 0, dict[str, str]()
        self._started, self._started_at = time.perf_counter(), 0

    def __enter__(self) -> TrainingBar:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.stop()

    def begin(self, epoch: int, done: int) -> None:
        """An epoch, of which so many images were seen before a resumption."""
        self._done = (epoch - 1) * self._images + done
        self._started, self._started_at = time.perf_counter(), self._done
        self._bar.update(self._task, completed=self._done, description=f"epoch {epoch}/{self._epochs}")

    def advance(self, images: int) -> None:
        self._done += images
        self._facts["rate"] = f"{(self._done - self._started_at) / (time.perf_counter() - self._started):.0f} images/s"
        self._show(completed=self._done)

    def tell(self, **facts: str) -> None:
        """By name, each in place of what was told before."""
        self._facts |= facts
        self._show()

    def _show(self, **values: float) -> None:
        self._bar.update(self._task, facts="  ".join(self._facts.values()), **values)  # type: ignore[arg-type]
