"""CIFAR-100 (Krizhevsky 2009) from its official Python archive, verified before a byte of it is unpickled."""

import hashlib
import io
import pickle
import tarfile
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any, ClassVar, NoReturn
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from search_space.errors import UserError
from trainers.data_progress import progress
from trainers.image_data import ImageData

URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
ARCHIVE = "cifar-100-python.tar.gz"
SHA256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
"""As pinned by Keras and by torchvision's prototype datasets, both beside the URL above; the download page itself
publishes the MD5 of the same file, eb9058c3a382ffc7106e4002c42a8d85."""

NUM_CLASSES = 100
SIZE = 32
_BLOCK_BYTES = 1 << 20


def load_cifar100(data_dir: Path, *, image_size: int = SIZE) -> ImageData:
    """CIFAR-100 with its 100 fine labels: 45,000 train, 5,000 validation, 10,000 test images of 32 px.

    The archive is read from `data_dir`, and downloaded there (169 MB) when it is not there.

    Raises:
        UserError: no archive and no network, a wrong checksum, or `image_size` is not 32.
    """
    if image_size != SIZE:
        raise UserError(f"image size {image_size} was given; the images of cifar100 are {SIZE} px and are not resized.")
    path = data_dir / ARCHIVE
    if not path.exists():
        download(URL, path, sha256=SHA256)
    return read_archive(path, sha256=SHA256)


def download(url: str, path: Path, *, sha256: str) -> None:
    """Fetch `url` into a `.part` file beside `path`, check it, and only then give it its name."""
    part = path.with_name(f"{path.name}.{uuid4().hex[:8]}.part")  # two processes may download at the same time
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = _fetch(url, part)
        if digest != sha256:
            raise UserError(
                f"the download of {url} is not the published file: expected sha256 {sha256}, got {digest}. "
                f"Try again later, or fetch it by other means and put it at {path}."
            )
        part.replace(path)
    except (OSError, HTTPException) as error:
        raise UserError(
            f"CIFAR-100 is not at {path} and could not be downloaded ({error}). Fetch {url} on a machine with a "
            f"network and put the file at {path}, or say with --data-dir which directory holds {path.name}."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _fetch(url: str, target: Path) -> str:
    """Copy `url` to `target` and return the sha256 of what came."""
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=60) as response, target.open("wb") as file:
        length = response.headers.get("Content-Length")
        with progress(f"downloading {ARCHIVE}", int(length) if length else None, in_bytes=True) as advance:
            while block := response.read(_BLOCK_BYTES):
                digest.update(block)
                file.write(block)
                advance(len(block))
    return digest.hexdigest()


def read_archive(path: Path, *, sha256: str) -> ImageData:
    """Read the official archive at `path`, whose bytes must have this sha256. Nothing is extracted to disk.

    Raises:
        UserError: another checksum, or content that is not CIFAR-100.
    """
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise UserError(
            f"{path} is damaged or is another file: expected sha256 {sha256}, got {digest} ({len(content):,} bytes). "
            "Delete it and run the same command again to download it anew."
        )
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            meta, train, test = (_unpickle(archive, member) for member in ("meta", "train", "test"))
        return ImageData.carve(
            name="cifar100",
            content_hash=sha256,
            classes=_class_names(meta),
            train=_images_and_labels(train),
            test=_images_and_labels(test),
            flip=True,
        )
    except (tarfile.TarError, EOFError, pickle.UnpicklingError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} does not hold CIFAR-100 in its published Python format: {error}. "
            f"Delete it and download {URL} again."
        ) from error


class _ArrayUnpickler(pickle.Unpickler):
    """Admits the three names that the published pickles of numpy arrays call, and nothing else."""

    _ADMITTED: ClassVar[dict[tuple[str, str], Any]] = {
        # numpy 2 moved this function to another module; its own arrays know where it is
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ADMITTED:
            raise pickle.UnpicklingError(f"it calls {module}.{name}, which the published file does not")
        return self._ADMITTED[module, name]

    def persistent_load(self, _: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to an object outside of itself, which the published file does not")


def _unpickle(archive: tarfile.TarFile, member: str) -> dict[bytes, Any]:
    file = archive.extractfile(f"cifar-100-python/{member}")
    if file is None:
        raise ValueError(f"cifar-100-python/{member} is not a file")
    value = _ArrayUnpickler(io.BytesIO(file.read()), encoding="bytes").load()
    if not isinstance(value, dict):
        raise ValueError(f"cifar-100-python/{member} holds a {type(value).__name__}, not a dict")
    return value


def _class_names(meta: dict[bytes, Any]) -> tuple[str, ...]:
    names = tuple(name.decode("ascii") for name in meta[b"fine_label_names"])
    if len(set(names)) != NUM_CLASSES:
        raise ValueError(f"it names {len(set(names))} classes instead of {NUM_CLASSES}")
    return names


def _images_and_labels(batch: dict[bytes, Any]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Rows of 3072 bytes, the red, green and blue plane one after the other, each row by row."""
    data, labels = batch[b"data"], np.asarray(batch[b"fine_labels"], dtype=np.int64)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (len(labels), 3 * SIZE * SIZE):
        raise ValueError(f"{len(labels)} labels and images of shape {getattr(data, 'shape', None)}")
    if labels.ndim != 1 or labels.min() < 0 or labels.max() >= NUM_CLASSES:
        raise ValueError(f"labels outside of 0..{NUM_CLASSES - 1}")
    return data.reshape(-1, 3, SIZE, SIZE), labels
