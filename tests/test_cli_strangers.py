"""Storages that anybody may have written, asked and shown: nothing steers the terminal, nothing ends in a traceback."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from results import open_store

STEERS = "\x1b[2J\x1b]0;owned\x07"


@pytest.mark.parametrize("curves", ["[{}]", '[{"epoch": "x"}]', "[1]", "{}", '[{"epoch": 1, "loss": null}]'])
@pytest.mark.parametrize("versions", ["[]", '{"torch": [2]}'])
def test_show_reads_whatever_is_in_curves_and_versions(filled: Callable[..., Any], curves: str, versions: str) -> None:
    with closing(sqlite3.connect("attnas.db")) as connection, connection:
        connection.execute("UPDATE evaluations SET curves = ?, versions = ?", (curves, versions))
    done = filled("show", "se")
    assert done.code == 0 and done.err == "" and ("loss -" in done.out) == curves.startswith("[")


def test_no_text_of_a_storage_steers_the_terminal(filled: Callable[..., Any]) -> None:
    with closing(sqlite3.connect("attnas.db")) as connection, connection:
        changes = "data = ?1, hardware = ?1 || seed, recipe = ?1, error = ?1"
        connection.execute(f"UPDATE evaluations SET {changes}", (STEERS,))
        connection.execute("UPDATE evaluations SET epochs = 3 WHERE seed = 4")  # a cheaper fidelity to be told of
    for words in (
        *(["top"], ["show", "se"], ["compare", "se", "eca"], ["query", "seed == 0", "--columns", "all"]),
        *(["top", "--markdown"], ["sql", "SELECT data FROM rows"], ["pareto"], ["plot", "front", "-o", "f.png"]),
        *(["noise"], ["fidelity"], ["effects"]),
    ):
        done = filled(*words)
        assert done.code == 0 and "\x1b" not in done.out + done.err and "\x07" not in done.out + done.err, words


FORGED = {
    "a text for a number": "accuracy = 'abc'",
    "bytes for a text": "design = x'ff00'",
    "no JSON": "curves = '{'",
    "no UTF-8": "hardware = CAST(x'ff' AS TEXT)",
}
QUESTIONS_OF_ROWS = [["top"], ["query", "seed >= 0", "--columns", "all"], ["show", "se"], ["compare", "se", "eca"]]
QUESTIONS_OF_ROWS += [["report", "-o", "r.html"], ["export", "out"], ["sql", "SELECT * FROM rows"], ["noise"]]


@pytest.mark.parametrize("words", QUESTIONS_OF_ROWS, ids=lambda words: words[0])
@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_a_forged_storage_gets_one_clear_error_or_an_answer(
    filled: Callable[..., Any], words: list[str], change: str
) -> None:
    with closing(sqlite3.connect("attnas.db")) as connection, connection:
        connection.execute(f"UPDATE evaluations SET {change} WHERE seed = 1")
    done = filled(*words)
    assert done.code == 0 or (done.code == 2 and done.err.startswith("error: "))


BROKEN = {
    "a confirmation without a plan": {"kind": "confirm"},
    "one of texts": {"kind": "confirm", "designs": "x", "networks": 3, "seeds": {"a": 1}},
    "a final": {"kind": "final"},
    "of a later kind": {"kind": "tournament"},
    "a search without a space": {"seeds": [[0]]},
}


@pytest.mark.parametrize("config", BROKEN.values(), ids=BROKEN)
def test_a_study_that_cannot_be_read_is_told_and_can_be_deleted(
    filled: Callable[..., Any], attnas: Callable[..., Any], config: dict[str, Any]
) -> None:
    with open_store("sqlite:///attnas.db") as store:
        store.studies.begin(config, "broken", "broken")
    listed, shown = attnas("study", "list"), attnas("study", "show", "broken")
    assert listed.code == shown.code == 0 and "attnas study delete broken" in listed.out and "delete" in shown.out
    assert attnas("study", "delete", "broken", "--yes").code == 0 and "no study" in attnas("study", "list").out


def test_neither_studies_that_cannot_be_read_nor_times_that_no_calendar_has_end_a_report(
    filled: Callable[..., Any],
) -> None:
    with open_store("sqlite:///attnas.db") as store:
        for number, config in enumerate(BROKEN.values()):
            store.studies.begin(config, f"broken-{number}", "broken")
    with closing(sqlite3.connect("attnas.db")) as connection, connection:
        connection.execute("UPDATE evaluations SET started = 1e300, finished = 1e300")
        connection.execute("INSERT INTO studies VALUES ('a', 'x', '{}', 'h', 1e300)")
    assert filled("report", "-o", "r.html").code == 0
