"""`attnas confirm` as it is typed: which rows are meant, what is said, what is gone on with."""

import json
import os
import signal
import time

import pytest
import sqlalchemy as sa
import typer
from confirmations import FLOAT, SETTINGS, SMALL

from results import open_store
from results.table import RECIPES
from search.machine import interruptible


def test_the_command_confirms_tells_and_tells_again(attnas, world, tree, monkeypatch):
    data = ("--data", f"folder:{tree}")
    attnas(
        "train", "max/conv1d", "avg/conv1d", "none", *data, *SMALL, *SETTINGS, "--epochs", 2, "--precision", "float32"
    )
    words = ("confirm", "--top", 2, "--seeds", 3, *data, *FLOAT)
    done = attnas(*words)
    assert done.code == 0 and "Winner: max/conv1d." in done.out and "at most 5 % of such confirmations" in done.out
    assert "max/conv1d less none" in done.out and "by the spread pooled over these" in done.out
    assert "out after" in done.out
    assert "begun: confirm-folder-little-images" in done.err
    count = len(world.trained)
    again = attnas(*words, "--json")
    facts = json.loads(again.out)
    assert facts["winner"] == "max/conv1d" and len(world.trained) == count
    assert facts["report"]["gaps"][0]["n"] == 3 and facts["context"]["data"] == "folder:little-images"
    final = (*words, "--final", "--final-epochs", 3, "--final-seeds", 2)
    refused = attnas(*final)
    assert refused.code == 2 and "batch_size" in refused.err and len(world.trained) == count
    done = attnas(*final, "--final-set", "batch_size=6")
    assert done.code == 0 and "Once on the test split (test split, recipe full, 3 epochs" in done.out
    assert [split for _, _, split, _ in world.trained[count:]] == ["test"] * 6 and "attnas retrain" in done.out
    again = attnas(*final, "--final-set", "batch_size=5")
    assert again.code == 2 and "--second-look" in again.err
    listed = json.loads(attnas("study", "list", "--json").out)
    assert [facts["kind"] for facts in listed] == ["confirm", "final"]
    name = listed[0]["study"]
    assert "trainings (" in attnas("study", "show", name).out
    board = attnas("dashboard", "--study", name, "-o", "board.db")
    assert board.code == 2 and "no search" in board.err


def test_the_context_must_be_told_where_rows_cannot_tell_it(attnas, world, tree):
    data = ("--data", f"folder:{tree}")
    train = ("train", "max/conv1d", "none", *data, *SMALL, *FLOAT)
    attnas(*train, *SETTINGS, "--epochs", 2)
    done = attnas("confirm", *SETTINGS)
    assert done.code == 2 and "--data folder:PATH" in done.err
    with open_store("sqlite:///attnas.db") as store, store.turn() as turn:
        turn.connection.execute(sa.delete(RECIPES))  # as rows of earlier versions
    done = attnas("confirm", *data)
    assert done.code == 2 and "--set FIELD=VALUE" in done.err
    done = attnas("confirm", *data, "--backbone", "resnet20")
    assert done.code == 2 and "there are: folder:little-images at 12 px, resnet8" in done.err
    attnas(*train, *SETTINGS, "--epochs", 3)
    done = attnas("confirm", *data, *SETTINGS)
    assert done.code == 2 and "2 contexts have 2 complete rows each" in done.err and "--epochs" in done.err
    done = attnas("confirm", "--storage", "sqlite:///none.db")
    assert done.code == 2 and "none.db" in done.err


def test_the_same_command_stays_with_its_context_whatever_rows_come(attnas, world, tree):
    data = ("--data", f"folder:{tree}")
    train = ("train", "max/conv1d", "none", *data, *SMALL, *FLOAT, *SETTINGS)
    attnas(*train, "--epochs", 2)
    words = ("confirm", "--top", 1, "--seeds", 2, *data, *FLOAT, "--json")
    first = json.loads(attnas(*words).out)
    attnas(*train, "--epochs", 3, "--seeds", 20)
    count = len(world.trained)
    again = attnas(*words)
    assert json.loads(again.out)["study"] == first["study"] and len(world.trained) == count
    assert "1 other context fits too" in again.err
    attnas(*words, "--epochs", 3)
    refused = attnas(*words)
    assert refused.code == 2 and "2 contexts were asked the same before" in refused.err and "--epochs" in refused.err
    assert json.loads(attnas(*words, "--epochs", 2).out)["study"] == first["study"]


def test_a_folder_selects_the_rows_of_its_images(attnas, world, tree, tmp_path):
    """By content: more rows of other data, and of a folder of the same name, are not meant."""
    import shutil

    other = tmp_path / "other" / tree.name
    shutil.copytree(tree, other)
    next((other / "train").rglob("*.png")).unlink()
    words = (*SMALL, *FLOAT, *SETTINGS, "--epochs", 2)
    attnas("train", "max/conv1d", "none", "--data", f"folder:{tree}", *words)
    attnas("train", "max/conv1d", "none", "--data", f"folder:{other}", *words, "--seeds", 2)
    attnas("train", "max/conv1d", "none", "--data", "synthetic", "--backbone", "resnet8", *words[4:], "--seeds", 3)
    hashes = {}
    for path in (tree, other):
        done = attnas("confirm", "--top", 1, "--seeds", 2, "--data", f"folder:{path}", *FLOAT, "--json")
        assert done.code == 0, done.err
        hashes[path] = json.loads(done.out)["context"]["data_hash"]
    with open_store("sqlite:///attnas.db") as store:
        there = store.frame("data == 'folder:little-images'").groupby("data_hash").size()
    assert len(set(hashes.values())) == 2 and set(there.index) == set(hashes.values())
    shutil.rmtree(tmp_path / "other")
    shutil.copytree(tree, tmp_path / "third")
    next((tmp_path / "third" / "train").rglob("*.png")).unlink()
    (tmp_path / "third" / "val").rename(tmp_path / "third" / "gone")
    done = attnas("confirm", "--top", 1, "--seeds", 2, "--data", f"folder:{tmp_path}/third", *FLOAT)
    assert done.code == 2 and "no complete row is of what was asked for" in done.err


def test_a_failed_training_of_a_final_is_begun_again_when_asked(attnas, world, tree):
    data = ("--data", f"folder:{tree}")
    attnas("train", "max/conv1d", "none", *data, *SMALL, *SETTINGS, "--epochs", 2, *FLOAT)
    full = ("--final", "--final-epochs", 3, "--final-seeds", 1, "--final-set", "batch_size=6")
    words = ("confirm", "--top", 1, "--seeds", 2, *data, *FLOAT)
    seed = json.loads(attnas(*words, "--json").out)["report_seeds"][-1] + 1
    world.fails = {("max/conv1d", seed): "oom"}
    done = attnas(*words, *full)
    assert done.code == 2 and "--retry-failed" in done.err
    world.fails = {}
    done = attnas(*words, *full, "--retry-failed")
    assert done.code == 0 and "begun again: 1 failed training of the final" in done.err
    assert "nothing can be said" not in done.out and "second look" not in done.out + done.err
    [row] = (row for row in world.trained[-3:] if row[0] == "max/conv1d")
    assert row == ("max/conv1d", seed, "test", "full")
    world.fails = {("avg/mlp-r16", seed + 1): "oom"}  # the last training of all
    done = attnas(*words, *full, "--second-look")
    assert done.code == 2 and "second look" in done.err
    world.fails, count = {}, len(world.trained)
    done = attnas(*words, *full, "--second-look", "--retry-failed")
    assert done.code == 0 and "second look" in done.err and "Not the first look" in done.out
    assert [(text, its) for text, its, _, _ in world.trained[count:]] == [("avg/mlp-r16", seed + 1)], "no third look"


def test_data_without_a_test_split_are_refused_before_anything_is_trained(attnas, world, tree):
    import shutil

    shutil.rmtree(tree / "val")
    data = ("--data", f"folder:{tree}")
    attnas("train", "max/conv1d", "none", *data, *SMALL, *SETTINGS, "--epochs", 2, *FLOAT)
    count = len(world.trained)
    done = attnas("confirm", *data, *SETTINGS, "--final")
    assert done.code == 2 and "no test split" in done.err and len(world.trained) == count


def test_on_sigterm_a_long_command_ends_as_on_ctrl_c_and_says_so(capsys):
    """Oracle: a real signal to this process; 143 is 128 + SIGTERM, as a shell says."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(typer.Exit) as ended, interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    assert ended.value.exit_code == 143 and "what was finished is kept" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before
