"""A labelled image set held in memory as tensors, with its fixed validation split and its exact channel statistics."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search_space.errors import UserError

VALIDATION_SPLIT = "sha256-stratified-1of10-v1"
"""Names the rule that carves validation from train; belongs in a row's identity beside the content hash."""

_STATISTICS_CHUNK = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Images uint8 [N, 3, H, W], contiguous, and their labels int64 [N]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class ImageData:
    """One image set. A search sees `train` and `validation`; `test` (None where the source has none) is for confirming.

    `name` and `content_hash` (sha256 hex, independent of paths and file times) identify the content in stored rows;
    `flip` says whether a mirrored image still belongs to its class; `mean` and `std` are float32 [3], in 0..1,
    over the pixels of `train`.
    """

    name: str
    content_hash: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split | None
    flip: bool
    mean: Tensor
    std: Tensor

    @property
    def image_size(self) -> int:
        return int(self.train.images.shape[-1])

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @classmethod
    def carve(
        cls,
        *,
        name: str,
        content_hash: str,
        classes: Sequence[str],
        train: tuple[NDArray[np.uint8], NDArray[np.int64]],
        test: tuple[NDArray[np.uint8], NDArray[np.int64]] | None,
        flip: bool,
    ) -> "ImageData":
        """Split the source's own train set into train and validation, and measure the train part.

        `train` and `test` are (images uint8 [N, 3, S, S], labels int64 [N]).

        Raises:
            UserError: a class has fewer than two train images.
        """
        images, labels = train
        in_validation = validation_mask(labels, classes)
        train_images = images[~in_validation]
        mean, std = channel_statistics(train_images)
        return cls(
            name=name,
            content_hash=content_hash,
            classes=tuple(classes),
            train=_split(train_images, labels[~in_validation]),
            validation=_split(images[in_validation], labels[in_validation]),
            test=None if test is None else _split(*test),
            flip=flip,
            mean=mean,
            std=std,
        )


def _split(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Split:
    assert images.dtype == np.uint8 and labels.dtype == np.int64 and len(images) == len(labels)
    return Split(torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(np.ascontiguousarray(labels)))


def validation_mask(labels: NDArray[np.int64], classes: Sequence[str]) -> NDArray[np.bool_]:
    """True [N] for the validation images: of each class a tenth, rounded down, but at least one.

    Within a class the images are ordered by the sha256 of "label:position in class" and the first tenth is taken: no
    random stream of torch or numpy is promised to stay the same between versions, this is.

    Raises:
        UserError: a class has fewer than two images.
    """
    mask = np.zeros(len(labels), dtype=bool)
    for label, class_name in enumerate(classes):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise UserError(
                f"class {class_name!r} has {len(members)} usable train image(s); at least 2 are needed, one to train "
                "on and one to validate on. Add images to the class or remove it."
            )
        order = sorted(range(len(members)), key=lambda position: _digest(label, position))
        mask[members[order[: max(1, len(members) // 10)]]] = True
    return mask


def _digest(label: int, position: int) -> bytes:
    return hashlib.sha256(f"{VALIDATION_SPLIT}:{label}:{position}".encode()).digest()


def channel_statistics(images: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Per-channel mean and standard deviation (population) of uint8 [N, 3, H, W], as float32 [3] in 0..1.

    The sums are integers, so the result is exact up to its final rounding, whatever the order or the machine.
    """
    total = np.zeros(3, dtype=np.int64)
    total_of_squares = np.zeros(3, dtype=np.int64)
    for start in range(0, len(images), _STATISTICS_CHUNK):
        chunk = images[start : start + _STATISTICS_CHUNK]
        total += chunk.sum(axis=(0, 2, 3), dtype=np.int64)
        total_of_squares += np.square(chunk, dtype=np.uint16).sum(axis=(0, 2, 3), dtype=np.int64)  # 255^2 < 2^16
    count = images.size // 3
    sums, squares = total.tolist(), total_of_squares.tolist()  # Python integers: count * squares may pass 2^63
    mean = [s / (255 * count) for s in sums]
    std = [(count * q - s * s) ** 0.5 / (255 * count) for s, q in zip(sums, squares, strict=True)]
    return torch.tensor(mean, dtype=torch.float32), torch.tensor(std, dtype=torch.float32)
