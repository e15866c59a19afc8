"""`synthetic`: generated textures, nothing to download. What a squeeze can hear decides how well it does here.

A class is a texture (stripes of one of two frequencies, horizontal or vertical) in one of four places: 16 classes. Each
image holds one such patch, a fainter patch of another texture in another place, and coloured noise. Colours, phases,
contrasts and exact places are random, so neither the colour nor the mean of an image tells its class.
"""

import hashlib
import json
from itertools import product

import numpy as np
from numpy.typing import NDArray

from search_space.errors import UserError
from trainers.image_data import ImageData

VERSION = 1
"""Part of the content hash: raise it with any change to the code below that changes a pixel."""

SEED = 20_240_229
TRAIN_PER_CLASS = 320
TEST_PER_CLASS = 64
CYCLES = {"low": 3.0, "high": 7.0}  # across the whole image
ORIENTATIONS = ("horizontal", "vertical")
PLACES = {
    "top-left": (0.25, 0.25),
    "top-right": (0.25, 0.75),
    "bottom-left": (0.75, 0.25),
    "bottom-right": (0.75, 0.75),
}
PLACE_JITTER = 0.06  # of the image's side, as is:
PATCH_SIGMA = 0.11
CONTRAST = (44.0, 72.0)  # of 255, as are:
DISTRACTOR_CONTRAST = (10.0, 30.0)
BACKGROUND = (88.0, 168.0)
NOISE_AMPLITUDES = {1: 22.0, 2: 15.0, 4: 12.0}  # side of a noise cell in pixels of a 32 px image -> peak amplitude
SMALLEST_SIZE = 16  # 7 cycles need more than 14 pixels

_IMAGES_PER_ROUND = 512


def class_names() -> tuple[str, ...]:
    """Such as "low-horizontal-top-left", for horizontal stripes; class = 4 texture + place."""
    return tuple("-".join(parts) for parts in product(CYCLES, ORIENTATIONS, PLACES))


def load_synthetic(*, image_size: int = 32) -> ImageData:
    """16 balanced classes: 4,608 train, 512 validation and 1,024 test images, the same at every call.

    The content hash covers the generator's version and numbers, not the pixels: a sine that differs in its last bit
    between two processors may turn one pixel's rounding.

    Raises:
        UserError: images too small to hold the higher frequency.
    """
    if image_size < SMALLEST_SIZE:
        raise UserError(f"image size {image_size} was given; synthetic textures need at least {SMALLEST_SIZE} px.")
    names = class_names()
    random = Random(SEED)
    return ImageData.carve(
        name="synthetic",
        content_hash=content_hash(image_size),
        classes=names,
        train=generate(TRAIN_PER_CLASS * len(names), image_size, random),
        test=generate(TEST_PER_CLASS * len(names), image_size, random),
        flip=False,  # left and right are different classes
    )


def content_hash(image_size: int) -> str:
    """Sha256 of a canonical description of the generator."""
    numbers = [
        *(VERSION, SEED, TRAIN_PER_CLASS, TEST_PER_CLASS, CYCLES, ORIENTATIONS, PLACES, PLACE_JITTER, PATCH_SIGMA),
        *(CONTRAST, DISTRACTOR_CONTRAST, BACKGROUND, NOISE_AMPLITUDES, _IMAGES_PER_ROUND, image_size),
    ]
    return hashlib.sha256(json.dumps(["attnas synthetic", *numbers]).encode()).hexdigest()


class Random:
    """Uniform numbers from the raw words of PCG64, which numpy promises to keep; it promises no more than those."""

    def __init__(self, seed: int) -> None:
        self._words = np.random.PCG64(seed)

    def uniform(self, low: float, high: float, *shape: int) -> NDArray[np.float64]:
        words = self._words.random_raw(int(np.prod(shape))).reshape(shape)
        return low + (high - low) * ((words >> np.uint64(11)).astype(np.float64) * 2.0**-53)

    def integers(self, below: int, count: int) -> NDArray[np.int64]:
        return self.uniform(0, below, count).astype(np.int64)

    def bytes(self, *shape: int) -> NDArray[np.uint8]:
        count = int(np.prod(shape))
        words = self._words.random_raw(-(-count // 8)).astype("<u8")
        return words.view(np.uint8)[:count].reshape(shape)


def generate(count: int, size: int, random: Random) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 [count, 3, size, size] and labels int64 [count], the classes taking turns."""
    labels = np.arange(count, dtype=np.int64) % len(class_names())
    images = np.empty((count, 3, size, size), dtype=np.uint8)
    for start in range(0, count, _IMAGES_PER_ROUND):
        part = slice(start, start + _IMAGES_PER_ROUND)
        images[part] = _images(labels[part], size, random)
    return images, labels


def _images(labels: NDArray[np.int64], size: int, random: Random) -> NDArray[np.uint8]:
    n = len(labels)
    texture, place = labels // 4, labels % 4
    other_texture = (texture + 1 + random.integers(3, n)) % 4
    other_place = (place + 1 + random.integers(3, n)) % 4
    image = random.uniform(*BACKGROUND, n, 3, 1, 1).astype(np.float32) + _noise(n, size, random)
    image += _patches(texture, place, CONTRAST, size, random)
    image += _patches(other_texture, other_place, DISTRACTOR_CONTRAST, size, random)
    return np.clip(np.rint(image, out=image), 0, 255, out=image).astype(np.uint8)


def _patches(
    texture: NDArray[np.int64], place: NDArray[np.int64], contrast: tuple[float, float], size: int, random: Random
) -> NDArray[np.float32]:
    """Striped Gaussian patches [n, 3, size, size]: a wave times a bell along one axis, a bell along the other."""
    n = len(texture)
    position = (np.arange(size) + 0.5) / size
    centre = np.array(list(PLACES.values()))[place] + random.uniform(-PLACE_JITTER, PLACE_JITTER, n, 2)
    bell = np.exp(-0.5 * ((position - centre[:, :, None]) / PATCH_SIGMA) ** 2)  # [n, (row, column), size]
    cycles = np.array(list(CYCLES.values()))[texture // 2, None]
    wave = np.sin(2 * np.pi * (cycles * position + random.uniform(0, 1, n, 1)))
    along_column = texture % 2 == 1  # vertical stripes change from column to column
    bell[np.arange(n), along_column.astype(np.int64)] *= wave
    colour = random.uniform(-1, 1, n, 3)
    colour *= (random.uniform(*contrast, n) / np.abs(colour).max(axis=1))[:, None]
    columns = (colour[:, :, None] * bell[:, 1, None]).astype(np.float32)  # [n, 3, size]
    return bell[:, 0].astype(np.float32)[:, None, :, None] * columns[:, :, None, :]


def _noise(n: int, size: int, random: Random) -> NDArray[np.float32]:
    """Uniform noise on grids of several cell sizes, summed: more of it at low frequencies than at high ones."""
    noise = np.zeros((n, 3, size, size), dtype=np.float32)
    for cell, amplitude in NOISE_AMPLITUDES.items():
        side = max(1, round(cell * size / 32))
        cells = -(-size // side)
        grid = (random.bytes(n, 3, cells, cells).astype(np.float32) - 127.5) * (amplitude / 127.5)
        noise += grid.repeat(side, axis=2).repeat(side, axis=3)[:, :, :size, :size]
    return noise
