"""Commands that texts suggest are typed as they stand, and mean the rows that they were suggested for.

Oracle: what the command line makes of them, on a storage where every default would mean something else.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confirmations import FLOAT
from retrain_tree import make_tree
from test_results_row import a_row

from results import open_store
from results.recipes import KeptRecipe
from results.suggest import asked_of, command

URL = "sqlite:///mine.db"


@pytest.fixture
def typed(attnas: Callable[..., Any], world: Any) -> Iterator[Callable[[str], Any]]:
    """`typed("attnas ...")` where two designs were trained with a seed each by a changed recipe; nothing is trained."""
    own = ["--recipe", "smoke", "--epochs", "2", "--set", "batch_size=32", "--storage", URL, *FLOAT]
    words = ["--data", "synthetic", "--backbone", "resnet8", "--image-size", "16", *own]
    assert attnas("train", "none", "max/conv1d", *words).code == 0
    yield lambda text: attnas(*shlex.split(text.removeprefix("attnas ")))
    asked_of()


def suggested(done: Any) -> str:
    """The last in backquotes, or after a colon."""
    found: str = re.findall(r"(?:`|: )(attnas [^`\n]*)", done.out + done.err)[-1]
    return found


def contexts() -> list[list[Any]]:
    """Of the validation split."""
    with open_store(URL, read_only=True) as store:
        every = store.distinct("split", "data_hash", "backbone", "recipe_hash", "epochs", "schedule_epochs")
    return [context for split, *context in every if split == "validation"]


@pytest.mark.parametrize(
    "question",
    [
        ["results", "top"],
        ["results", "noise"],
        ["results", "plot", "noise", "-o", "noise.png"],
        ["results", "compare", "none", "max/conv1d"],
        ["results", "compare", "none", "eca"],
    ],
    ids=" ".join,
)
def test_a_suggested_training_joins_the_rows_it_was_suggested_for(
    attnas: Callable[..., Any], typed: Callable[[str], Any], question: list[str]
) -> None:
    done = typed(suggested(attnas(*question, "--storage", URL)))
    assert done.code == 0, done.err
    with open_store(URL, read_only=True) as store:
        assert len(store.rows()) > 2 and len(contexts()) == 1


def test_every_command_of_a_report_is_one_that_can_be_typed(
    attnas: Callable[..., Any], typed: Callable[[str], Any]
) -> None:
    assert attnas("results", "report", "-o", "page.html", "--storage", URL).code == 0
    said = re.findall(r"<code>(attnas [^<]+)</code>", Path("page.html").read_text())
    words = {tuple(text.split()[1:3]) for text in said}
    assert {("train", "none"), ("confirm", "--top"), ("ablate", "max/conv1d")} <= words
    for text in dict.fromkeys(said):
        if text != "attnas results report":  # what has made the page
            done = typed(text + " --dry-run" if "ablate" in text else text)  # a hundred trainings
            assert done.code == 0, (text, done.err)
    assert len(contexts()) == 1


def test_what_is_to_be_looked_at_or_deleted_is_named_in_its_own_storage(
    attnas: Callable[..., Any], typed: Callable[[str], Any]
) -> None:
    with open_store(URL) as store:
        store.finish(a_row(status="failed", failure="oom", accuracy=None, loss=None, seed=5, error="no room"))
        store.studies.begin({"kind": "later"}, "a plan", "a plan")
    listed = suggested(attnas("study", "list", "--storage", URL))
    assert listed == f"attnas study delete 'a plan' --storage {URL}" and typed(f"{listed} --yes").code == 0
    done = typed(suggested(attnas("results", "plot", "front", "-o", "x.png", "--where", "seed == 5", "--storage", URL)))
    assert done.code == 0 and "failed" in done.out


@pytest.mark.parametrize("question", [["top"], ["noise"], ["compare", "none", "se"]], ids=" ".join)
def test_under_retrained_rows_a_retraining_is_suggested_that_joins_them(
    attnas: Callable[..., Any], tmp_path: Path, question: list[str]
) -> None:
    """Another storage is asked before theirs; PATH is where the tree lies."""
    make_tree(tmp_path / "pets", train=2)
    how = ["--workers", 0, "--precision", "float32", "--device", "cpu", "--threads", 1]
    own = ["--backbone", "resnet8", "--image-size", 16, "--recipe", "smoke", "--epochs", 1, "--batch-size", 8]
    with open_store("sqlite:///other.db") as store:
        store.finish(a_row(accuracy=0.1))
    assert attnas("retrain", "none", "eca", "--data", "pets", *own, *how, "--storage", URL).code == 0
    both = [] if question == ["noise"] else ["--storage", "sqlite:///other.db"]
    asked = suggested(attnas("results", *question, *both, "--storage", URL, "--where", "split == 'test'"))
    assert asked.startswith("attnas retrain ") and asked.endswith(f"--epochs 1 --storage {URL}")
    done = attnas(*shlex.split(asked.removeprefix("attnas ").replace("PATH/", "")), *how)
    assert done.code == 0, done.err
    with open_store(URL, read_only=True) as store:
        assert len(store.rows()) > 2 and len(store.distinct("data_hash", "recipe_hash", "image_size", "epochs")) == 1


def test_a_recipe_of_another_kind_of_training_is_said_to_be_with_those_that_do(
    attnas: Callable[..., Any], typed: Callable[[str], Any]
) -> None:
    kept = KeptRecipe(hash="5273feda32d0", kind="RetrainRecipe", name="fca", content={})
    with open_store(URL) as store:
        store.recipes.keep(kept)
    told = attnas("train", "se", "--recipe", kept.hash, "--epochs", 1, "--storage", URL).err
    assert "is of `attnas retrain`" in told
    told = attnas("train", "se", "--recipe", "0" * 12, "--epochs", 1, "--storage", URL).err
    assert "(smoke)" in told and kept.hash not in told


def test_words_of_a_stranger_are_one_word_and_passwords_are_none() -> None:
    row = {"data": "x; rm -rf ~", "backbone": "$(id)#1", "image_size": 32, "recipe_hash": "r", "schedule_epochs": 3}
    asked_of("postgresql://me:secret@host/nas")
    try:
        text = command("train", "a | b", like=row)
    finally:
        asked_of()
    words = shlex.split(text)
    assert words[:4] == ["attnas", "train", "a | b", "--data"] and "secret" not in text
    assert words[4:7] == ["x; rm -rf ~", "--backbone", "$(id)"] and "--image-size" not in words


def test_of_a_folder_only_the_place_is_left_to_be_filled_in() -> None:
    row = {"data": "folder:tiny", "backbone": "b", "image_size": 64, "recipe_hash": "r", "schedule_epochs": 3}
    assert command("confirm", like=row) == (
        "attnas confirm --data folder:PATH/tiny --backbone b --image-size 64 --recipe r --epochs 3"
    )


def test_the_storage_of_a_command_is_suggested_by_no_later_one(attnas: Any) -> None:
    assert attnas("study", "list", "--storage", "sqlite:///none.db").code == 2
    assert command("results top") == "attnas results top"
