"""Which checkpoints of a retraining stay: the last, some before it, and the best. One file under several names."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

from trainers.checkpoint import Checkpoint

LAST, BEST, TABLE = "last.pt", "best.pt", "epochs.csv"


def save(checkpoint: Checkpoint, folder: Path, keep: int) -> None:
    """Write `last.pt`, and name it.

    Raises:
        UserError: it can't be written; the checkpoints before stay.
    """
    checkpoint.save(folder / LAST)
    name(checkpoint, folder, keep)
    write_table(checkpoint.curves, folder / TABLE)


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
    for old in sorted(folder.glob("epoch-*.pt"))[: -keep or None]:
        old.unlink()


def write_table(curves: list[dict[str, float]], path: Path) -> None:
    """A line an epoch, a column a number; those that only some epochs have are empty in the others."""
    columns = list(dict.fromkeys(name for record in curves for name in record))
    part = path.with_name(f"{path.name}.part")
    with part.open("w", newline="") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(curves)
    part.replace(path)


def _also(path: Path, name: Path) -> None:
    """The file under another name too: at any moment that is the old file or the new one."""
    part = name.with_name(f"{name.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(path, part)
    except OSError:  # a file system without links
        shutil.copyfile(path, part)
    part.replace(name)
