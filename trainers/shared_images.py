"""Images that processes of one machine share: in memory once, and gone with the last of them.

A memory file of Linux has no name on disk, so nothing is left behind however the processes end. Its descriptor is
inherited by the processes that are to see it.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from trainers.image_data import ImageData, Split

_ALIGNMENT = 64  # bytes, a cache line


@dataclass(frozen=True, slots=True)
class SharedImages:
    """What a process is told of images in a memory file: to be pickled, with the descriptor to be inherited."""

    descriptor: int
    data: ImageData  # its large tensors are empty, of the right type and shape behind the number of images
    places: dict[str, tuple[int, tuple[int, ...]]]  # of each large tensor: byte offset and shape


def share(data: ImageData) -> SharedImages | None:
    """The images in a memory file; None where the system has none. The caller closes the descriptor."""
    if not hasattr(os, "memfd_create"):
        return None
    descriptor = os.memfd_create("attnas-images")
    try:
        places, end = {}, 0
        for name, tensor in _large(data).items():
            places[name] = (end, tuple(tensor.shape))
            _write(descriptor, tensor, end)
            end += -(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT
        os.ftruncate(descriptor, max(end, 1))
    except BaseException:
        os.close(descriptor)
        raise
    return SharedImages(
        descriptor, _with(data, {name: tensor[:0].clone() for name, tensor in _large(data).items()}), places
    )


def take(shared: SharedImages) -> ImageData:
    """The images, without a copy. What this process writes into them it alone sees."""
    whole = mmap.mmap(shared.descriptor, 0, access=mmap.ACCESS_COPY)
    tensors = {}
    for name, empty in _large(shared.data).items():
        offset, shape = shared.places[name]
        number = torch.Size(shape).numel()
        tensors[name] = torch.frombuffer(whole, dtype=empty.dtype, count=number, offset=offset).view(shape)
    return _with(shared.data, tensors)


def _large(data: ImageData) -> dict[str, Tensor]:
    splits = {field.name: getattr(data, field.name) for field in fields(data)}
    return {
        f"{name} {what}": getattr(split, what)
        for name, split in splits.items()
        if isinstance(split, Split)
        for what in ("images", "labels")
    }


def _with(data: ImageData, large: dict[str, Tensor]) -> ImageData:
    names = {name.partition(" ")[0] for name in large}
    splits: dict[str, Any] = {name: Split(large[f"{name} images"], large[f"{name} labels"]) for name in names}
    return replace(data, **splits)


def _write(descriptor: int, tensor: Tensor, offset: int) -> None:
    left = tensor.contiguous().numpy().data.cast("B")
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written
