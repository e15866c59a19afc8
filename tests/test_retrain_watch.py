"""What is left of a retraining to look at: a table, a picture, events, and lines that say how long still."""

from __future__ import annotations

import csv
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from finished_retraining import REPOSITORY, after
from PIL import Image
from retrain_tree import carried_out, make_tree

from results import Store
from search.retraining import retrain
from search.retraining_watch import check_tensorboard, epoch_line
from search_space import UserError, find_design
from trainers.image_set import image_set
from trainers.imagenet import Halted, RetrainRecipe

RECIPE = RetrainRecipe(epochs=3, batch_size=8)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("watch") / "pets")


def go(tree: Path, store: Store, output: Path, **options: Any) -> Any:
    fixed = {"backbone": "resnet8", "image_size": 32, "recipe": RECIPE}
    return retrain(find_design("se"), image_set(tree), store=store, output=output, **carried_out(fixed | options))


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:tensorboard")
def test_after_a_resumption_table_events_and_row_tell_the_same_of_every_epoch_once(
    tree: Path, store: Store, tmp_path: Path
) -> None:
    """Oracle: the csv module and TensorBoard's own reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(Halted):
        go(tree, store, tmp_path, tensorboard=True, stop=after(7))  # in the second epoch
    row = go(tree, store, tmp_path, tensorboard=True)
    with (tmp_path / "epochs.csv").open(newline="") as file:
        lines = [{name: float(cell) for name, cell in line.items()} for line in csv.DictReader(file)]
    assert lines == row.curves and [line["epoch"] for line in lines] == [1, 2, 3]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    for name in ("train_loss", "accuracy", "learning_rate"):
        told = [(event.step, event.value) for event in events.Scalars(name)]
        assert told == [(record["epoch"], pytest.approx(record[name], rel=1e-6)) for record in row.curves]
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG" and picture.width > 1000
        assert len(picture.convert("RGB").getcolors(10**6)) > 20, "lines, and not an empty sheet"


def test_without_tensorboard_the_option_is_refused_by_name_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match=r"pip install 'attnas\[tensorboard\]'"):
        check_tensorboard()


def test_a_line_an_epoch_says_how_long_the_rest_takes() -> None:
    record = {"epoch": 2.0, "accuracy": 0.5, "loss": 1.0, "train_loss": 2.0, "images_per_second": 99.6, "seconds": 60.0}
    assert epoch_line(record, 6) == "epoch 2/6  top-1 50.00%  loss 1.000  train loss 2.000  100 images/s  2 min left"
    assert epoch_line(record, 2).endswith("100 images/s")


def test_the_checkpoints_of_the_last_epochs_stay_and_the_best(tree: Path, store: Store, tmp_path: Path) -> None:
    """Oracle: the accuracies of the row."""
    import torch

    row = go(tree, store, tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.glob("epoch-*")) == ["epoch-0002.pt", "epoch-0003.pt"]
    accuracies = [record["accuracy"] for record in row.curves]
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert len(best["curves"]) == 1 + accuracies.index(max(accuracies))
    assert (tmp_path / "epoch-0003.pt").samefile(tmp_path / "last.pt")


def test_at_a_terminal_a_bar_tells_epoch_speed_loss_and_top1(tree: Path, tmp_path: Path) -> None:
    words = ["retrain", "none", "--data", tree, "--backbone", "resnet8", "--image-size", 16, "--recipe", "smoke"]
    words += ["--epochs", 3, "--batch-size", 4, "--workers", 0, "--device", "cpu", "--precision", "float32"]
    words += ["--threads", 1, "--storage", f"sqlite:///{tmp_path}/rows.db", "--output", tmp_path / "out"]
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "search", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TERM": "xterm", "COLUMNS": "160"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        said = b""
        try:
            while chunk := os.read(ours, 4096):
                said += chunk
        except OSError:  # how Linux says that the other side has closed
            pass
        assert process.wait() == 0, said
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.decode())
    assert re.search(r"epoch [123]/3 [^\n]*loss \d+\.\d+  top-1 \d+\.\d+%", text), text
    assert re.search(r"\d+ images/s", text) and len(re.findall(r"epoch \d/3  top-1", text)) == 3, text
