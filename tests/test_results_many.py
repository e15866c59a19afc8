"""Frames of one storage and of several: columns, joins, groups. The oracles are plain Python over the rows."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from test_results_row import a_row, running

from results import QueryError, Store, frame_of, group, open_store
from results.axes import AXES, axes_of
from results.axes import AXES as AXIS_ORDER
from results.columns import AXES as DOCUMENTED_AXES
from results.columns import HEAVY, ROWS, ColumnError, documented
from results.grouped import Grouped
from results.lines import NEEDED
from results.query import AXIS_COLUMNS, QUERY_COLUMNS
from results.row import COLUMNS, Row
from results.spread import half_width
from results.summary import summarise
from search_space import Space
from search_space.errors import UserError

TEXTS = ["none", "avg/mlp-r16", "avg/mlp-r4", "dct-top16/mlp-r4", "dct-low2-each/conv1d", "haar-d2-all/conv1d-k3"]
TEXTS += ["db2-d1-details-energy/affine", "no design of ours"]


def of_design(text: str, **changes: Any) -> Row:
    return a_row(design=text, key=text, network_key=text, **changes)


@pytest.fixture
def stored(storage_url: str) -> Store:
    with open_store(storage_url) as store:
        for number, text in enumerate(TEXTS):
            store.finish(of_design(text, started=float(number), curves=[{"epoch": 1}]))
        yield store


# -- columns -----------------------------------------------------------------------------------------------------------


def test_every_column_of_a_row_and_every_axis_is_documented_in_order() -> None:
    assert {name for name in AXES if name != "selection"} == {field.name for field in fields(Space)}
    assert tuple(ROWS) == COLUMNS and tuple(DOCUMENTED_AXES) == AXIS_ORDER
    assert all(line["meaning"] and line["kind"] in ("text", "integer", "number", "json") for line in documented())
    assert set(QUERY_COLUMNS) | set(AXIS_COLUMNS) == {*COLUMNS, *AXES} - {"curves", "versions", "error"}


def test_a_frame_has_the_columns_that_are_asked_for_in_their_order_and_the_same_values(stored: Store) -> None:
    whole = stored.frame()
    for names in (["seed", "design", "started"], ["started", "curves", "accuracy"], list(reversed(COLUMNS))):
        part = stored.frame(columns=names)
        assert list(part.columns) == names
        pd.testing.assert_frame_equal(part, whole[names])
    few = stored.frame("accuracy > 1", ["design", "seed", "accuracy"])
    assert list(few.columns) == ["design", "seed", "accuracy"] and few.empty
    assert few["seed"].dtype == np.int64 and few["accuracy"].dtype == np.float64
    with pytest.raises(ColumnError, match="did you mean accuracy"):
        stored.frame(columns=["acuracy"])


@pytest.mark.parametrize("sort", [["-seconds", "design"], ["precision"], ["-precision", "-seed"], []], ids=str)
@pytest.mark.parametrize("limit", [None, 5])
def test_a_database_sorts_and_cuts_as_pandas_does(storage_url: str, sort: list[str], limit: int | None) -> None:
    """Missing values last in either direction, text by its code points, equals by start."""
    precisions = ["float32", None, "Float", "bfloat16", "ä"]
    with open_store(storage_url) as store, store.turn() as turn:
        for n in range(20):
            seconds = None if n % 4 == 0 else float(n % 5)
            turn.finish(a_row(seed=n, started=float(n), seconds=seconds, precision=precisions[n % 5]))
    with open_store(storage_url) as store:
        names = ["seed", "started", "seconds", "precision", "design"]
        every = store.frame(columns=names)
        by, up = [name.removeprefix("-") for name in sort], [not name.startswith("-") for name in sort]
        expected = every.sort_values(by, ascending=up, kind="stable", ignore_index=True) if sort else every
        found = store.frame(columns=names, sort=sort, limit=limit)
        pd.testing.assert_frame_equal(found, expected.head(limit or len(expected)))
        with pytest.raises(ColumnError, match="did you mean seconds"):
            store.frame(columns=names, sort=["-secnds"])


def test_more_rows_than_are_read_at_once_all_come_and_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("results.frames._AT_ONCE", 3)
    with store.turn() as turn:
        for seed in range(10):
            turn.finish(a_row(seed=seed, started=float(-seed), peak_memory_bytes=None if seed % 2 else 2**40 + seed))
    frame = store.frame(columns=["started", "seed", "peak_memory_bytes", "curves"])
    assert list(frame["seed"]) == list(range(9, -1, -1)) and len(frame["curves"]) == 10
    known = frame["peak_memory_bytes"].dropna()
    assert [int(value) for value in known] == [2**40 + seed for seed in range(8, -1, -2)]


# -- conditions on axes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "test"),
    [
        ("squeeze == 'dct'", lambda a: a["squeeze"] == "dct"),
        ("reduction <= 4", lambda a: a["reduction"] is not None and a["reduction"] <= 4),
        ("not (reduction <= 4)", lambda a: a["reduction"] is not None and a["reduction"] > 4),  # none has none
        ("reduction != 4 and accuracy > 0", lambda a: a["reduction"] not in (None, 4)),
        ("depth is None", lambda a: a["depth"] is None),
        ("depth is not None", lambda a: a["depth"] is not None),
        ("0 < depth < 2 or excitation in ('mlp',)", lambda a: a["depth"] == 1 or a["excitation"] == "mlp"),
        ("excitation not in ('conv1d',)", lambda a: a["excitation"] not in (None, "conv1d")),
        ("each == 'true'", lambda a: a["each"] is True),
        ("depth == kernel or 2 == depth", lambda a: a["depth"] == 2),
        ("bands == 'all'", lambda a: a["squeeze"] == "wavelet" and a["selection"] == "all"),
        ("frequencies is not None", lambda a: a["squeeze"] == "dct"),
        ("selection == frequencies", lambda a: a["squeeze"] == "dct"),
        ("squeeze == 'unreadable'", lambda a: a["squeeze"] == "unreadable"),
        # unknown, and so not false, of what has no wavelet
        ("not (squeeze == 'avg' or wavelet == 'haar')", lambda a: a["wavelet"] not in (None, "haar")),
    ],
)  # fmt: skip
def test_a_condition_on_an_axis_selects_the_designs_that_have_it(stored: Store, expr: str, test: Any) -> None:
    expected = [text for text in TEXTS if test(axes_of(text))]
    assert list(stored.frame(expr, ["started", "design"])["design"]) == expected
    # what is known of every design is split in two by a condition and its negation
    assert not set(expected) & set(stored.frame(f"not ({expr})", ["design"])["design"])


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("depth == 'two'", "number with text"),
        ("squeeze == 2", "text with number"),
        ("reduction == image_size", "an axis with another column"),
        ("squeze == 'avg'", "did you mean squeeze"),
        ("each == True", "a truth value"),
        ("depth in ('a',)", "number with text"),
        ("nothing == depth", "no column 'nothing'"),
    ],
)
def test_a_condition_on_an_axis_that_makes_no_sense_is_refused(stored: Store, expr: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        stored.frame(expr)


def test_a_condition_on_axes_holds_over_more_designs_than_a_statement_has_parameters(store: Store) -> None:
    """SQLite binds 32,766 parameters; here 9,000 designs are named 8 times."""
    texts = [f"avg/mlp-r{number}" for number in range(1, 9_001)]
    from results.table import EVALUATIONS, to_cells

    with store.turn() as turn:
        turn.connection.execute(EVALUATIONS.insert(), [to_cells(of_design(text)) | {"seq": 1} for text in texts])
    parts = " or ".join(["reduction > 8000"] * 8)
    assert len(store.frame(parts, ["design"])) == 1_000


# -- several storages --------------------------------------------------------------------------------------------------


def test_of_several_storages_each_evaluation_counts_once_and_a_measured_one_before_a_failed_or_running_one(
    tmp_path: Path,
) -> None:
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in "ab"]
    failed: dict[str, Any] = {"status": "failed", "failure": "oom", "accuracy": None, "loss": None}
    with open_store(urls[0]) as a, open_store(urls[1]) as b:
        a.finish(a_row(seed=1, accuracy=0.1, started=5.0))
        b.finish(a_row(seed=1, accuracy=0.9, started=6.0))
        a.claim(running("me:1:1", seed=2, started=1.0))
        b.finish(a_row(seed=2, accuracy=0.2, started=2.0))
        a.finish(a_row(seed=3, started=3.0, **failed))
        b.finish(a_row(seed=3, accuracy=0.3, started=4.0))
        a.claim(running("me:1:1", seed=4, started=7.0))
        b.finish(a_row(seed=4, started=8.0, **failed))
        b.finish(a_row(seed=5, accuracy=0.5, started=0.0))
        for given in (urls, [a, urls[1]]):
            frame = frame_of(given)
            assert tuple(frame.columns) == COLUMNS
            assert list(frame["seed"]) == [5, 2, 3, 1, 4]  # by start
            assert [round(x, 1) for x in frame["accuracy"].dropna()] == [0.5, 0.2, 0.3, 0.1]
            assert list(frame["status"])[-1] == "failed"
        assert sorted(frame_of(urls, "accuracy > 0.25 and seed > 1", ["seed"])["seed"]) == [3, 5]
        assert list(frame_of(urls[1])["seed"]) == [5, 2, 3, 1, 4]
        assert len(summarise(frame_of(urls, None, NEEDED, status="complete"))) == 1


def test_joining_a_storage_with_itself_or_with_an_empty_one_changes_nothing(stored: Store) -> None:
    with open_store("sqlite://") as empty:
        alone = stored.frame()
        for several in ([stored, stored], [stored, empty], [empty, stored]):
            pd.testing.assert_frame_equal(frame_of(several), alone, check_dtype=False)
        assert frame_of([empty, empty]).empty


# -- groups ------------------------------------------------------------------------------------------------------------

_cells = st.tuples(st.sampled_from(TEXTS[:7]), st.integers(0, 3), st.floats(0, 1), st.sampled_from(["x", "y"]))


@settings(max_examples=40, deadline=None)
@given(st.lists(_cells, max_size=25, unique_by=lambda cell: (cell[0], cell[1], cell[3])))
def test_a_group_is_the_mean_over_its_designs_of_their_means_over_seeds(
    cells: list[tuple[str, int, float, str]],
) -> None:
    """Oracles: the statistics module, and SciPy's interval of a mean."""
    rows = [of_design(text, seed=seed, accuracy=value, data_hash=data) for text, seed, value, data in cells]
    frame = pd.DataFrame([{name: getattr(row, name) for name in COLUMNS} for row in rows], columns=list(COLUMNS))
    found = group(frame, ["squeeze", "excitation"])
    designs: dict[Any, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for text, _, value, data in cells:
        axes = axes_of(text)
        designs[data, axes["squeeze"], axes["excitation"]][text].append(value)
    assert len(found) == len(designs)
    for line in found.to_dict("records"):
        excitation = None if pd.isna(line["excitation"]) else line["excitation"]
        mine = designs[line["data_hash"], line["squeeze"], excitation]
        means = [statistics.mean(values) for values in mine.values()]
        assert (line["designs"], line["rows"]) == (len(mine), sum(map(len, mine.values())))
        assert line["accuracy"] == pytest.approx(statistics.mean(means))
        if len(means) == 1:
            assert math.isnan(line["accuracy_low"]) and math.isnan(line["accuracy_sd"])
            continue
        assert line["accuracy_sd"] == pytest.approx(statistics.stdev(means), abs=1e-12)
        if statistics.stdev(means) > 1e-9:
            low, high = stats.t.interval(0.95, len(means) - 1, statistics.mean(means), stats.sem(means))
            ends = [pytest.approx(max(0, low)), pytest.approx(min(1, high))]
            assert [line["accuracy_low"], line["accuracy_high"]] == ends


def test_the_interval_of_a_group_covers_where_seeds_of_a_design_are_alike() -> None:
    """Simulated truth: 6 designs of 8 seeds; luck is a tenth of what designs differ by. Rows would cover half of it."""
    random = np.random.default_rng(0)
    times = 1000
    own = random.normal(0, 1, (times, 6)) + random.normal(0, 0.1, (times, 6, 8)).mean(axis=2)
    half = half_width(own.std(axis=1, ddof=1), 5, 6)
    covered = int((np.abs(own.mean(axis=1)) <= half).sum())
    assert (
        0.95 * times - 3 * math.sqrt(times * 0.95 * 0.05) < covered < 0.95 * times + 3 * math.sqrt(times * 0.95 * 0.05)
    )


def test_what_cannot_be_grouped_by_is_refused() -> None:
    frame = pd.DataFrame(columns=list(COLUMNS))
    for wrong in ("accuracy", "design", "curves", "squeze"):
        with pytest.raises(ColumnError, match="no column"):
            group(frame, wrong)
    with pytest.raises(UserError, match="group by nothing"):
        group(frame, [])
    assert group(frame, "squeeze").empty and not set(HEAVY) & set(group(frame, "squeeze").columns)


_groups = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.none() | st.integers(-5, 5)), min_size=1, max_size=20
)


@settings(max_examples=60, deadline=None)
@given(_groups)
def test_grouped_means_and_deviations_are_those_of_pandas(cells: list[tuple[str | None, int | None]]) -> None:
    frame = pd.DataFrame(cells, columns=["by", "value"]).astype({"value": float, "by": object})
    expected = frame.groupby("by", dropna=False)["value"]
    grouped = Grouped(frame, ["by"])
    np.testing.assert_allclose(grouped.mean("value"), expected.mean().to_numpy())
    np.testing.assert_allclose(grouped.sd("value"), expected.std().to_numpy(), atol=1e-12)
    assert grouped.size().tolist() == expected.size().tolist()
