"""A retraining that was finished, whose checkpoints tests go on from or spoil; its fixtures are in conftest."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from retrain_tree import carried_out, make_tree

from search_space import find_design
from trainers.imagenet import Outcome, RetrainRecipe, image_set, retrain

RECIPE = RetrainRecipe(epochs=3, batch_size=8)


def go(pets: Path, output: Path, design: str = "se", **options: Any) -> Outcome:
    fixed = {"backbone": "resnet8", "image_size": 32, "recipe": RECIPE}
    return retrain(find_design(design), image_set(pets), output=output, **carried_out(fixed | options))


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
