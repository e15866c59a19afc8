"""Which checkpoints of a retraining stay: the last, some before it, and the best. One file under several names."""

from __future__ import annotations

import csv
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainers import model_facts
from trainers.checkpoint import Checkpoint, write
from trainers.model_facts import ModelFacts
from trainers.whole_files import whole

if TYPE_CHECKING:
    from trainers.imagenet_run import Run

LAST, BEST, TABLE = "last.pt", "best.pt", "epochs.csv"


@dataclass(frozen=True, slots=True)
class Keeper:
    """What a training leaves in its folder; of several processes one `writes`.

    Raises `UserError` where a checkpoint can't be written; those before stay. The table and further names of a
    checkpoint are a convenience: where they can't be written that is said, and the training goes on.
    """

    folder: Path
    identity: str
    facts: ModelFacts
    keep: int
    writes: bool

    def begin(self, saved: Checkpoint | None) -> None:
        if not self.writes:
            return
        model_facts.write(self.folder, self.facts)
        if saved is not None:
            self._list(saved)  # a process that was killed may not have come to it

    def now(self, run: Run, curves: list[dict[str, float]]) -> None:
        """After an epoch, or at any update. All processes have to make the checkpoint."""
        checkpoint = run.checkpoint(self.identity, curves)
        if self.writes:
            checkpoint.save(self.folder / LAST)
            self._list(checkpoint)

    def _list(self, checkpoint: Checkpoint) -> None:
        try:
            name(checkpoint, self.folder, self.keep)
            write_table(checkpoint.curves, self.folder / TABLE)
        except OSError as error:
            print(f"{self.folder / LAST} is written, but nothing beside it: {error}", file=sys.stderr, flush=True)

    def end(self, run: Run, curves: list[dict[str, float]]) -> None:
        if self.writes:
            state = {name: value.cpu() for name, value in run.measured.state_dict().items()}
            write(self.folder / model_facts.WEIGHTS, state)
            model_facts.write(self.folder, self.facts, curves)


def name(checkpoint: Checkpoint, folder: Path, keep: int) -> None:
    """After a whole epoch `last.pt` is also `epoch-NNNN.pt`, of which the newest `keep` stay, and `best.pt` if no epoch
    before had its accuracy.

    The best is chosen by the images that it is measured on, which flatters it; rows hold the last.
    """
    if checkpoint.updates or not checkpoint.curves:
        return
    accuracies = [record["accuracy"] for record in checkpoint.curves]
    if accuracies[-1] > max(accuracies[:-1], default=-1.0):
        _also(folder / LAST, folder / BEST)
    if keep:
        _also(folder / LAST, folder / f"epoch-{checkpoint.epoch:04d}.pt")
    known = {int(path.stem.partition("-")[2]): path for path in folder.glob("epoch-[0-9]*.pt")}
    before = sorted(epoch for epoch in known if epoch <= checkpoint.epoch)  # later ones: the training was begun anew
    for epoch in before[: -keep or None]:
        known[epoch].unlink()


def write_table(curves: list[dict[str, float]], path: Path) -> None:
    """A line an epoch, a column a number; those that only some epochs have are empty in the others."""
    columns = list(dict.fromkeys(name for record in curves for name in record))
    with whole(path) as part, part.open("w", newline="") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(curves)


def _also(path: Path, name: Path) -> None:
    """The file under another name too: at any moment that is the old file or the new one."""
    if name.exists() and name.samefile(path):
        return
    with whole(name) as part:
        try:
            os.link(path, part)
        except OSError:  # a file system without links
            shutil.copyfile(path, part)
