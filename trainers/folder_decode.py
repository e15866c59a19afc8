"""Image files to one uint8 array, on a few threads: Pillow lets go of the interpreter while it decodes and resizes."""

import hashlib
import io
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from search_space.errors import UserError
from trainers.data_progress import progress

RESIZE = "rgb-centre-square-bicubic-v1"
"""Names how pixels come from a file; part of the content hash, so change it with the code below."""

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for content that is no image, or a broken one."""

_FILES_PER_ROUND = 1024


def why_unreadable(error: BaseException) -> str:
    """Without the address of the memory that the file was read into, which Pillow tells."""
    return re.sub(r" <_io\.BytesIO object at \w+>", "", str(error))


@dataclass(frozen=True, slots=True)
class Decoded:
    """Images uint8 [N, 3, S, S], labels int64 [N]; a line "path:sha256" for each of them; path -> why for the rest."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    digests: list[str]
    dropped: dict[str, str]


def decode(root: Path, paths: Sequence[str], classes: Sequence[str], image_size: int) -> Decoded:
    """Decode `paths` (part/class/file below root). Images that cannot be decoded are dropped and named, not refused.

    Raises:
        UserError: a file cannot be read at all.
    """
    label_of = {name: label for label, name in enumerate(classes)}
    labels = np.array([label_of[path.split("/")[1]] for path in paths], dtype=np.int64)
    images = np.empty((len(paths), 3, image_size, image_size), dtype=np.uint8)
    if not paths:
        return Decoded(images, labels, [], {})

    def read_into(index: int) -> tuple[str, str | None]:
        """Fill images[index]; return the line for the content hash and, for a bad image, what is wrong with it."""
        content = _read(root / paths[index])
        line = f"{paths[index]}:{hashlib.sha256(content).hexdigest()}\n"
        try:
            images[index] = pixels(content, image_size)
        except UNREADABLE as error:
            return line, why_unreadable(error)
        return line, None

    results: list[tuple[str, str | None]] = []
    what = f"decoding {len(paths):,} images of {root.name}/{paths[0].split('/')[0]}"
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool, progress(what, len(paths)) as advance:
        for start in range(0, len(paths), _FILES_PER_ROUND):
            results += pool.map(read_into, range(start, min(start + _FILES_PER_ROUND, len(paths))))
            advance(len(results) - start)

    dropped = {path: why for path, (_, why) in zip(paths, results, strict=True) if why is not None}
    digests = [line for line, why in results if why is None]
    if dropped:
        kept = np.array([path not in dropped for path in paths])
        images, labels = images[kept], labels[kept]
    return Decoded(images, labels, digests, dropped)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Mend the file or its permissions.") from error


def pixels(content: bytes, image_size: int) -> NDArray[np.uint8]:
    """Decode one image file to RGB uint8 [3, S, S]: its central square, resized with antialiased bicubic filtering.

    Raises:
        OSError, SyntaxError, ValueError: broken, truncated or unsupported content.
    """
    with Image.open(io.BytesIO(content)) as image:
        require_8_bits(image)
        square = ImageOps.fit(image.convert("RGB"), (image_size, image_size), Image.Resampling.BICUBIC)
    return np.asarray(square).transpose(2, 0, 1)


def require_8_bits(image: Image.Image) -> None:
    """Raises ValueError for an image that `convert("RGB")` would clip."""
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"mode {image.mode} has more than 8 bits a channel")
