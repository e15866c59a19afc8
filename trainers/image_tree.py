"""An ImageNet-style tree of image files, read one by one: too large for memory, at full size."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_space.errors import UserError
from trainers.folder import Listing, list_tree
from trainers.image_set import LAYOUT, ImageSet


@dataclass(frozen=True, slots=True)
class TreePart:
    """The files of a split, class by class in sorted order."""

    root: Path
    paths: tuple[str, ...]
    labels: NDArray[np.int64]

    def read(self, index: int) -> bytes:
        return (self.root / self.paths[index]).read_bytes()

    def name(self, index: int) -> str:
        return str(self.root / self.paths[index])

    def order(self, random: np.random.Generator) -> NDArray[np.int64]:
        return random.permutation(len(self.paths))


def tree_set(root: Path) -> ImageSet:
    """List the tree PATH/train/<class>/*, PATH/val/<class>/*; no image is opened.

    Raises:
        UserError: no train or val, fewer than two classes, an empty one, or different ones.
    """
    listing = list_tree(root, LAYOUT)
    if not listing.test:
        raise UserError(f"{root} has no directory `val`, which the trained network is measured on. Expected: {LAYOUT}.")
    train, val = (tree_part(root, listing.classes, paths) for paths in (listing.train, listing.test))
    return ImageSet(f"folder:{root.name}", _content_hash(listing), listing.classes, train, val)


def tree_part(root: Path, classes: tuple[str, ...], paths: tuple[str, ...]) -> TreePart:
    """Of the paths PART/<class>/FILE."""
    label_of = {name: label for label, name in enumerate(classes)}
    return TreePart(root, paths, np.array([label_of[path.split("/")[1]] for path in paths], dtype=np.int64))


def _content_hash(listing: Listing) -> str:
    """Of the files' relative paths and sizes; the prefix says so. That of the content of 150 GB takes an hour."""
    digest = hashlib.sha256()
    for path in sorted(listing.train + listing.test):
        digest.update(f"{path}\0{(listing.root / path).stat().st_size}\n".encode(errors="surrogateescape"))
    return f"listing:{digest.hexdigest()}"
