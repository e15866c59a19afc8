"""`attnas retrain`: which designs are trained, by which seeds, and what is told of them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from retrain_tree import make_tree
from test_results_row import a_row
from together import commanded

from results import open_store

Attnas = Callable[..., Any]
SMALL = ("--backbone", "resnet8", "--image-size", 16, "--recipe", "smoke", "--epochs", 1, "--batch-size", 8)
SMALL += ("--workers", 0, "--precision", "float32", "--device", "cpu", "--threads", 1)
ACCURACIES = {"max/conv1d": (0.8, 1_000), "avg/conv1d": (0.7, 500), "avg/mlp-r4": (0.6, 2_000), "none": (0.5, 100)}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "pets", train=2)


@pytest.fixture
def searched(tmp_path: Path) -> str:
    """A search of four designs, and one row on the test split that chooses nothing."""
    url = f"sqlite:///{tmp_path / 'search.db'}"
    with open_store(url) as store:
        for design, (accuracy, macs) in ACCURACIES.items():
            store.finish(a_row(key=design, design=design, network_key=design, accuracy=accuracy, macs=macs))
        best = a_row(key="std/affine", design="std/affine", network_key="std", accuracy=0.99, split="test", seed=9)
        store.finish(best)
        store.finish(a_row(key="l2/affine", design="l2/affine", network_key="l2", accuracy=0.95, backbone="other"))
    return url


def designs_of(done: Any) -> list[tuple[str, int]]:
    assert done.code == 0, done.err
    return [(row["design"], row["seed"]) for row in json.loads(done.out)]


def test_the_best_of_a_search_and_the_baselines_are_trained_with_every_seed(
    attnas: Attnas, tree: Path, searched: str
) -> None:
    words = ("retrain", "--from", searched, "--top", 2, "--baseline", "se,none", "--seeds", 2, "--data", tree, "--json")
    done = attnas(*words, *SMALL)
    expected = ["max/conv1d", "avg/conv1d", "avg/mlp-r16", "none"]
    assert designs_of(done) == [(design, seed) for seed in (0, 1) for design in expected]
    assert "synthetic at 32 px, validation split, resnet8" in done.err and "1 other(s) there" in done.err
    with open_store("sqlite:///attnas.db") as store:
        rows = store.rows()
    assert len(rows) == 8 and {(row.status, row.recipe, row.split) for row in rows} == {("complete", "smoke", "test")}
    assert len(list(Path("retrain").iterdir())) == 8
    again = attnas(*words, *SMALL)
    assert again.out == done.out and again.err.count("nothing was trained") == 8


def test_the_front_of_a_search_is_trained(attnas: Attnas, tree: Path, searched: str) -> None:
    """avg/mlp-r4 costs more than max/conv1d and gives less."""
    done = attnas("retrain", "--from", searched, "--front", "--data", tree, "--json", *SMALL)
    assert [design for design, _ in designs_of(done)] == ["none", "avg/conv1d", "max/conv1d"]


def test_a_condition_chooses_among_the_rows_of_a_search(attnas: Attnas, tree: Path, searched: str) -> None:
    where = ("--where", "backbone == 'other'")
    done = attnas("retrain", "--from", searched, "--top", 1, *where, "--data", tree, "--json", *SMALL)
    assert designs_of(done) == [("l2/affine", 0)]


def test_designs_that_are_named_twice_are_trained_once(attnas: Attnas, tree: Path) -> None:
    done = attnas("retrain", "se", "avg/mlp-r16", "--baseline", "none,se", "--data", tree, "--json", *SMALL)
    assert designs_of(done) == [("avg/mlp-r16", 0), ("none", 0)]


def test_several_trainings_are_told_a_line_each(attnas: Attnas, tree: Path) -> None:
    """And the design's mean. Oracle: by hand, with Student's t of one degree of freedom (12.706), cut at 0 and 100."""
    done = attnas("retrain", "none", "--seeds", 2, "--first-seed", 5, "--data", tree, *SMALL)
    *lines, mean, more = done.out.splitlines()
    assert [line.rpartition(":")[0] for line in lines] == [
        f"none in resnet8 on val of folder:pets, seed {seed}" for seed in (5, 6)
    ]
    first, second = (float(line.rpartition(" ")[2].rstrip("%")) for line in lines)
    half = 12.706 * abs(first - second) / 2
    middle = (first + second) / 2
    numbers = [float(number) for number in re.findall(r"([0-9.]+)%", mean)]
    assert numbers == pytest.approx([middle, max(0, middle - half), min(100, middle + half)], abs=0.1)
    assert mean.startswith("none: mean") and "of 2 seeds" in mean
    asked = attnas(*shlex.split(more.partition("`")[2].strip("`"))[1:])
    assert asked.code == 0 and "none" in asked.out


def test_before_a_training_it_is_said_by_what_it_is_carried_out_and_afterwards_by_what_it_was(
    attnas: Attnas, tree: Path
) -> None:
    words = ("retrain", "none", "--seed", 3, "--data", tree, *SMALL)
    [told] = [line for line in attnas(*words).err.splitlines() if line.startswith("none in")]
    assert "seed 3: 12 images of folder:pets, 6 classes; recipe smoke (" in told
    assert ", 1 epoch, batch 8, rate 0.003125; float32 on " in told
    again = attnas(*words).err
    assert "none, seed 3: complete in the storage already (float32 on " in again and "weights are not" not in again
    shutil.rmtree("retrain/none-resnet8-3")
    gone = attnas(*words)
    assert gone.code == 0 and "weights are not in retrain/none-resnet8-3: another --output says where" in gone.err
    anew = attnas(*words, "--storage", "sqlite:///again.db")
    assert anew.code == 0 and Path("retrain/none-resnet8-3/model.pt").exists()


def test_a_dry_run_says_what_is_left_how_long_and_how_large_and_writes_nothing(attnas: Attnas, tree: Path) -> None:
    """Oracle for the disk: what a real training then leaves; its best and its last epoch may be one file."""
    words = ("--data", tree, *SMALL, "--keep", 1)
    told = json.loads(attnas("retrain", "none", "se", *words, "--dry-run", "--json").out)
    assert (told["designs"], told["trainings"], told["left"]) == (["none", "avg/mlp-r16"], 2, 2)
    assert not Path("retrain").exists() and not Path("attnas.db").exists()
    assert told["seconds"] == 2 * told["seconds_each"] > 0 and told["measured"]["images_per_second"] > 0
    assert attnas("retrain", "none", *words).code == 0
    left = {path.stat().st_ino: path.stat().st_size for path in Path("retrain/none-resnet8-0").glob("*.pt")}
    assert sum(left.values()) <= 1.01 * told["disk_bytes_each"] < 2.1 * sum(left.values())
    said = attnas("retrain", "none", "se", *words, "--dry-run").out
    assert "2 trainings of 2 designs, 1 in the storage already, 1 left: about" in said and "images/s" in said
    assert "nothing is left to train" in attnas("retrain", "none", *words, "--dry-run").out


def test_what_diverges_is_told_in_a_line_and_its_row_holds_the_traceback(attnas: Attnas, tree: Path) -> None:
    done = attnas("retrain", "none", "--data", tree, *SMALL, "--learning-rate", 1e30, "--batch-size", 4)
    assert done.code == 1 and "Traceback" not in done.err
    [line] = [line for line in done.err.splitlines() if "failed (nan)" in line]
    assert "the loss is nan" in line and "--retry-failed" in line and "A lower --learning-rate" in line
    assert "Traceback" in attnas("results", "show", "none").out


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "nothing to retrain: name designs"),
        (["--top", 3], "name its storage by --from URL"),
        (["se", "--where", "seed == 1"], "name its storage by --from URL"),
        (["--from", "SEARCHED"], "--from takes one of --top N and --front"),
        (["--from", "SEARCHED", "--top", 1, "--front"], "--from takes one of --top N and --front"),
        (["--from", "SEARCHED", "--top", 1, "--where", "accuracy > 2"], "no complete row of the validation split"),
        (["--from", "sqlite:///nothing.db", "--top", 1], "does not exist"),
        (["nonsense"], "nonsense"),
        (["se", "--recipe", "fcaa"], "allowed: fca, rsb-a3, rsb-a2, smoke"),
        (["se", "--set", "mixup=-1"], "mixup: -1.0 given; allowed: 0"),
        (["se", "--set", "epochs=3", "--epochs", 0], "epochs: 0 given"),
        (["se", "--set", "base_batch=0"], "base_batch: 0 given; allowed: 1"),
        (["se", "--set", "auto_augment=foo"], "auto_augment: 'foo' is none of timm's"),
        (["se", "--set", "mixupp=0.2"], "'mixupp' is no field; did you mean mixup?"),
        (["none", "haar-d6-all/mlp-r16"], "with 16 channels' is not possible"),
        (
            ["haar-d6-all-each/mlp-r16", "--image-size", 64],
            "in resnet8 at 64 px, where recipe fca trains: wavelet depth",
        ),
    ],
)
def test_what_names_no_training_is_refused_before_anything_is_made(
    attnas: Attnas, tree: Path, searched: str, words: list[Any], said: str
) -> None:
    given = [searched if word == "SEARCHED" else word for word in words]
    done = attnas("retrain", *given, "--data", tree, "--backbone", "resnet8")
    assert done.code == 2 and said in done.err and not Path("attnas.db").exists() and not Path("retrain").exists()


def test_of_several_processes_one_writes_and_speaks_and_all_end_together(tree: Path, tmp_path: Path) -> None:
    words = ("retrain", "se", "none", "--data", "pets", *SMALL, "--storage", "sqlite:///rows.db")
    first, other = commanded(tmp_path, *words)
    assert (first[0], other[0]) == (0, 0) and other[1:] == ("", ""), (first, other)
    assert first[2].count("epoch 1/1") == 2 and first[1].count("top-1") == 2
    with open_store(f"sqlite:///{tmp_path}/rows.db") as store:
        rows = store.rows()
    assert [(row.status, row.attempts) for row in rows] == [("complete", 1)] * 2
    assert all(row.hardware.startswith("2 x ") for row in rows)
    again = commanded(tmp_path, *words)
    assert [code for code, *_ in again] == [0, 0] and again[0][2].count("nothing was trained") == 2
    wrong = commanded(tmp_path, *words, "--accumulate", 3)
    assert [code for code, *_ in wrong] == [2, 2]
    assert "8 over 2 x 3 batches" in wrong[0][2] and wrong[1][1:] == ("", "")
    nowhere = commanded(tmp_path, *words, "--from", "sqlite:///none.db", "--top", 1)
    assert [code for code, *_ in nowhere] == [2, 2] and "none.db" in nowhere[0][2]
