"""A tiny image tree for the tests of retraining."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trainers.execution import Execution

CLASSES = tuple("abcdef")


def make_tree(root: Path, classes: tuple[str, ...] = CLASSES, train: int = 4, val: int = 2) -> Path:
    """JPEG files of 44 x 40 pixels; each class has its own brightness under the noise."""
    random = np.random.default_rng(0)
    for part, count in (("train", train), ("val", val)):
        for label, name in enumerate(classes):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 100, (40, 44, 3)) + 25 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")
    return root


def carried_out(options: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a retraining: what is the execution's put together, on the CPU unless said."""
    names = {field.name for field in fields(Execution)}
    own = {"device": "cpu", "workers": 0, "precision": "float32"}
    own |= {name: value for name, value in options.items() if name in names}
    return {name: value for name, value in options.items() if name not in names} | {"execution": Execution(**own)}
