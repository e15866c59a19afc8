"""A retraining that is told to stop saves after the update it is at, and goes on to the same bits."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from finished_retraining import REPOSITORY, after, go, same, without_times
from retrain_tree import make_tree

from results import open_store
from search_space import UserError
from trainers.imagenet import Halted, Outcome, RetrainRecipe

FULL = RetrainRecipe(
    epochs=3, batch_size=8, optimiser="lamb", base_rate=0.01, loss="bce", mixup=0.2, cutmix=1.0, ema=0.9, repeats=2
)
"""Whatever has a state or draws random numbers; 3 updates and 2 looks at measuring (of 12 images) an epoch."""


@pytest.fixture(scope="module")
def whole(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    output = tmp_path_factory.mktemp("whole") / "out"
    return output, go(pets, output, recipe=FULL)


@pytest.mark.parametrize("looks", [1, 2, 3, 4, 6, 9, 14], ids=lambda looks: f"look{looks}")
def test_wherever_it_stops_it_goes_on_to_the_same_bits(
    pets: Path, whole: tuple[Path, Outcome], tmp_path: Path, looks: int
) -> None:
    with pytest.raises(Halted):
        go(pets, tmp_path / "out", recipe=FULL, stop=after(looks))
    assert not (tmp_path / "out" / "model.pt").exists()
    done = go(pets, tmp_path / "out", recipe=FULL)
    assert same(tmp_path / "out", whole[0]) and without_times(done.curves) == without_times(whole[1].curves)


def test_stopped_after_every_single_update_it_still_ends_with_the_same_bits(
    pets: Path, whole: tuple[Path, Outcome], tmp_path: Path
) -> None:
    """While measuring it goes on, or it would never end."""
    stops = 0
    while True:
        try:
            done = go(pets, tmp_path / "out", recipe=FULL, stop=after(1 if stops % 3 < 2 else 9))
            break
        except Halted:
            stops += 1
    assert stops >= 5 and same(tmp_path / "out", whole[0])
    assert without_times(done.curves) == without_times(whole[1].curves)


def test_stopped_before_it_was_measured_an_epoch_is_said_to_be_trained_and_has_no_speed(
    pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Halted):
        go(pets, tmp_path / "out", recipe=FULL, stop=after(8))
    done = go(pets, tmp_path / "out", recipe=FULL)
    assert "after epoch 1 of 3 and all of the next, to be measured" in capsys.readouterr().err
    assert ["images_per_second" in record for record in done.curves] == [True, False, True]


def test_seconds_run_on(pets: Path, tmp_path: Path) -> None:
    with pytest.raises(Halted):
        go(pets, tmp_path / "out", stop=after(2))
    time.sleep(0.3)  # between the two nothing is spent
    begun = time.perf_counter()
    done = go(pets, tmp_path / "out")
    assert 0 < done.curves[-1]["seconds"] < done.seconds + 1 < time.perf_counter() - begun + 30
    assert [record["seconds"] for record in done.curves] == sorted(record["seconds"] for record in done.curves)


@pytest.mark.parametrize("signalled, code", [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_a_signal_saves_and_the_same_command_goes_on(
    attnas: Callable[..., Any], tmp_path: Path, signalled: signal.Signals, code: int
) -> None:
    make_tree(tmp_path / "pets", train=100)  # 75 updates an epoch: some seconds
    words = ("retrain", "none", "--data", "pets", "--backbone", "resnet8", "--image-size", 32, "--recipe", "smoke")
    words += ("--epochs", 2, "--batch-size", 8, "--workers", 0, "--device", "cpu", "--precision", "float32")
    words += ("--threads", 1, "--storage", "sqlite:///rows.db")
    thread = threading.Thread(target=_once_it_trains, args=(Path("retrain"), signalled))
    thread.start()
    stopped = attnas(*words)
    thread.join()
    assert stopped.code == code and "stopped, and saved after its last update" in stopped.err, stopped.err
    with open_store("sqlite:///rows.db") as store:
        assert store.rows() == []
    done = attnas(*words)
    assert done.code == 0 and re.search(r"going on after epoch \d of 2 and \d+ of 75 updates of the next", done.err)
    assert "top-1" in done.out


def _once_it_trains(folder: Path, signalled: signal.Signals) -> None:
    while not list(folder.glob("*/lock")):
        time.sleep(0.01)
    time.sleep(0.3)
    os.kill(os.getpid(), signalled)


def test_a_signal_to_the_whole_group_saves_though_the_workers_get_it_too(tmp_path: Path) -> None:
    """As Slurm, systemd and `timeout` send it."""
    make_tree(tmp_path / "pets", train=100)
    words = "retrain none --data pets --backbone resnet8 --image-size 32 --recipe smoke --epochs 9 --batch-size 8 "
    words += "--workers 2 --device cpu --precision float32 --threads 1 --storage sqlite:///rows.db"
    options: dict[str, Any] = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(REPOSITORY)}, "text": True}
    command = [sys.executable, "-m", "search", *words.split()]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, **options) as process:
        assert process.stderr is not None
        while "epoch 1/9" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGTERM)
        said = process.stderr.read()
        assert process.wait(timeout=60) == 0 and "the same command goes on" in said, said
    with open_store(f"sqlite:///{tmp_path}/rows.db") as store:
        assert store.rows() == []


def test_images_seen_again_in_the_place_of_corrupt_ones_keep_every_batch_and_a_resumption_in_its_place(
    tmp_path: Path,
) -> None:
    tree = make_tree(tmp_path / "pets")
    for path in sorted((tree / "train").rglob("*.jpg"))[::3]:
        path.write_bytes(b"nothing")
    recipe = RetrainRecipe(epochs=2, batch_size=8, mixup=0.2)
    whole = go(tree, tmp_path / "whole", recipe=recipe, most_corrupt=8)
    assert whole.curves[0]["corrupt"] == 8
    with pytest.raises(Halted):
        go(tree, tmp_path / "out", recipe=recipe, most_corrupt=8, stop=after(7))
    done = go(tree, tmp_path / "out", recipe=recipe, most_corrupt=8)
    assert same(tmp_path / "out", tmp_path / "whole")
    assert without_times(done.curves) == without_times(whole.curves)


def test_corrupt_images_are_counted_over_resumptions(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "pets")
    for path in sorted((tree / "train").rglob("*.jpg"))[:2]:
        path.write_bytes(b"nothing")
    with pytest.raises(Halted):
        go(tree, tmp_path / "out", most_corrupt=2, stop=after(4))  # in the second epoch
    with pytest.raises(UserError, match=r"2 image\(s\) can't be read, and 1 may"):
        go(tree, tmp_path / "out", most_corrupt=1)


def test_a_batch_of_which_nothing_can_be_read_ends_the_training_by_name(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "pets")
    for path in sorted((tree / "train").rglob("*.jpg")):
        path.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"none of the 8 images of a batch can be read: .*\.jpg: "):
        go(tree, tmp_path / "out", most_corrupt=24)
