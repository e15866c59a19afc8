"""What several test files share: image sets that train in a blink, and the command line in this process."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from finished_retraining import finished, pets, whole  # noqa: F401
from PIL import Image
from postgres import postgres, postgres_url, pytest_terminal_summary  # noqa: F401

from results import Store, open_store
from trainers.image_data import ImageData
from trainers.timm_import import prepare

prepare()  # for the tests that import timm before what needs it

_LONG = ("ray_engine", "laws_export", "cli_networks", "samplers", "chaos", "search_pool", "search", "retrain_resume")
"""Files of minutes, which mostly wait for processes: begun last, one of them would keep a core idle. Ray's, whose tests
count seconds, beside those that are one process."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    first = {f"test_{name}": number for number, name in enumerate(_LONG)}
    items.sort(key=lambda item: first.get(item.path.stem, len(first)))


@pytest.fixture(scope="session")
def blobs() -> ImageData:
    """Four easy classes of 8 px images that differ in colour: 180 train, 20 validation, 40 test."""
    return make_blobs(seed=0)


def make_blobs(seed: int) -> ImageData:
    random = np.random.default_rng(seed)

    def part(a_class: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(np.arange(4), a_class)
        colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [120, 120, 120]])
        images = colours[labels][:, :, None, None] + random.integers(-30, 31, (len(labels), 3, 8, 8))
        return images.astype(np.uint8), labels.astype(np.int64)

    names = ("red", "green", "blue", "grey")
    return ImageData.carve(
        name="blobs", content_hash=f"blobs{seed}", classes=names, train=part(50), test=part(10), flip=True
    )


def write_tree(root: Path, *, classes: int = 3, images: int = 12, size: int = 12) -> Path:
    """An ImageNet-style tree of small PNG files, a colour a class."""
    random = np.random.default_rng(0)
    for split, count in (("train", images), ("val", 4)):
        for label in range(classes):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 60, (size, size, 3), dtype=np.uint8)
                pixels[..., label % 3] += 150
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "little-images")


@dataclass
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def attnas(capsys, monkeypatch, tmp_path) -> Callable[..., Done]:
    """`attnas(...)` as typed in an empty folder, in this process; returns exit code and what was printed."""
    from search.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTNAS_CACHE", str(tmp_path / "cache"))

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["attnas", *map(str, words)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as leave:
            code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def ranked_storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ranked import write_ranked

    return write_ranked(tmp_path_factory.mktemp("ranked") / "attnas.db")


@pytest.fixture
def filled(attnas: Callable[..., Done], ranked_storage: Path) -> Callable[..., Done]:
    """`attnas results ...` in a folder with a copy of a storage whose ranking is known."""
    shutil.copy(ranked_storage, "attnas.db")
    return lambda *words: attnas("results", *words)


@pytest.fixture
def theirs() -> Iterator[Store]:
    """Another group's storage."""
    from exports import fill

    with open_store("sqlite://") as theirs:
        yield fill(theirs)


@pytest.fixture
def exported(theirs: Store, tmp_path: Path) -> Path:
    """Their export."""
    from results.exchange_write import export

    return export(theirs, tmp_path / "out").directory


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty SQLite storage in a file."""
    with open_store(f"sqlite:///{tmp_path}/rows.db") as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty storage that processes can share: a law that takes it holds on both databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/a.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def world(monkeypatch):
    """Confirmations whose trainings take no time, and whose truth is known."""
    from confirmations import pretend

    return pretend(monkeypatch)


@pytest.fixture
def setting(blobs: ImageData):
    """Of those confirmations."""
    from confirmations import RECIPE

    from search.objective import Setting

    return Setting(blobs, "resnet8", RECIPE, precision="float32")


@pytest.fixture(autouse=True, scope="session")
def no_sync() -> Iterator[None]:
    """Only a crash of the machine could tell, and no test makes one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What this machine has measured for its user decides nothing here, and tests leave nothing in his home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTNAS_CACHE", str(tmp_path_factory.mktemp("attnas")))
        yield


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Maps of 8 pixels gain nothing from a second thread, and waiting for it on a busy machine costs a hundredfold."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def back_to_one_thread() -> Iterator[None]:
    """After a command that chose its own."""
    yield
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start
