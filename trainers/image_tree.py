"""An ImageNet-style tree of image files, read from disk batch by batch: too large for memory, at full size."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from search_space.errors import UserError
from trainers.folder import Listing, list_tree
from trainers.imagenet_recipe import RetrainRecipe
from trainers.timm_import import prepare

prepare()
from timm.data import create_transform  # noqa: E402

LAYOUT = "PATH/train/<class>/*.jpg and PATH/val/<class>/*.jpg"


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a tree. `listing_hash` covers their relative paths and sizes, not their content."""

    listing: Listing
    listing_hash: str

    @property
    def name(self) -> str:
        return f"folder:{self.listing.root.name}"

    @property
    def classes(self) -> tuple[str, ...]:
        return self.listing.classes

    @property
    def train_images(self) -> int:
        return len(self.listing.train)

    @property
    def val_images(self) -> int:
        return len(self.listing.test)


def tree_facts(path: Path) -> Tree:
    """List the tree PATH/train/<class>/*, PATH/val/<class>/*; no image is opened.

    Raises:
        UserError: no such directory, no train or val, fewer than two classes, an empty one, or different ones.
    """
    root = path.expanduser().resolve()
    if not root.is_dir():
        raise UserError(f"{path} was given as image tree, but there is no such directory. Expected: {LAYOUT}.")
    listing = list_tree(root)
    if not listing.test:
        raise UserError(f"{root} has no directory `val`, which the trained network is measured on. Expected: {LAYOUT}.")
    return Tree(listing, _listing_hash(listing))


def _listing_hash(listing: Listing) -> str:
    """The prefix says that it is no hash of the content: that of 150 GB takes an hour."""
    digest = hashlib.sha256()
    for path in sorted(listing.train + listing.test):
        digest.update(f"{path}\0{(listing.root / path).stat().st_size}\n".encode(errors="surrogateescape"))
    return f"listing:{digest.hexdigest()}"


@dataclass(frozen=True, slots=True)
class ImageFiles(Dataset[tuple[Tensor, int] | UserError]):
    """Files as uint8 [3, S, S] and their classes, or what is wrong with the file.

    What is random depends on the seed and the index alone, so that an image is the same in any worker process and after
    a resumption.
    """

    root: Path
    paths: tuple[str, ...]
    label_of: dict[str, int]
    transform: Callable[[Image.Image], Tensor]
    seed: int = 0

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int] | UserError:
        path = self.paths[index]
        try:
            image = read_rgb(self.root / path)
        except UserError as error:
            return error  # raised in a worker it would arrive wrapped in a traceback, and the loader would hang for 5 s
        with reproducible(derived_seed(self.seed, index)):
            return self.transform(image), self.label_of[path.split("/")[1]]


def read_rgb(path: Path) -> Image.Image:
    """Raises `UserError` naming the file. timm's dataset would quietly take the next image instead."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"mode {image.mode} has more than 8 bits a channel")  # convert("RGB") would clip it
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow raises
        raise UserError(
            f"image {path} can't be read: {error}. Repair it, or remove it and give another --output: the same tree "
            "without it is other data."
        ) from error


def derived_seed(*parts: int) -> int:
    """A seed of 63 bits from whole numbers: neighbours get unrelated ones."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8]) >> 1


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Seed the two generators that timm's transforms draw from, and put them back."""
    state = random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


class Batches:
    """Batches of a tree at one size: images uint8 [B, 3, S, S] and labels int64 [B]."""

    def __init__(
        self, tree: Tree, recipe: RetrainRecipe, *, image_size: int, seed: int, workers: int, pinned: bool
    ) -> None:
        self.listing, self.seed = tree.listing, seed
        self.label_of = {name: label for label, name in enumerate(tree.classes)}
        aspect = recipe.crop_aspect
        self.augment = create_transform(
            image_size,
            is_training=True,
            scale=(recipe.crop_area, 1.0),
            ratio=(1 / aspect, aspect),
            hflip=0.5 if recipe.mirror else 0.0,
            color_jitter=None,  # type: ignore[arg-type]  # timm's hint forgets its own way to turn it off
            normalize=False,  # done on the device: bytes travel four times as fast
        )
        self.central_crop = create_transform(
            image_size, is_training=False, crop_pct=recipe.crop_pct, crop_mode="center", normalize=False
        )
        self.options: dict[str, Any] = {
            "batch_size": recipe.batch_size,
            "num_workers": workers,
            "pin_memory": pinned,
            "collate_fn": _collate,
            "generator": torch.Generator(),  # else a worker's start would draw from the network's generator
        }

    def train(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Full batches in the order of (seed, epoch), augmented; the rest is another rest next time."""
        seed = derived_seed(self.seed, epoch)
        order = torch.randperm(len(self.listing.train), generator=torch.Generator().manual_seed(seed)).tolist()
        files = ImageFiles(self.listing.root, self.listing.train, self.label_of, self.augment, seed)
        return _each(DataLoader(files, sampler=order, drop_last=True, **self.options))

    def val(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image of `val`, central crops, in the tree's order."""
        files = ImageFiles(self.listing.root, self.listing.test, self.label_of, self.central_crop)
        return _each(DataLoader(files, **self.options))


def _collate(samples: list[tuple[Tensor, int] | UserError]) -> Any:
    return next((sample for sample in samples if isinstance(sample, UserError)), None) or default_collate(samples)


def _each(loader: DataLoader[Any]) -> Iterator[tuple[Tensor, Tensor]]:
    for batch in loader:
        if isinstance(batch, UserError):
            raise batch
        yield batch
