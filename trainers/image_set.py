"""The images that a network is retrained on: a tree of files, or Parquet files as the Hugging Face hub has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from search_space.errors import UserError


class Part(Protocol):
    """The encoded images of a split, by number. Read by several processes at once."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Of every image: its class, shape [N]."""

    def read(self, index: int) -> bytes:
        """The content of an image file. Raises `OSError` where it can't be read."""

    def name(self, index: int) -> str:
        """What to call it to people."""

    def order(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Every index once, shuffled as far as this storage can be read well, shape [N]."""


@dataclass(frozen=True, slots=True)
class Subset:
    """Some images of a part."""

    part: Part
    indices: NDArray[np.int64]

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.part.labels[self.indices]

    def read(self, index: int) -> bytes:
        return self.part.read(int(self.indices[index]))

    def name(self, index: int) -> str:
        return self.part.name(int(self.indices[index]))

    def order(self, random: np.random.Generator) -> NDArray[np.int64]:
        return random.permutation(len(self.indices))


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Two parts of one data set. `content_hash` names what is in it, without reading it all."""

    name: str
    content_hash: str
    classes: tuple[str, ...]
    train: Part
    val: Part


def image_set(path: Path) -> ImageSet:
    """List the images at `path`; none is opened.

    Raises:
        UserError: it is neither of the two; the message says what was found.
    """
    from trainers.image_parquet import find_parquet, parquet_set
    from trainers.image_tree import tree_set

    root = path.expanduser().resolve()
    if not root.is_dir():
        raise UserError(f"{path} was given as images, but there is no such directory. Expected: {LAYOUT}.")
    files = find_parquet(root)
    return parquet_set(root, files) if files else tree_set(root)


LAYOUT = (
    "PATH/train/<class>/*.jpg and PATH/val/<class>/*.jpg, or Parquet as the Hugging Face hub has it: "
    "PATH/data/train-*.parquet and PATH/data/validation-*.parquet"
)
