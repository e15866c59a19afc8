"""What `attnas results top` and `pareto` print beside the numbers: how sure they are, and of what they speak."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from test_results_row import a_row

from results import open_store

URL = "sqlite:///attnas.db"


def stored(*rows: dict[str, Any]) -> None:
    """In the folder one is in, a design under its own text."""
    with open_store(URL) as store:
        for row in rows:
            text = row.get("design", "none")
            store.finish(a_row(**{"design": text, "key": text, "network_key": text} | row))


def seeds(design: str, *accuracies: float, **other: Any) -> list[dict[str, Any]]:
    return [{"design": design, "seed": n, "accuracy": accuracy, **other} for n, accuracy in enumerate(accuracies)]


def test_an_interval_ends_where_no_accuracy_can_be(attnas: Callable[..., Any]) -> None:
    """Two seeds, 0.1 and 0.5: the mean is 30 %, Student's half-width 12.71 times their standard error of 20 points."""
    stored(*seeds("avg/mlp-r16", 0.1, 0.5))
    for words in (["top"], ["pareto"], ["top", "--markdown"]):
        assert "30.00 (0.00 to 100.00)" in attnas("results", *words).out
    [row] = json.loads(attnas("results", "top", "--json").out)
    assert (row["accuracy_low"], row["accuracy_high"]) == (0.0, 1.0)
    assert "± (or from to, where 0 or 100 % cuts it) is the 95 % interval" in attnas("results", "top").out
    stored(*seeds("none", 0.40, 0.44))
    by = attnas("results", "top", "--group-by", "reduction").out
    assert "± its 95 % interval" in by and "from to" not in by, "a group of one design has no interval"


def test_that_designs_are_not_seen_to_differ_is_said_once(attnas: Callable[..., Any]) -> None:
    """Equal means with luck between the seeds: all that the order shows is luck."""
    stored(*seeds("avg/mlp-r16", 0.40, 0.44), *seeds("avg/conv1d", 0.44, 0.40), *seeds("none", 0.45, 0.39))
    assert attnas("results", "top").out.count("not seen to differ") == 1
    stored(*seeds("dct-top16/mlp-r16", 0.80, 0.82))
    assert "not seen to differ" not in attnas("results", "top").out


def test_times_are_dates_to_read_and_numbers_for_programs(attnas: Callable[..., Any]) -> None:
    """Oracle: the standard library's own reading of the time; what no calendar has is a dash."""
    stored(*seeds("none", 0.4, started=1_700_000_000.25, finished=1e300))
    words = ("results", "query", "seed >= 0", "--columns", "started,finished")
    assert attnas(*words).out.split("\n")[1].split() == [*str(datetime.fromtimestamp(1_700_000_000)).split(), "-"]
    assert json.loads(attnas(*words, "--json").out) == [{"started": 1_700_000_000.25, "finished": 1e300}]


def test_published_designs_stand_beside_their_names(attnas: Callable[..., Any]) -> None:
    """Of lines that are shown; a design that is written as it is called, or has no name, has none there."""
    stored(*seeds("dct-top16/mlp-r16", 0.5), *seeds("avg/conv1d-k7", 0.4), *seeds("none", 0.3))
    rows = json.loads(attnas("results", "top", "--json").out)
    assert [(row["design"], row["preset"]) for row in rows] == [
        *(("dct-top16/mlp-r16", "fca-ts"), ("avg/conv1d-k7", None), ("none", None)),
    ]
    assert "dct-top16/mlp-r16  fca-ts  1" in attnas("results", "top").out
    assert attnas("results", "top", "--columns", "preset,n", "--sort", "preset", "-n", "1").out.count("fca-ts") == 1
    [line] = json.loads(attnas("results", "compare", "none", "fca-ts", "--json").out)
    assert (line["preset_a"], line["preset_b"]) == (None, "fca-ts")
    assert "fca-ts" in attnas("results", "compare", "none", "fca-ts", "--markdown").out
    assert "dct-top16/mlp-r16 (fca-ts)  key" in attnas("results", "show", "fca-ts").out
    assert "preset" not in attnas("results", "top", "--where", "design == 'none'").out


def test_a_rung_ranks_all_that_was_measured_there_and_nothing_else(attnas: Callable[..., Any]) -> None:
    """Three designs stop at 3 of 9 epochs, one goes on; a training of 3 epochs in all is another context."""
    rung = {"status": "stopped", "epochs": 3, "schedule_epochs": 9}
    for text, accuracy in (("none", 0.2), ("avg/conv1d", 0.4), ("avg/mlp-r16", 0.3)):
        stored(*seeds(text, accuracy, accuracy + 0.02, **rung))
    stored(
        *seeds("avg/mlp-r16", 0.7, epochs=9, schedule_epochs=9), *seeds("max/conv1d", 0.9, epochs=3, schedule_epochs=3)
    )
    rows = json.loads(attnas("results", "top", "--epochs", 3, "--json").out)
    assert [(row["design"], row["n"], row["schedule_epochs"]) for row in rows] == [
        *(("max/conv1d", 1, 3), ("avg/conv1d", 2, 9), ("avg/mlp-r16", 2, 9), ("none", 2, 9)),
    ]
    assert rows[1]["accuracy"] == pytest.approx(0.41) and rows[1]["accuracy_low"] < 0.41
    said = attnas("results", "top", "--epochs", 3).out
    assert "3 of 9 epochs" in said and "3 of 3 epochs" in said and said.count("Measured at a rung") == 1
    assert "0.7" not in said and "Measured at a rung" not in attnas("results", "top").out
    assert len(json.loads(attnas("results", "pareto", "--epochs", 3, "--json", "--minimise", "loss").out)) == 2
    [group] = json.loads(attnas("results", "top", "--epochs", 9, "--group-by", "squeeze", "--json").out)
    assert (group["squeeze"], group["rows"]) == ("avg", 1)
    assert "epochs at which rows were measured: 3, 9" in attnas("results", "top", "--epochs", 2).out
