"""Can every image of a set be read? Known before a training of days finds out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset

from trainers.data_progress import progress
from trainers.folder import count_images
from trainers.image_batches import Corrupt, used
from trainers.image_decode import glance
from trainers.image_set import ImageSet, Part

_AT_A_TIME = 64


@dataclass(frozen=True, slots=True)
class _Looked(Dataset[Corrupt | None]):
    part: Part

    def __len__(self) -> int:
        return len(self.part.labels)

    def __getitem__(self, number: int) -> Corrupt | None:
        return used(self.part, number, glance)


def unreadable(images: ImageSet, *, workers: int) -> list[Corrupt]:
    """The images that a training could not use, and why, in the set's order. Each is read to its end."""
    found: list[Corrupt] = []
    for name, part in (("train", images.train), ("val", images.val)):
        loader: Any = DataLoader(_Looked(part), batch_size=_AT_A_TIME, num_workers=workers, collate_fn=list)
        with progress(f"reading {len(part.labels):,} images of {name}", len(part.labels)) as advance:
            for looked in loader:
                found += [corrupt for corrupt in looked if corrupt is not None]
                advance(len(looked))
    return found


def folders(root: Path) -> dict[str, dict[str, int]]:
    """As `counts`, of a tree that is no set of images: {part: {folder: image files in it}}."""
    return {part: count_images(root / part) for part in ("train", "val") if (root / part).is_dir()}


def counts(images: ImageSet) -> dict[str, dict[str, int]]:
    """{part: {class: its images}}."""
    parts = {"train": images.train, "val": images.val}
    found = {name: Counter(part.labels.tolist()) for name, part in parts.items()}
    return {name: {text: found[name][label] for label, text in enumerate(images.classes)} for name in parts}
