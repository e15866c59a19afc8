"""The data and the network of every contestant: little, for nothing is trained on them."""

from __future__ import annotations

import numpy as np

from search.objective import Setting
from trainers import PROXY, ImageData

BACKBONE = "resnet8"
RECIPE = PROXY.changed(epochs=1)


def small_data() -> ImageData:
    """Noise of 32 px in four classes."""
    labels = np.repeat(np.arange(4), 40)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 3, 32, 32)).astype(np.uint8)
    parts = {"train": (images, labels), "test": (images[:40], labels[:40])}
    return ImageData.carve(name="noise", content_hash="noise", classes=tuple("abcd"), flip=True, **parts)


def small_setting() -> Setting:
    return Setting(small_data(), BACKBONE, RECIPE)
