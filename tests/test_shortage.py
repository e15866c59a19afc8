"""`results.shortage`: where designs are too few, nothing is ranked, and what would be enough is named.

Oracles: the model fitted again with every choice of axes, and what each way of asking says beside the others.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from itertools import chain, combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import Done
from test_effects import SPACE, searched, trained
from test_results_ranking import frame_of

from results import Row, open_store
from results.effects import explain
from results.shortage import FEWEST

Attnas = Callable[..., Done]
PARENT = {"reduction": "excitation", "kernel": "excitation", "frequencies": "squeeze", "each": "squeeze"}


def some_designs(number: int, seed: int = 0) -> list[Row]:
    return random.Random(seed).sample(searched(0.02), number)


@pytest.mark.parametrize("number", [7, 9, 11, 13])
@pytest.mark.parametrize("seed", range(3))
def test_the_axes_that_are_named_are_the_most_that_leave_enough(number: int, seed: int) -> None:
    frame = frame_of(some_designs(number, seed))
    [one] = explain(frame)
    names, short = tuple(one.model.axes), one.shortage
    assert (short is None) == (len(one.lines) - one.model.rank >= FEWEST)
    if short is None:
        return
    subsets = chain.from_iterable(combinations(names, size) for size in range(1, len(names)))
    again = {axes: explain(frame, axes=axes)[0] for axes in subsets if all(PARENT.get(n, n) in axes for n in axes)}
    enough = {
        frozenset(axes): fewer
        for axes, fewer in again.items()
        if fewer.model.df >= FEWEST and all(fewer.model.test(name).df for name in axes)
    }
    assert len(short.axes) == max(map(len, enough), default=0)
    if short.axes:
        named = enough[frozenset(short.axes)]
        assert named.model.df == short.axes_df and named.shortage is None
        assert named.effects()["low"].notna().any() and set(named.not_in_model) == set(short.left_out)


def test_further_seeds_of_the_same_designs_are_no_further_designs() -> None:
    rows = some_designs(9)
    again = [trained(row.key, float(row.accuracy or 0) + 0.001, seed) for row in rows for seed in (1, 2, 3)]
    [once], [often] = explain(frame_of(rows)), explain(frame_of([*rows, *again]))
    assert once.shortage == often.shortage is not None and "Further seeds" in str(often.shortage)
    assert often.effects()["effect"].isna().all() and often.interactions().empty


def test_with_designs_to_spare_all_is_told() -> None:
    [one] = explain(frame_of(searched(0.02)))
    assert one.shortage is None and one.effects()["low"].notna().all()


def test_terminal_json_csv_plot_and_page_say_the_same(attnas: Attnas) -> None:
    rows = some_designs(9)
    with open_store("sqlite:///attnas.db") as store:
        for row in rows:
            store.finish(row)
    [one] = explain(frame_of(rows))
    sentence = str(one.shortage)
    assert f"9 designs and {9 - one.model.df} parameters leave {one.model.df} degree" in sentence
    said = attnas("results", "effects", "--interactions").out
    lines = said.splitlines()
    assert sentence in lines[:4] and "effect " not in said and "importance" not in said  # on top, and no list
    [facts] = json.loads(attnas("results", "effects", "--json", "--interactions").out)
    assert facts["shortage"]["sentence"] == sentence and facts["importances"] == {} and facts["interactions"] == []
    assert all(line["effect"] is line["low"] is None and line["note"] for line in facts["effects"])
    assert all(line["p"] is line["share"] is None for line in facts["axes"])
    table = list(csv.DictReader(io.StringIO(attnas("results", "effects", "--csv").out)))
    assert all(line["effect"] == "" and line["note"] for line in table)
    plot = attnas("results", "plot", "effects", "-o", "effects.svg")
    assert plot.code == 2 and sentence in plot.err and not Path("effects.svg").exists()
    assert attnas("results", "report", "-o", "r.html").code == 0
    page = Path("r.html").read_text("utf-8")
    assert sentence.split(" (", maxsplit=1)[0] in page and "Dots: effects" not in page
    assert "How much of the spread is whose" not in page


def test_what_an_answer_names_can_be_asked_and_says_what_it_holds_equal(attnas: Attnas) -> None:
    with open_store("sqlite:///attnas.db") as store:
        for row in some_designs(9):
            store.finish(row)
    [short] = json.loads(attnas("results", "effects", "--json").out)
    axes = ",".join(short["shortage"]["axes"])
    done = attnas("results", "effects", "--axes", axes)
    assert done.code == 0 and f"not held equal: {', '.join(short['shortage']['left_out'])}" in done.out
    assert attnas("results", "plot", "effects", "--axes", axes, "-o", "effects.svg").code == 0
    picture = " ".join(ElementTree.parse("effects.svg").getroot().itertext())
    assert "Not in the model, so not held equal" in " ".join(picture.split())


def test_a_page_of_one_seed_each_promises_no_interval_and_no_expectation(attnas: Attnas) -> None:
    with open_store("sqlite:///attnas.db") as store:
        for row in searched(0.02):
            store.finish(row)
    assert attnas("results", "report", "-o", "r.html").code == 0
    page = Path("r.html").read_text("utf-8")
    assert "The best designs by accuracy, of one seed each" in page and "expected accuracy" not in page
    assert "No bars: no design has a second seed" in page
    assert len(SPACE.distinct()) > 30  # enough for effects, whose bars are there
    assert "bars: 95 % intervals that hold together within an axis" in page
