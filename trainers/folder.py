"""`folder:PATH`: an ImageNet-style tree of image files, decoded once and kept in a cache."""

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from search_space.errors import UserError
from trainers.folder_cache import ARRAY_NAMES, FolderCache
from trainers.folder_decode import RESIZE, decode
from trainers.image_data import ImageData

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
LAYOUT = "PATH/train/<class>/*.jpg and, if there is a test set, PATH/val/<class>/*.jpg"
_NAMED_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class Listing:
    """The image files of one tree: posix paths relative to `root`, class by class in sorted order."""

    root: Path
    classes: tuple[str, ...]
    train: tuple[str, ...]
    test: tuple[str, ...]  # the tree's `val`; empty where it has none

    def fingerprint(self) -> str:
        """Sha256 over the tree's place and every file's path, size and modification time: cheap, and per machine."""
        digest = hashlib.sha256(os.fsencode(self.root))
        for path in self.train + self.test:
            stat = (self.root / path).stat()
            digest.update(os.fsencode(f"\n{path}\0{stat.st_size}\0{stat.st_mtime_ns}"))
        return digest.hexdigest()


def load_folder(path: Path, *, image_size: int, cache_dir: Path, skip_corrupt: bool = False) -> ImageData:
    """Load the tree PATH/train/<class>/*.{jpg,jpeg,png,bmp,webp} and, as the test set, PATH/val/<class>/*.

    Images become RGB and their central square is resized to `image_size`. The validation split is carved from train.
    The content hash covers the relative path and the bytes of every image used, and the size.

    Raises:
        UserError: not such a tree, too few images, images that cannot be decoded, or more pixels than memory.
    """
    root = path.expanduser().resolve()
    listing = list_tree(root)
    require_memory(len(listing.train) + len(listing.test), image_size, root)
    content_hash, dropped, arrays = _cached_or_decoded(listing, image_size, FolderCache(cache_dir / "folder"))
    if dropped:
        named = ", ".join(f"{image} ({why})" for image, why in sorted(dropped.items())[:_NAMED_AT_MOST])
        more = f" and {len(dropped) - _NAMED_AT_MOST} more" if len(dropped) > _NAMED_AT_MOST else ""
        what = f"{len(dropped)} image(s) of {root} cannot be decoded: {named}{more}."
        if not skip_corrupt:
            raise UserError(f"{what} Repair or delete them, or leave them out with --skip-corrupt.")
        print(f"{what} They are left out.", file=sys.stderr)
    return ImageData.carve(
        name=f"folder:{root.name}",
        content_hash=content_hash,
        classes=listing.classes,
        train=(arrays["train_images"], arrays["train_labels"]),
        test=(arrays["test_images"], arrays["test_labels"]) if listing.test else None,
        flip=True,
    )


def _cached_or_decoded(
    listing: Listing, image_size: int, cache: FolderCache
) -> tuple[str, dict[str, str], dict[str, NDArray[Any]]]:
    """The content hash, the images left out with the reason, and the arrays."""
    fingerprint = listing.fingerprint()
    if known := cache.read_listing(fingerprint):
        source_hash, dropped = known
        content_hash = _content_hash(source_hash, image_size)
        if (cached := cache.read_arrays(content_hash)) is not None:
            return content_hash, dropped, cached
    train = decode(listing.root, listing.train, listing.classes, image_size)
    test = decode(listing.root, listing.test, listing.classes, image_size)
    source_hash = hashlib.sha256("".join(train.digests + test.digests).encode()).hexdigest()
    content_hash, dropped = _content_hash(source_hash, image_size), train.dropped | test.dropped
    decoded: tuple[NDArray[Any], ...] = (train.images, train.labels, test.images, test.labels)
    arrays = dict(zip(ARRAY_NAMES, decoded, strict=True))
    cache.write_arrays(content_hash, arrays)
    cache.write_listing(fingerprint, source_hash, dropped)
    return content_hash, dropped, arrays


def _content_hash(source_hash: str, image_size: int) -> str:
    return hashlib.sha256(f"{source_hash}:{RESIZE}:{image_size}px".encode()).hexdigest()


def list_tree(root: Path, layout: str = LAYOUT) -> Listing:
    """Find the classes and images of a tree.

    Raises:
        UserError: the tree is missing or is not laid out as `layout` says; each message says what was found instead.
    """
    if not root.is_dir():
        raise UserError(f"folder:{root} was given, but there is no such directory. Expected: {layout}.")
    if not (root / "train").is_dir():
        folders = sorted(entry.name for entry in _folders(root) if _image_names(entry))
        hint = ""
        if folders and root.name in ("train", "val") and (root.parent / "train").is_dir():
            hint = f" It is a part of {root.parent}: give that."
        elif folders:
            named = ", ".join(folders[:3])
            hint = f" The directory itself holds class folders ({named}, ...): move them into {root}/train."
        raise UserError(f"{root} has no directory `train`. Expected: {layout}.{hint}")
    classes, train = list_classes(root, "train")
    if len(classes) < 2:
        raise UserError(f"{root}/train has only one class, {classes[0]!r}; a classifier needs at least two.")
    if not (root / "val").is_dir():
        return Listing(root, classes, train, ())
    test_classes, test = list_classes(root, "val")
    if differing := sorted(set(classes) ^ set(test_classes)):
        raise UserError(
            f"{root}/val and {root}/train must have the same classes; only one of them has: "
            f"{', '.join(differing[:_NAMED_AT_MOST])}{', ...' if len(differing) > _NAMED_AT_MOST else ''}."
        )
    return Listing(root, classes, train, test)


def list_classes(root: Path, part: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Class names in order and every image's path relative to root.

    Raises:
        UserError: no class folders there, or one without an image.
    """
    folder = root / part
    images = {entry.name: _image_names(entry) for entry in _folders(folder)}
    classes = tuple(sorted(images))
    if not any(images.values()):
        raise UserError(
            f"no images in {folder}: looked for {' '.join(EXTENSIONS)} directly inside its class folders. "
            f"Expected: {LAYOUT}."
        )
    if empty := [name for name in classes if not images[name]]:
        raise UserError(
            f"class folder(s) without an image in {folder}: {', '.join(empty[:_NAMED_AT_MOST])}. "
            "Remove them or add images directly inside."
        )
    return classes, tuple(f"{part}/{name}/{image}" for name in classes for image in images[name])


def count_images(folder: Path) -> dict[str, int]:
    """Of each class folder, the empty ones too."""
    return {entry.name: len(_image_names(entry)) for entry in sorted(_folders(folder))}


def _folders(directory: Path) -> list[Path]:
    return [entry for entry in directory.iterdir() if entry.is_dir() and not entry.name.startswith(".")]


def _image_names(folder: Path) -> list[str]:
    """Sorted; names that start with a dot are left out, for macOS archives put a `._x.jpg` beside each x.jpg."""
    names = os.listdir(folder)  # noqa: PTH208 - names alone, of perhaps a million files
    return sorted(name for name in names if name.lower().endswith(EXTENSIONS) and not name.startswith("."))


def require_memory(images: int, image_size: int, root: Path) -> None:
    """Raise UserError where the decoded images, and the copy made while they are split, exceed the free memory."""
    needed, available = 2 * images * 3 * image_size**2, available_memory_bytes()
    if needed > available:
        raise UserError(
            f"{images:,} images of {root} at {image_size} px need {needed / 2**30:.1f} GiB of memory while they are "
            f"loaded; {available / 2**30:.1f} GiB are free. Choose a smaller --image-size or a subset of the images."
        )


def available_memory_bytes() -> int:
    """Memory that can be taken without swapping; the machine's whole memory where the system does not tell."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
        return int(fields["MemAvailable"].removesuffix("kB")) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
