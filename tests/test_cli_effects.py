"""`attnas results effects` as typed. Oracle: the truth that generated the rows, and `results.effects`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from conftest import Done
from test_effects import searched, trained
from test_results_ranking import frame_of

from results import Row, open_store
from results.effects import effects

Attnas = Callable[..., Done]


def kept(rows: list[Row]) -> None:
    with open_store("sqlite:///attnas.db") as store:
        for row in rows:
            store.finish(row)


@pytest.mark.parametrize("command", ["results effects", "ablate"])
def test_help_has_an_example(attnas: Attnas, command: str) -> None:
    done = attnas(*command.split(), "--help")
    assert done.code == 0 and f"Example: attnas {command}" in done.out


def test_axes_levels_and_what_they_mean_are_printed(attnas: Attnas) -> None:
    kept(searched(0.02))
    done = attnas("results", "effects")
    assert done.code == 0, done.err
    assert "synthetic at 32 px, validation split, resnet8, recipe proxy" in done.out
    assert "Beyond luck: squeeze" in done.out and "Optuna's importance" in done.out
    levels = [line.split()[0] for line in done.out.partition("\n\nsqueeze ")[2].partition("\n\n")[0].splitlines()[1:]]
    assert levels[0] == "dct" and set(levels) == {"dct", "avg", "max"}  # the best first
    assert "No pair of axes acts together beyond luck" in done.out and "placement: one level" in done.out


def test_what_is_luck_is_called_luck(attnas: Attnas) -> None:
    kept([row for row in searched(0.1) if "dct" not in row.key and "-r4" not in row.key])
    assert "No axis stands out beyond luck" in attnas("results", "effects").out


def test_json_and_csv_hold_what_the_frames_hold(attnas: Attnas) -> None:
    rows = searched(0.02)
    kept(rows)
    [facts] = json.loads(attnas("results", "effects", "--json", "--interactions").out)
    lines = list(csv.DictReader(io.StringIO(attnas("results", "effects", "--csv").out)))
    expected = effects(frame_of(rows))
    for found in (facts["effects"], lines):
        assert [line["level"] for line in found] == list(expected["level"])
        assert [float(line["effect"]) for line in found] == pytest.approx(list(expected["effect"]))
    assert facts["data"] == "synthetic" and facts["designs"] == len(rows)
    assert facts["interactions"] and sum(facts["importances"].values()) == pytest.approx(1)
    cells = list(csv.DictReader(io.StringIO(attnas("results", "effects", "--csv", "--interactions").out)))
    assert len(cells) == len(facts["interactions"])
    assert "squeeze x excitation" in attnas("results", "effects", "--interactions").out


def test_rungs_with_more_designs_are_pointed_at(attnas: Attnas) -> None:
    kept([*searched(0.02, status="stopped", epochs=3), *searched(0.01)[:20]])
    assert "measured were" not in attnas("results", "effects", "--epochs", 3).out
    number = len(searched())
    assert f"measured were {number} at 3 epochs (--epochs)" in attnas("results", "effects").out


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--on", "macs"], "accuracy, loss"),
        (["--axes", "squeeze,deepth"], "mean depth?"),
        (["--epochs", "7"], "were measured: 10"),
    ],
)
def test_bad_questions_are_refused(attnas: Attnas, words: list[str], named: str) -> None:
    kept([trained("avg/mlp-r4"), trained("max/mlp-r4")])
    done = attnas("results", "effects", *words)
    assert done.code == 2 and done.err.startswith("error: ") and named in done.err, done.err


@pytest.mark.parametrize("number", [9, 1000])
def test_no_text_of_a_storage_steers_the_terminal(attnas: Attnas, number: int) -> None:
    """Rows enough for effects and too few."""
    steers = "\x1b[2J\x1b]0;owned\x07\u202e"
    texts = dict.fromkeys(("data", "recipe", "hardware", "precision", "commit", "design"), steers)
    layered = trained("avg/mlp-r4 | max/mlp-r4")
    kept([replace(row, **texts, versions={steers: steers}) for row in [*searched(0.02)[:number], layered]])
    for words in (
        ["effects"],
        ["effects", "--interactions"],
        ["effects", "--json"],
        ["plot", "effects", "-o", "f.png"],
    ):
        done = attnas("results", *words)
        assert done.code in (0, 2) and not set(done.out + done.err) & set("\x1b\x07\u202e"), words
    assert "\\x1b[2J" in attnas("results", "effects").out


def test_two_axes_that_are_one_and_the_same_say_that_nothing_can_be_said(attnas: Attnas) -> None:
    kept([trained(f"{squeeze}/conv1d{k}@{place}", 0.5 + 0.01 * number)
          for number, k in enumerate(("", "-k3", "-k5", "-k7", "-k9", "-k11"))
          for squeeze, place in (("avg", "mid"), ("max", "before-norm"))])  # fmt: skip
    done = attnas("results", "effects", "--axes", "squeeze,placement")
    assert done.code == 0 and "Nothing can be said of any axis" in done.out
    assert "squeeze avg: can't be told from placement before-norm, placement mid" in done.out
