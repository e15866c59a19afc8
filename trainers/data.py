"""Image sets by name: what the user types becomes an `ImageData` in memory."""

import os
from pathlib import Path

from search_space.errors import UserError
from trainers.cifar100 import load_cifar100
from trainers.folder import load_folder
from trainers.image_data import VALIDATION_SPLIT, ImageData, Split
from trainers.synthetic import load_synthetic

__all__ = ["VALIDATION_SPLIT", "ImageData", "Split", "default_cache_dir", "load_data"]

SPECS = "cifar100, folder:PATH (PATH/train/<class>/*.jpg ...), synthetic"


def default_cache_dir() -> Path:
    """Where downloads and decoded images are kept: the environment's ATTNAS_CACHE, or ~/.cache/attnas."""
    return Path(os.environ.get("ATTNAS_CACHE") or Path.home() / ".cache" / "attnas")


def load_data(
    spec: str,
    *,
    image_size: int = 32,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    skip_corrupt: bool = False,
) -> ImageData:
    """Load `cifar100`, `folder:PATH` or `synthetic` at `image_size` pixels.

    Args:
        spec: the name of the set.
        image_size: side of the square images in pixels; CIFAR-100 has 32 only.
        data_dir: where the CIFAR-100 archive lies or goes; the cache directory unless given.
        cache_dir: where decoded folders are kept; `default_cache_dir()` unless given.
        skip_corrupt: leave out images of a folder that cannot be decoded instead of refusing the folder.

    Raises:
        UserError: unknown name, size or path; missing, corrupt or too few images.
    """
    if image_size < 1:
        raise UserError(f"image size {image_size} was given; it must be a positive number of pixels, such as 32.")
    cache = cache_dir or default_cache_dir()
    try:
        return _load(spec, image_size, data_dir or cache, cache, skip_corrupt)
    except OSError as error:
        raise UserError(
            f"data {spec!r} can't be read or kept: {error}. Images come from the data given and --data-dir; "
            f"what is made of them is kept in {cache} (the environment's ATTNAS_CACHE names another place)."
        ) from error


def _load(spec: str, image_size: int, data_dir: Path, cache: Path, skip_corrupt: bool) -> ImageData:
    kind, _, argument = spec.partition(":")
    if spec == "cifar100":
        return load_cifar100(data_dir, image_size=image_size)
    if spec == "synthetic":
        return load_synthetic(image_size=image_size)
    if kind == "folder" and argument:
        return load_folder(Path(argument), image_size=image_size, cache_dir=cache, skip_corrupt=skip_corrupt)
    raise UserError(f"unknown data {spec!r}; known are: {SPECS}.")
