"""`attnas data`: counts by class, and by name what a training could not read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from retrain_tree import CLASSES, make_tree

Attnas = Callable[..., Any]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = make_tree(tmp_path / "pets")
    (tree / "train" / "b" / "9.jpg").write_bytes((tree / "train" / "b" / "1.jpg").read_bytes())
    return tree


@pytest.mark.parametrize("workers", [0, 2])
def test_what_can_not_be_read_is_named_with_the_reason_and_the_code_is_1(
    attnas: Attnas, tree: Path, workers: int
) -> None:
    """A file cut in its middle, one of no image, and an image of 16 bits: its header is whole each time but once."""
    cut, none, deep = tree / "train" / "a" / "1.jpg", tree / "val" / "c" / "0.jpg", tree / "train" / "f" / "x.png"
    cut.write_bytes(cut.read_bytes()[:-400])
    none.write_bytes(b"nothing")
    Image.new("I;16", (9, 9)).save(deep)
    done = attnas("data", "pets", "--workers", workers)
    assert done.code == 1
    assert "3 of 38 images can't be read (retrain leaves them out with --skip-corrupt 3):" in done.out
    named = [line for line in done.out.splitlines() if line.startswith("  /")]
    assert [line.split(": ")[0].strip() for line in named] == [str(cut), str(deep), str(none)]
    assert "truncated" in named[0] and named[2].endswith("cannot identify image file")


def test_images_are_counted_by_class_in_words_and_in_json(attnas: Attnas, tree: Path) -> None:
    done = attnas("data", "folder:pets", "--workers", 0)
    assert done.code == 0 and "all 37 images can be read" in done.out
    assert "4 of a" in done.out and "5 of b" in done.out and "6 classes" in done.out
    found = json.loads(attnas("data", "pets", "--workers", 0, "--json").out)
    assert found["images"]["train"] == dict.fromkeys(CLASSES, 4) | {"b": 5}
    assert (found["classes"], found["unreadable"]) == (6, [])


def test_to_count_opens_no_image(attnas: Attnas, tree: Path) -> None:
    for path in tree.rglob("*.jpg"):
        path.write_bytes(b"nothing")
    done = attnas("data", "pets", "--count", "--json")
    assert done.code == 0 and json.loads(done.out)["unreadable"] is None


def test_of_a_tree_with_an_empty_class_the_table_shows_it_before_it_is_refused(attnas: Attnas, tree: Path) -> None:
    for path in (tree / "val" / "c").iterdir():
        path.unlink()
    done = attnas("data", "pets")
    assert done.code == 2 and "without an image" in done.err and "0 of c" in done.out and "5 of b" in done.out


def test_a_part_of_a_tree_is_said_to_be_one_and_an_empty_folder_what_is_needed(attnas: Attnas, tree: Path) -> None:
    assert f"It is a part of {tree}: give that." in attnas("data", "pets/train").err
    Path("empty").mkdir()
    told = attnas("data", "empty").err
    assert "and PATH/val/<class>/*.jpg, or Parquet" in told and "if there is a test set" not in told


def test_what_is_no_set_of_images_is_refused(attnas: Attnas, tmp_path: Path) -> None:
    done = attnas("data", "nowhere")
    assert done.code == 2 and "there is no such directory" in done.err and "Traceback" not in done.err
