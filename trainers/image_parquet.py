"""Image sets in Parquet as published on the Hugging Face hub: a column `image` of bytes and one of labels."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from search_space.errors import UserError
from trainers.image_set import LAYOUT, ImageSet

_PARTS = {"train": ("train",), "val": ("validation", "val", "valid")}
"""Of the names of files, the part before the first hyphen."""
_WINDOW_BYTES = 2**27
"""Of row groups that are shuffled together: every process that decodes holds so much."""
_LABELS = ("label", "labels", "fine_label")


def find_parquet(root: Path) -> dict[str, list[Path]]:
    """The files of each part, in order; none where there is no Parquet for training, in `root` or `root/data`."""
    for folder in (root / "data", root):
        files = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
        found = {part: [path for path in files if _stem(path) in names] for part, names in _PARTS.items()}
        if found["train"]:
            return found
    return {}


def _stem(path: Path) -> str:
    return path.stem.partition("-")[0]


def parquet_set(root: Path, files: dict[str, list[Path]]) -> ImageSet:
    """Raises `UserError` for files that don't hold images and labels in the published layout, or differ in them."""
    if not files["val"]:
        raise UserError(f"{root} has Parquet for training but none for validation. Expected: {LAYOUT}.")
    for paths in files.values():
        _require_all(paths)
    parts = {part: ParquetPart.open(paths) for part, paths in files.items()}
    for part, found in parts.items():
        if not len(found.labels):
            raise UserError(f"{root}: the files of {part} hold no row. Download them again.")
    _require_shuffled(root, parts["train"])
    names = {part: found.class_names for part, found in parts.items()}
    classes = names["train"] or names["val"] or _numbered(parts)
    for part, found in parts.items():
        if names[part] and names[part] != classes:
            raise UserError(f"{root}: the classes of {part} are not those of train")
        if not 0 <= found.labels.min() <= found.labels.max() < len(classes):
            raise UserError(
                f"{root}, {part}: labels from {found.labels.min()} to {found.labels.max()}; allowed: 0 to "
                f"{len(classes) - 1}. The hub's `test` files have no labels (-1)."
            )
    if len(classes) < 2:
        raise UserError(f"{root} has only one class; a classifier needs at least two.")
    return ImageSet(f"parquet:{root.name}", _content_hash(root, files), classes, parts["train"], parts["val"])


def _require_all(paths: list[Path]) -> None:
    """Raises `UserError` where a file of a numbered series (-00003-of-00294) is missing."""
    numbers = [re.search(r"-(\d+)-of-(\d+)$", path.stem) for path in paths]
    there = {int(found[1]) for found in numbers if found}
    of = max((int(found[2]) for found in numbers if found), default=0)
    if missing := sorted(set(range(of)) - there):
        named = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise UserError(
            f"{paths[0].parent}: of {of} files like {paths[0].name} these are missing: {named}. Download them."
        )


def _require_shuffled(root: Path, train: ParquetPart) -> None:
    """Raises `UserError` where rows stand by class: only a few row groups are shuffled together, so that batches would
    hold few classes."""
    if len(train.places) <= train.window:
        return
    window = train.starts[train.window]
    alike = [len(np.unique(train.labels[first : first + window])) for first in range(0, len(train.labels), window)]
    expected = min(len(np.unique(train.labels)), window)
    if np.mean(alike) < expected / 2:
        raise UserError(
            f"{root}: the rows of train stand by class ({np.mean(alike):.0f} of {expected} in {window} neighbours), "
            "and are too many to be shuffled at once. Write them in random order (`datasets`: shuffle), or give a tree."
        )


def _numbered(parts: dict[str, ParquetPart]) -> tuple[str, ...]:
    most = max(int(part.labels.max()) for part in parts.values())
    there = len(np.unique(np.concatenate([part.labels for part in parts.values()])))
    if most >= 2 * there:
        raise UserError(
            f"labels up to {most} of {there} classes, whose names are not in the files; allowed: numbers from 0 on, or "
            "class names in the schema, as `datasets` writes them."
        )
    return tuple(str(label) for label in range(most + 1))


def _content_hash(root: Path, files: dict[str, list[Path]]) -> str:
    """Of names and sizes and the files' own tables of contents: of all bytes it would take an hour."""
    digest = hashlib.sha256()
    for path in sorted(path for part in files.values() for path in part):
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - 2**16))
            digest.update(f"{path.name}\0{size}\n".encode(errors="surrogateescape") + file.read())
    return f"listing:{digest.hexdigest()}"


@dataclass(slots=True)
class ParquetPart:
    """Rows of some files. An image is read with its row group, of which the last few are kept."""

    paths: list[Path]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    starts: NDArray[np.int64]
    """The number of the first row of each row group, and after them that of all rows."""
    places: list[tuple[int, int]]
    """Of each row group: its file, and its number there."""
    window: int
    """Row groups that are shuffled together."""
    _kept: OrderedDict[int, pa.Array] = field(default_factory=OrderedDict)
    _files: dict[int, parquet.ParquetFile] = field(default_factory=dict)
    _process: int = 0

    @classmethod
    def open(cls, paths: list[Path]) -> ParquetPart:
        """Read labels and tables of contents; of no image anything."""
        labels, starts, places, sizes, names = [], [0], [], [], None
        for number, path in enumerate(paths):
            file = _file(path)
            column, schema = _label_column(path, file.schema_arrow), file.schema_arrow
            found = _class_names(schema, column)
            if names is not None and found != names:
                raise UserError(f"{path} names other classes than {paths[0]}")
            names = found
            try:
                read = file.read(columns=[column], use_threads=False).column(column)
            except (OSError, pa.ArrowException) as error:
                raise UserError(f"{path}, column {column}, can't be read: {error}. Download it again.") from error
            if read.null_count or not pa.types.is_integer(read.type):
                raise UserError(
                    f"{path}: the column {column} is {read.type} with {read.null_count} missing; "
                    "allowed: whole numbers, all there."
                )
            labels.append(read.to_numpy().astype(np.int64))
            for group in range(file.metadata.num_row_groups):
                content = file.metadata.row_group(group)
                starts.append(starts[-1] + content.num_rows)
                places.append((number, group))
                sizes.append(content.total_byte_size)
        window = max(2, int(_WINDOW_BYTES // max(1, np.mean(sizes or [1]))))
        return cls(
            paths,
            np.concatenate(labels),
            names or (),
            np.array(starts, np.int64),
            places,
            window,
        )

    def read(self, index: int) -> bytes:
        group, row = self._place(index)
        content: bytes | None = self._group(group)[row].as_py()
        if content is None:
            raise OSError("the row has no image")
        return content

    def name(self, index: int) -> str:
        group, row = self._place(index)
        file, number = self.places[group]
        return f"{self.paths[file]}, row group {number}, row {row}"

    def order(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Row groups in random order, and the rows of each few that follow each other in random order: each process
        reads a row group once an epoch, not once an image."""
        groups = random.permutation(len(self.places))
        windows = [groups[first : first + self.window] for first in range(0, len(groups), self.window)]
        rows = [np.concatenate([np.arange(self.starts[g], self.starts[g + 1]) for g in window]) for window in windows]
        return np.concatenate([random.permutation(part) for part in rows])

    def _place(self, index: int) -> tuple[int, int]:
        """The row group of an image, and its row there."""
        group = int(np.searchsorted(self.starts, index, side="right")) - 1
        return group, index - int(self.starts[group])

    def _group(self, group: int) -> pa.Array:
        """The encoded images of a row group."""
        if self._process != os.getpid():  # of a forked process: pyarrow's files must not be shared
            self._kept, self._files, self._process = OrderedDict(), {}, os.getpid()
        if group in self._kept:
            self._kept.move_to_end(group)
            return self._kept[group]
        number, inside = self.places[group]
        if number not in self._files:
            self._files = {number: _file(self.paths[number])}
        try:
            read = self._files[number].read_row_group(inside, columns=["image"], use_threads=False).column("image")
        except pa.ArrowException as error:
            raise OSError(f"its row group is damaged: {error}") from error
        images = read.combine_chunks()
        if pa.types.is_struct(images.type):
            images = images.field("bytes")
        self._kept[group] = images
        while len(self._kept) > self.window + 1:
            self._kept.popitem(last=False)
        return images


def _file(path: Path) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} can't be read as Parquet: {error}. Download it again.") from error


def _label_column(path: Path, schema: pa.Schema) -> str:
    encoded = schema.field("image").type if "image" in schema.names else pa.null()
    if pa.types.is_struct(encoded):
        inside = encoded.get_field_index("bytes")
        encoded = encoded.field(inside).type if inside >= 0 else pa.null()
    is_encoded = pa.types.is_binary(encoded) or pa.types.is_large_binary(encoded)
    column = next((name for name in _LABELS if name in schema.names), None)
    if not is_encoded or column is None:
        raise UserError(
            f"{path} has the columns {', '.join(schema.names)}; allowed: `image` (bytes, or a struct with `bytes`) and "
            f"one of {', '.join(_LABELS)}."
        )
    return column


def _class_names(schema: pa.Schema, column: str) -> tuple[str, ...]:
    """As the hub writes them into the schema; () where it does not."""
    try:
        info: Any = json.loads((schema.metadata or {})[b"huggingface"])
        return tuple(map(str, info["info"]["features"][column]["names"]))
    except (KeyError, ValueError, TypeError):
        return ()
