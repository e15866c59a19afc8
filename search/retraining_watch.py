"""What is seen of a retraining while it runs and when it has ended: lines, TensorBoard, a picture."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.row import Row
from search.wording import duration
from search_space.errors import UserError

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

PICTURE = "curves.png"
_SCALARS = ("train_loss", "loss", "accuracy", "top5", "learning_rate", "images_per_second")


class RetrainingWatch:
    """Told of every epoch. With `tensorboard`, events are in a folder of that name beside the checkpoints."""

    def __init__(self, epochs: int, output: Path, *, tensorboard: bool) -> None:
        self.epochs, self.output = epochs, output
        self._events = check_tensorboard() if tensorboard else None
        self._writer: SummaryWriter | None = None

    def epoch(self, record: dict[str, float]) -> None:
        """What only watches ends no training: it goes on where nothing can be said or written."""
        with suppress(OSError):
            say(epoch_line(record, self.epochs))
        try:
            self._write_events(record)
        except OSError as error:
            self._events = None
            with suppress(OSError):
                say(f"no more events for TensorBoard: {error}")

    def _write_events(self, record: dict[str, float]) -> None:
        if self._events is None:
            return
        epoch = int(record["epoch"])
        if self._writer is None:  # after a resumption, what was written of later epochs does not count
            self._writer = self._events(str(self.output / "tensorboard"), purge_step=epoch)
        for name in _SCALARS:
            if name in record:
                self._writer.add_scalar(name, record[name], epoch)
        self._writer.flush()

    def end(self, row: Row) -> None:
        """When a training has come to its end, well or not."""
        if self._writer is not None:
            self._writer.close()
        if row.curves:
            draw(row, self.output / PICTURE)


def check_tensorboard() -> Any:
    """The class that writes events. Raises `UserError` where the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as missing:
        raise UserError(
            f"--tensorboard needs the package tensorboard, and it can't be imported ({missing}): "
            "pip install 'attnas[tensorboard]', or leave the option out: epochs.csv holds the same numbers."
        ) from missing
    return SummaryWriter


def draw(row: Row, path: Path) -> None:
    from results.figure_run import run_figure
    from results.figure_style import write_picture

    caption = f"{row.design} in {row.backbone} on {row.data}, {row.image_size} px, recipe {row.recipe}, seed {row.seed}"
    write_picture(run_figure(row.curves, split="val", caption=caption), path)


def epoch_line(record: dict[str, float], epochs: int) -> str:
    top5 = f"  top-5 {record['top5']:.2%}" if "top5" in record else ""
    corrupt = f"  {record['corrupt']:.0f} corrupt" if "corrupt" in record else ""
    losses = f"loss {record['loss']:.3f}  train loss {record['train_loss']:.3f}"
    rate = f"  {record['images_per_second']:.0f} images/s" if "images_per_second" in record else ""
    left = epochs - record["epoch"]
    time_left = f"  {duration(left * record['seconds'] / record['epoch'])} left" if left else ""
    return (
        f"epoch {record['epoch']:.0f}/{epochs}  top-1 {record['accuracy']:.2%}{top5}  {losses}"
        f"{rate}{corrupt}{time_left}"
    )


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
