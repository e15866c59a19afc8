"""`attnas ablate`, from what it says before it begins to the table at the end.

Most trainings give what they are told to; one is real.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Done
from pretended import pretend
from test_results_row import a_row

from results import open_store
from results.row import CONTEXT
from search import ablate, clock
from search_space import AttentionDesign
from search_space.words import neighbours
from trainers.environment import hardware, pick_device

Attnas = Callable[..., Done]

WORDS = ["--data", "synthetic", "--recipe", "smoke", "--backbone", "resnet8", "--precision", "float32"]


def test_a_dry_run_says_what_it_would_train_and_writes_nothing(attnas: Attnas, tmp_path: Path) -> None:
    done = attnas("ablate", "dct-top4/mlp-r8", "--axes", "reduction,selection", *WORDS, "--dry-run", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    expected = [text for axis in ("reduction", "frequencies") for text in neighbours_of("dct-top4/mlp-r8")[axis]]
    assert sorted(one["design"] for one in found["neighbours"]) == sorted(expected)
    assert found["left"] == found["trainings"] == 3 * (1 + len(expected))
    assert found["measured"] and 0 < found["seconds_each"] < 600
    assert not list(tmp_path.glob("*.db*"))


def test_a_dry_run_in_words(attnas: Attnas, untimed: None) -> None:
    said = attnas("ablate", "dct-top4/mlp-r8", "--axes", "reduction", *WORDS, "--dry-run")
    assert (
        "9 trainings, 0 already there, 9 still to do: about 18 s in one process (2 s each, measured on a few steps)"
        in said.out
    )
    assert "reduction    dct-top4/mlp-r16" in said.out


def test_what_rows_of_the_same_recipe_took_tells_the_time_before_a_dry_run_and_a_real_one(
    attnas: Attnas, monkeypatch: Any
) -> None:
    """Oracle: the median of 10, 20 and 90 seconds; no step is trained to tell the time."""
    pretend(monkeypatch)
    monkeypatch.setattr(clock, "short_trial", None)
    command = ["ablate", "avg/mlp-r16", "--axes", "reduction", *WORDS]
    assert attnas("train", "avg/mlp-r16", "--seeds", 3, *WORDS).code == 0
    with open_store("sqlite:///attnas.db") as store:
        for row, seconds in zip(store.rows(), (10.0, 90.0, 20.0), strict=True):
            store.finish(replace(row, seed=row.seed + 10, seconds=seconds, hardware=machine()))
            store.finish(replace(row, seed=row.seed + 20, seconds=1e6, hardware="of others"))
    ahead = "9 still to do: about 3 min in one process (20 s each, the median of 3 rows of the same recipe)"
    dry = attnas(*command, "--dry-run")
    assert ahead in dry.out and "reduction    avg/mlp-r4" in dry.out and number_of_rows() == 9
    found = json.loads(attnas(*command, "--dry-run", "--json").out)
    assert (found["seconds_each"], found["rows"], found["measured"], found["elsewhere"]) == (20.0, 3, False, False)
    assert ahead in attnas(*command).err and number_of_rows() == 18


def machine() -> str:
    return hardware(pick_device(None))


def test_the_last_seed_that_there_is_may_be_used(attnas: Attnas, untimed: None) -> None:
    command = ["ablate", "dct-top4/mlp-r8", "--axes", "reduction", *WORDS, "--dry-run", "--first-seed", 2**63 - 3]
    assert attnas(*command, "--seeds", 3).code == 0 and attnas(*command, "--seeds", 4).code == 2


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No few steps are trained to tell the time: an evaluation takes two seconds."""

    class Short:
        def seconds(self, epochs: float) -> float:
            return 2.0

    monkeypatch.setattr(clock, "short_trial", lambda *_: Short())


def neighbours_of(text: str) -> dict[str, list[str]]:
    return neighbours(AttentionDesign.parse(text))


def test_neighbours_are_trained_once_with_common_seeds_and_compared(
    attnas: Attnas, monkeypatch: Any, untimed: None
) -> None:
    """Oracle: `pretended.quality`, by which dct is better by 10 points, conv1d too."""
    pretend(monkeypatch)
    command = ["ablate", "avg/mlp-r16", "--axes", "squeeze,reduction", *WORDS, "--first-seed", 5]
    done = attnas(*command, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    gaps = {line["design"]: line["difference"] for line in found["lines"][1:]}
    assert found["seeds"] == [5, 6, 7] and {"max/mlp-r16", "avg/mlp-r4", "dct-top16/mlp-r16"} <= gaps.keys()
    assert all(gap == pytest.approx(0.1 * design.startswith("dct")) for design, gap in gaps.items())
    again = attnas(*command)
    trainings = 3 * len(found["lines"])
    assert f"{trainings} trainings, {trainings} already there, 0 still to do" in again.err and "smoke" in again.out
    assert "Better than the design, beyond luck: dct-" in again.out
    with open_store("sqlite:///attnas.db") as store:
        rows = store.rows()
    assert len(rows) == trainings and {row.seed for row in rows} == {5, 6, 7}


def test_the_seeds_are_fresh_and_the_same_command_goes_on_with_them(
    attnas: Attnas, monkeypatch: Any, untimed: None
) -> None:
    """The seeds that made the design look good are none of them; more seeds add to what was trained."""
    pretend(monkeypatch)
    searched = rows_up_to_seed_3(attnas)
    command = ["ablate", "avg/mlp-r16", "--axes", "reduction", *WORDS]
    dry = attnas(*command, "--dry-run", "--json")
    assert json.loads(dry.out)["seeds"] == [4, 5, 6] and not json.loads(dry.out)["studied"]
    first = json.loads(attnas(*command, "--seeds", 2, "--json").out)
    assert first["seeds"] == [4, 5] and first["studied"] == []
    each = len(first["lines"])
    assert number_of_rows() == searched + 2 * each
    assert "0 still to do" in attnas(*command, "--seeds", 2).err and number_of_rows() == searched + 2 * each
    assert json.loads(attnas(*command, "--json").out)["seeds"] == [4, 5, 6]
    assert number_of_rows() == searched + 3 * each
    assert "ablate-synthetic-resnet8-smoke-3" in attnas("study", "list").out
    shown = attnas("study", "show", "ablate-synthetic-resnet8-smoke-3")
    assert shown.code == 0 and f"{2 * each} trainings" in shown.out, shown.err
    assert "a plan to ablate" in attnas("dashboard", "-o", "d.db", "--study", "ablate-synthetic-resnet8-smoke-3").err


def test_of_two_that_begin_at_once_both_take_the_same_seeds() -> None:
    """The second has looked for plans before the first kept its own, and for seeds after."""
    names = {name: getattr(a_row(), name) for name in ("data", "recipe", *CONTEXT)}
    named = SimpleNamespace(name="some", epochs=3)
    setting: Any = SimpleNamespace(context=names, backbone="resnet8", data=named, recipe=named)
    made = ablate.Ablation("n0", dict.fromkeys(("n0", "n1"), AttentionDesign.parse("avg/mlp-r16")), {"n1": "reduction"})
    with open_store("sqlite://") as store:
        assert ablate.begin(made, 3, setting, store) == [0, 1, 2]
        store.studies.begin(store.studies.list()[0].config | {"seeds": [3, 4, 5]}, None, "late")
        assert ablate.begin(made, 3, setting, store) == [0, 1, 2]
        assert ablate.seeds_ahead(made, 7, setting, store) == [0, 1, 2, 3, 4, 5, 6]
        other_axis, other = replace(made, axis_of={"n1": "squeeze"}), replace(made, base="n1")
        assert ablate.begin(other_axis, 3, setting, store) == [0, 1, 2], "the design is not trained again for it"
        assert ablate.begin(other, 3, setting, store) == [6, 7, 8]


def test_seeds_that_a_study_trained_the_design_with_are_said(attnas: Attnas, monkeypatch: Any, untimed: None) -> None:
    pretend(monkeypatch)
    rows_up_to_seed_3(attnas)
    command = ["ablate", "avg/mlp-r16", "--axes", "reduction", *WORDS, "--seeds", 2, "--first-seed", 3]
    done = attnas(*command)
    assert "With seed 3 a study had trained the design before" in done.err
    assert "With seed 3 a study had trained the design before" in done.out
    assert json.loads(attnas(*command, "--json").out)["studied"] == [3]


def rows_up_to_seed_3(attnas: Attnas) -> int:
    """The design trained by hand with seed 0 and by a search with seed 3; how many rows there are then."""
    assert attnas("train", "avg/mlp-r16", *WORDS).code == 0
    with open_store("sqlite:///attnas.db") as store:
        [row] = store.rows()
        store.finish(replace(row, seed=3, study="a search"))
    return number_of_rows()


def number_of_rows() -> int:
    with open_store("sqlite:///attnas.db") as store:
        return len(store.rows())


def test_no_text_of_a_storage_steers_the_terminal(attnas: Attnas, monkeypatch: Any, untimed: None) -> None:
    """Every text that a row shows holds escape sequences; what is told apart by hashes is not touched."""
    pretend(monkeypatch, fails=lambda design: design.reduction == 4)
    command = ["ablate", "avg/mlp-r16", "--axes", "reduction,squeeze", *WORDS, "--seeds", 2]
    assert attnas(*command).code == 0
    steers = "\x1b[2J\x1b]0;owned\x07\u202e"
    shown = ", ".join(
        f"{name} = ?1" for name in ("design", "data", "recipe", "hardware", "precision", "error", "owner")
    )
    with closing(sqlite3.connect("attnas.db")) as connection, connection:
        connection.execute(f"UPDATE evaluations SET {shown}", (steers,))
    for words in ([], ["--dry-run"], ["--json"], ["--seeds", 3]):
        done = attnas(*command, *words)
        assert done.code == 0 and not set(done.out + done.err) & set("\x1b\x07\u202e"), words
    assert "\\x1b[2J" in attnas(*command).out


def test_a_neighbour_that_fails_is_said_and_does_not_stop_the_others(
    attnas: Attnas, monkeypatch: Any, untimed: None
) -> None:
    pretend(monkeypatch, fails=lambda design: design.reduction == 4)
    done = attnas("ablate", "avg/mlp-r16", "--axes", "reduction", *WORDS, "--seeds", 2)
    assert done.code == 0, done.err
    assert "2 trainings failed" in done.out and "avg/mlp-r8" in done.out


def test_a_real_ablation_of_real_trainings(attnas: Attnas, tree: Path) -> None:
    small = ["--backbone", "resnet8", "--image-size", 8, "--precision", "float32", "--set", "batch_size=16"]
    command = ["ablate", "avg/conv1d", "--axes", "kernel", "--data", f"folder:{tree}", *small, "--epochs", 1]
    done = attnas(*command, "--seeds", 2)
    assert done.code == 0, done.err
    assert "folder:little-images at 8 px, validation split, resnet8" in done.out
    assert "avg/conv1d-k7" in done.out and "avg/conv1d-k3" not in done.out  # ECA's own kernel there: the same network
    assert "hardly known itself (1 degree of freedom)" in done.out
    one = attnas(*command, "--seeds", 1)
    assert one.code == 0 and "Nothing tells luck from difference" in one.out


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["avg/mlp-r16", "--axes", "colour"], ["'colour' does not exist", "Axes: squeeze, wavelet, depth"]),
        (["avg/mlp-r16", "--axes", "squeeze,reductoin"], ["'reductoin'", "did you mean reduction?"]),
        (["avg/mlp-r16", "--axes", "depth"], ["no axis depth", "squeeze, reduction, excitation"]),
        (["simam", "--axes", "reduction"], ["no axis reduction", "it has: placement"]),
        (["none"], ["none has no axis", "attnas ablate se"]),
        (["avg/mlp-r16 | max/mlp-r16"], ["a design for each place"]),
        (["avg/mlp-r16", "--seeds", "3", "--first-seed", "-1"], ["seed", "-1"]),
        (["avg/mpl-r16"], ["avg/mlp-r16"]),
    ],
)
def test_what_cannot_be_ablated_is_refused_with_what_can_before_anything_is_loaded(
    attnas: Attnas, words: list[str], named: list[str]
) -> None:
    done = attnas("ablate", *words, *WORDS, "--data", "folder:/nowhere")
    assert done.code == 2 and all(word in done.err for word in named), done.err
    assert "Traceback" not in done.err and not Path("attnas.db").exists()
