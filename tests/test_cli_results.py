"""`attnas results` as it is typed: formats agree, options do what they say, bad input is one clear error."""

from __future__ import annotations

import csv
import io
import json
import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from test_results_row import a_row

from results import open_store


def answer(filled: Callable[..., Any], *words: object) -> list[dict[str, Any]]:
    done = filled(*words, "--json")
    assert done.code == 0, done.err
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


QUESTIONS = [
    ["top"],
    ["top", "--group-by", "squeeze,excitation"],
    ["pareto"],
    ["query", "seed >= 0"],
    ["query", "seed >= 0", "--columns", "all"],
    ["query", "seed >= 0", "--group-by", "reduction"],
    ["compare", "se", "eca"],
    ["sql", "SELECT design, depth, accuracy, macs FROM rows ORDER BY design, seed"],
]


@pytest.mark.parametrize("words", QUESTIONS, ids=" ".join)
def test_json_csv_and_parquet_say_the_same(filled: Callable[..., Any], tmp_path: Path, words: list[str]) -> None:
    rows = answer(filled, *words)
    assert rows and "NaN" not in json.dumps(rows)
    lines = list(csv.DictReader(io.StringIO(filled(*words, "--csv").out)))
    assert filled(*words, "--parquet", "rows.parquet").code == 0
    table = pq.read_table("rows.parquet").to_pylist()
    assert len(rows) == len(lines) == len(table)
    for row, line, record in zip(rows, lines, table, strict=True):
        assert list(row) == list(line) == list(record)
        for name, value in row.items():
            nested = isinstance(value, list | dict)
            text, stored = line[name], record[name]
            if nested:
                assert json.loads(text) == json.loads(stored) == value
            elif value is None:
                assert text == "" and (stored is None or math.isnan(stored))
            elif isinstance(value, float):
                assert float(text) == pytest.approx(value, rel=1e-15) and stored == pytest.approx(value, rel=1e-15)
            else:
                assert text == str(value) and stored == value, name


@pytest.mark.parametrize("words", [*QUESTIONS[:4], QUESTIONS[6], QUESTIONS[7]], ids=" ".join)
def test_markdown_has_a_line_for_each_line_of_the_table(filled: Callable[..., Any], words: list[str]) -> None:
    lines = [line for line in filled(*words, "--markdown").out.splitlines() if line.startswith("|")]
    heads, rule = lines[:2]
    assert set(rule) <= set("| :-") and all(line.count(" | ") == heads.count(" | ") for line in lines)
    expected = 2 if words[0] == "compare" else len(answer(filled, *words))
    assert len(lines) - 2 == expected


def test_an_output_file_holds_what_would_have_been_printed(filled: Callable[..., Any]) -> None:
    for form in ("--json", "--csv", "--markdown"):
        printed = filled("top", form).out
        done = filled("top", form, "-o", "answer")
        assert done.out == "" and Path("answer").read_text() == printed
    assert filled("top", "-o", "answer").code == 2


def test_top_is_led_by_what_fresh_seeds_would_give_and_says_how_sure_it_is(filled: Callable[..., Any]) -> None:
    done = filled("top")
    assert "accuracy %" in done.out and " ± " in done.out and "flattered by its luck" in done.out
    rows = answer(filled, "top")
    assert [row["design"] for row in rows][:2] == ["dct-top16/mlp-r16", "avg/mlp-r16"]
    assert all(row["accuracy_low"] < row["accuracy"] < row["accuracy_high"] and row["n"] for row in rows)
    assert [row["expected"] for row in rows] == sorted((row["expected"] for row in rows), reverse=True)


def test_sort_columns_and_limit_mean_the_same_everywhere(filled: Callable[..., Any]) -> None:
    for words in (["top"], ["query", "seed == 0"]):
        rows = answer(filled, *words, "--sort", "squeeze,-accuracy", "--columns", "design,squeeze,reduction", "-n", 3)
        assert [list(row) for row in rows] == [["design", "squeeze", "reduction"]] * 3
    rows = answer(filled, "query", "seed == 0", "--sort", "squeeze,-accuracy", "--columns", "design,squeeze,reduction")
    assert [row["design"] for row in rows] == [
        "avg/mlp-r16",
        "avg/conv1d",
        "dct-top16/mlp-r16",
        "none",
        "haar-d2-all/affine",
    ]
    assert [row["reduction"] for row in rows] == [16, None, 16, None, None]
    assert len(answer(filled, "pareto", "--sort=-macs", "-n", 1)) == 1


def test_a_query_may_name_axes_and_groups_and_needs_no_curves(filled: Callable[..., Any]) -> None:
    rows = answer(filled, "query", "squeeze == 'avg' and reduction <= 16")
    assert {row["design"] for row in rows} == {"avg/mlp-r16"} and len(rows) == 6 and "curves" not in rows[0]
    groups = answer(filled, "query", "squeeze != 'none'", "--group-by", "excitation")
    assert {group["excitation"]: (group["rows"], group["designs"]) for group in groups} == {
        "affine": (5, 1),
        "conv1d": (5, 1),
        "mlp": (10, 2),
    }


def test_a_front_of_three_measures_and_one_without_accuracy(filled: Callable[..., Any]) -> None:
    three = answer(filled, "pareto", "--minimise", "macs,latency")
    assert [row["design"] for row in three] == ["none", "avg/mlp-r16", "dct-top16/mlp-r16"]  # the others are behind se
    costs = answer(filled, "pareto", "--maximise", "none", "--minimise", "loss,macs")
    assert [row["design"] for row in costs] == ["dct-top16/mlp-r16", "avg/mlp-r16", "none"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["top", "--epochs", 7], "no row measured at 7 epochs; epochs at which rows were measured: 10 (--epochs)"),
        (["top", "--where", "accuracy > 2"], "no complete row where accuracy > 2; epochs"),
        (["pareto", "--minimise", "macs,memory"], "no complete row has memory;"),
        (["pareto", "--where", "accuracy > 2"], "no complete row where accuracy > 2; epochs"),
        (["top", "--storage", "sqlite:///empty.db"], "the storage has no row yet; `attnas search` makes some"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_an_empty_answer_says_what_there_is_none_of(filled: Callable[..., Any], words: list[object], said: str) -> None:
    open_store("sqlite:///empty.db").close()
    with sqlite3.connect("attnas.db") as database:
        database.execute("UPDATE evaluations SET peak_memory_bytes = NULL")
    done = filled(*words)
    assert done.code == 0 and said in done.out


def test_compare_says_the_difference_its_interval_and_how_it_was_found(filled: Callable[..., Any]) -> None:
    done = filled("compare", "se", "avg/conv1d")
    assert "avg/mlp-r16 less avg/conv1d: +2.00 points, 95 % interval" in done.out and "5 common seeds" in done.out
    assert "by the spread between seeds" in filled("compare", "none", "se").out


def test_what_is_to_be_compared_is_to_be_trained_on_no_test_split_where_there_is_another(
    filled: Callable[..., Any],
) -> None:
    with open_store("sqlite:///attnas.db") as store:
        for seed in range(9):  # more seeds than any other
            store.finish(a_row(split="test", backbone="resnet56", seed=seed, started=1.0))
    for words in (["se", "srm"], ["ema", "srm"]):
        assert "--backbone resnet8" in filled("compare", *words).err


def test_show_says_where_it_ran_and_gives_every_column_to_a_program(filled: Callable[..., Any]) -> None:
    done = filled("show", "se")
    assert (
        "a machine" in done.out
        and "torch 2" in done.out
        and "by host:1" in done.out
        and done.out.count("epoch   1") == 5
    )
    assert answer(filled, "show", "se")[0]["curves"][0]["loss"] == 1.9


def test_several_storages_are_asked_as_one(filled: Callable[..., Any]) -> None:
    with open_store("sqlite:///other.db") as store:
        store.finish(a_row(design="avg/affine", key="avg/affine", network_key="avg/affine", accuracy=0.9))
        store.finish(a_row(design="none", key="none", network_key="none", seed=0, accuracy=0.99))
    both = ["--storage", "sqlite:///attnas.db", "--storage", "sqlite:///other.db"]
    rows = {row["design"]: row for row in answer(filled, "top", *both)}
    assert rows["avg/affine"]["accuracy"] == 0.9 and rows["none"]["n"] == 1 and rows["none"]["accuracy"] < 0.5
    assert answer(filled, "sql", "SELECT count(*) AS n FROM rows", *both) == [{"n": 23}]
    assert "no row" in filled("show", "avg/affine").err and filled("show", "avg/affine", *both).code == 0


def test_latency_of_two_machines_is_not_ranked_and_is_labelled_beside_accuracy(filled: Callable[..., Any]) -> None:
    with open_store("sqlite:///attnas.db") as store:
        store.finish(a_row(network_key="a", latency_seconds=0.001, peak_memory_bytes=1, hardware="another"))
    for words in (["top", "--by", "latency"], ["pareto", "--minimise", "macs,memory"]):
        done = filled(*words)
        assert done.code == 2 and "different hardware (a machine, another)" in done.err
    assert filled("top", "--by", "latency", "--where", "hardware == 'a machine'").code == 0
    assert "of different hardware here" in filled("top").out


def test_the_columns_are_documented(filled: Callable[..., Any]) -> None:
    out = filled("columns").out
    assert all(word in out for word in ("squeeze", "fraction", "identity", "what fresh seeds would give", "designs"))
    assert len(answer(filled, "columns")) > 60


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["top", "--json", "--csv"], "one answer has one format"),
        (["top", "--columns", "acuracy"], "did you mean accuracy"),
        (["top", "--sort", "beauty"], "no column 'beauty'"),
        (["top", "--group-by", "accuracy"], "no column 'accuracy'"),
        (["top", "--group-by", "squeeze", "--by", "expected"], "rank groups by"),
        (["query", "squeeze == 3"], "text with number"),
        (["query", "seed == 0", "--columns", "n"], "no column 'n'"),
        (["pareto", "--maximise", "loss"], "minimise it"),
        (["pareto", "--minimise", "accuracy"], "maximise it"),
        (["pareto", "--maximise", "none"], "two measures or more"),
        (["sql", "DROP TABLE evaluations"], "refused"),
        (["sql", "SELECT 1 AS x", "--parquet", "no/such/folder/x.parquet"], "there is no folder"),
        (["compare", "se", "srm"], "no complete row of 'srm'"),
        (["compare", "ema", "srm"], "; `attnas train ema --data synthetic --backbone resnet8"),
        (["report", "-o", "it.html", "--where", "seed > 99"], "no row where seed > 99"),
        (["compare", "se", "se"], "are one network"),
        (["query", "seed == 0", "--sort", "versions"], "no column 'versions'"),
        (["query", "seed == 0", "--parquet", "."], "is a folder"),
        (["query", "seed == 0", "--csv", "-o", ""], "is a folder"),
        (["query", "seed == 0", "--csv", "-o", "x" * 300], "File name too long"),
        (["export", "x" * 300], "File name too long"),
        (["import", "x" * 300], "File name too long"),
        (["report", "-o", "x" * 300], "File name too long"),
        (["plot", "front", "-o", "x" * 300 + ".png"], "File name too long"),
        (["export", "."], "the folder you are in"),
        (["top", "--storage", "sqlite:///none.db", "--storage", "sqlite:///attnas.db"], "none.db does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_question_that_makes_no_sense_gets_one_clear_error(
    filled: Callable[..., Any], words: list[str], said: str
) -> None:
    done = filled(*words)
    assert done.code == 2 and said in done.err and "Traceback" not in done.err and done.err.startswith("error: ")
