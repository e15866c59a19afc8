"""Images that processes share: in memory once on a machine, and gone with the last of them.

`parted` and `joined` take the large arrays from an image set and put them back, for whoever can share arrays. A memory
file of Linux has no name on disk, so nothing is left behind however the processes end. Its descriptor is inherited by
the processes that are to see it.
"""

from __future__ import annotations

import mmap
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.image_data import ImageData, Split

Arrays = Mapping[str, NDArray[Any]]
_ALIGNMENT = 64  # bytes, a cache line


def parted(data: ImageData) -> tuple[ImageData, Arrays]:
    """The image set without an image or label, and the arrays that it lacks, which are not copied."""
    splits = {field.name: getattr(data, field.name) for field in fields(data)}
    splits = {name: split for name, split in splits.items() if isinstance(split, Split)}
    empty = {name: Split(split.images[:0].clone(), split.labels[:0].clone()) for name, split in splits.items()}
    large = {
        f"{name} {what}": getattr(split, what).contiguous().numpy()
        for name, split in splits.items()
        for what in ("images", "labels")
    }
    return replace(data, **empty), large  # type: ignore[arg-type]


def joined(data: ImageData, large: Arrays) -> ImageData:
    """What was parted, without a copy. Arrays that may not be written must not be through it either."""
    names = {name.partition(" ")[0] for name in large}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable", category=UserWarning)
        splits: dict[str, Any] = {
            name: Split(torch.from_numpy(large[f"{name} images"]), torch.from_numpy(large[f"{name} labels"]))
            for name in names
        }
    return replace(data, **splits)


@dataclass(frozen=True, slots=True)
class SharedImages:
    """What a process is told of images in a memory file: to be pickled, with the descriptor to be inherited."""

    descriptor: int
    data: ImageData  # parted
    places: dict[str, tuple[int, str, tuple[int, ...]]]  # of each large array: byte offset, type, shape


def share(data: ImageData) -> SharedImages | None:
    """The images in a memory file; None where the system has none. The caller closes the descriptor."""
    if not hasattr(os, "memfd_create"):
        return None
    light, large = parted(data)
    descriptor = os.memfd_create("attnas-images")
    try:
        places, end = {}, 0
        for name, array in large.items():
            places[name] = (end, array.dtype.str, array.shape)
            _write(descriptor, array, end)
            end += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
        os.ftruncate(descriptor, max(end, 1))
    except BaseException:
        os.close(descriptor)
        raise
    return SharedImages(descriptor, light, places)


def take(shared: SharedImages) -> ImageData:
    """The images, without a copy. What this process writes into them it alone sees."""
    whole = mmap.mmap(shared.descriptor, 0, access=mmap.ACCESS_COPY)
    large: dict[str, NDArray[Any]] = {
        name: np.ndarray(shape, kind, buffer=whole, offset=offset)
        for name, (offset, kind, shape) in shared.places.items()
    }
    return joined(shared.data, large)


def _write(descriptor: int, array: NDArray[Any], offset: int) -> None:
    left = array.data.cast("B")
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written
