"""A retraining that was finished, whose checkpoints tests go on from or spoil; its fixtures are in conftest."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from retrain_tree import carried_out, make_tree

from search_space import find_design
from trainers.imagenet_recipe import RetrainRecipe
from trainers.outcome import Outcome

RECIPE = RetrainRecipe(epochs=3, batch_size=8)
REPOSITORY = Path(__file__).parents[1]


def go(pets: Path, output: Path, design: str = "se", **options: Any) -> Outcome:
    from trainers.imagenet import image_set, retrain  # not for every test, as conftest would have it

    fixed = {"backbone": "resnet8", "image_size": 32, "recipe": RECIPE}
    return retrain(find_design(design), image_set(pets), output=output, **carried_out(fixed | options))


def after(looks: int) -> Callable[[], bool]:
    """A `stop` that says no until it has been asked so often."""
    counted = itertools.count(1)
    return lambda: next(counted) >= looks


def without_times(curves: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in record.items() if k not in ("seconds", "images_per_second")} for record in curves]


def same(a: Path, b: Path) -> bool:
    left, right = (torch.load(path / "model.pt", weights_only=True) for path in (a, b))
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.fixture(scope="session")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("resume") / "pets")


@pytest.fixture(scope="session")
def whole(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """An uninterrupted retraining."""
    output = tmp_path_factory.mktemp("whole") / "out"
    return output, go(pets, output)


@pytest.fixture
def finished(whole: tuple[Path, Outcome], tmp_path: Path) -> Path:
    """A copy of its folder."""
    return Path(shutil.copytree(whole[0], tmp_path / "out"))
