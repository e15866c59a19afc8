"""Lines of networks: a database puts them together as a frame's rows are. The oracle is the statistics module."""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_results_row import a_row

from results import Store, open_store, summarise
from results.frames import frame_of
from results.lines import GROUP, MEANS, NEEDED, lines, lines_of
from results.row import Row
from results.sandbox import select
from search_space.errors import UserError


def made(count: int, seed: int) -> list[Row]:
    """Rows of a few networks in two contexts: some lack a measurement, some differ in precision or hardware."""
    dice = random.Random(seed)
    rows = [
        a_row(
            network_key=f"n{dice.randrange(6)}",
            epochs=dice.choice([5, 10]),
            schedule_epochs=10,
            seed=number,
            status=dice.choice(["complete"] * 4 + ["failed"]),
            failure="oom",
            accuracy=dice.choice([0.5, dice.randrange(10_000) / 10_000]),
            loss=dice.random(),
            seconds=dice.choice([None, dice.uniform(1, 99)]),
            peak_memory_bytes=dice.choice([None, dice.randrange(2**40)]),
            latency_seconds=dice.choice([None, dice.random()]),
            precision=dice.choice(["float32", "bfloat16", None]),
            hardware=dice.choice(["one", "two"]),
        )
        for number in range(count)
    ]
    return [row if row.status == "failed" else _without_failure(row) for row in rows]


def _without_failure(row: Row) -> Row:
    return a_row(**{name: getattr(row, name) for name in row.__slots__ if name != "failure"})


@pytest.mark.parametrize("by", [(), ("hardware",), ("seed", "precision")], ids=["networks", "hardware", "seed"])
@pytest.mark.parametrize("seed", range(3))
def test_a_database_makes_the_lines_that_a_frame_of_its_rows_makes(
    store: Store, seed: int, by: tuple[str, ...]
) -> None:
    with store.turn() as turn:
        for row in made(60, seed):
            turn.finish(row)
    ours, theirs = store.lines(by=by), lines_of(store.frame(), by)
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-9, atol=1e-14)
    assert (list(ours.columns[: len(GROUP)]) == list(GROUP) and ours["n"].max() > 1) or by


def test_at_a_rung_a_database_and_a_frame_count_what_was_measured_there(store: Store) -> None:
    rows = [
        replace(row, status="stopped") if row.status == "complete" and row.epochs < row.schedule_epochs else row
        for row in made(60, 0)
    ]
    with store.turn() as turn:
        for row in rows:
            turn.finish(row)
    at = {epochs: store.lines(epochs=epochs) for epochs in (None, 5, 10)}
    for epochs, ours in at.items():
        pd.testing.assert_frame_equal(ours, lines_of(store.frame(), epochs=epochs), rtol=1e-9, atol=1e-14)
        measured = [row for row in rows if row.accuracy is not None and row.status != "failed"]
        assert ours["n"].sum() == sum(row.epochs == (epochs or 10) for row in measured) > 0
    assert at[5]["epochs"].unique().tolist() == [5] and at[None].equals(at[10])


def test_a_line_holds_mean_squares_and_what_is_known_of_each_measurement(store: Store) -> None:
    accuracies, seconds = [0.5, 0.75, 0.625], [None, 2.0, 5.0]
    for seed, (accuracy, second) in enumerate(zip(accuracies, seconds, strict=True)):
        store.finish(a_row(seed=seed, accuracy=accuracy, seconds=second, latency_seconds=None, hardware=f"h{seed % 2}"))
    [line] = store.lines().to_dict("records")
    assert (line["n"], line["accuracy"], line["seconds"]) == (3, 0.625, 3.5)
    assert line["squares"] == pytest.approx(2 * statistics.variance(accuracies))
    assert math.isnan(line["latency"]) and line["hardware"] == "h0 + h1"


@pytest.mark.parametrize("value", [0.1, 0.3333, 0.7, 1 / 3])
def test_equal_accuracies_have_no_spread_at_all(store: Store, value: float) -> None:
    """0.1 has no exact binary form: means of squares alone would leave a spread of rounding."""
    for seed in range(7):
        store.finish(a_row(seed=seed, accuracy=value))
    assert store.lines()["squares"].tolist() == [0.0]
    assert summarise(store.lines())["accuracy_sd"].tolist() == [0.0]


def test_accuracies_that_differ_by_one_image_in_a_million_have_a_spread(store: Store) -> None:
    for seed, accuracy in enumerate([0.9, 0.900001]):
        store.finish(a_row(seed=seed, accuracy=accuracy))
    assert summarise(store.lines())["accuracy_sd"][0] == pytest.approx(statistics.stdev([0.9, 0.900001]), rel=1e-3)


def test_conditions_select_the_rows_of_lines(store: Store) -> None:
    for seed in range(4):
        store.finish(a_row(seed=seed, accuracy=seed / 10, hardware=f"h{seed % 2}"))
    assert store.lines("seed >= 2")["n"].tolist() == [2]
    assert store.lines("seed >= 2", hardware="h1")["accuracy"].tolist() == [pytest.approx(0.3)]
    assert store.lines("accuracy > 1").empty and list(store.lines("accuracy > 1").columns) == list(
        store.lines().columns
    )


def test_two_storages_come_to_the_lines_of_their_joined_rows(tmp_path: Any) -> None:
    """A row that both hold counts once."""
    rows = made(40, seed=5)
    urls = []
    for name, part in (("a", rows[:25]), ("b", rows[15:])):
        urls.append(f"sqlite:///{tmp_path / name}.db")
        with open_store(urls[-1]) as store:
            for row in part:
                store.finish(row)
    found = lines(urls)
    complete = [row for row in rows if row.status == "complete"]
    assert found["n"].sum() == len({row.identity for row in complete})
    pd.testing.assert_frame_equal(found, lines_of(frame_of(urls, None, list(NEEDED))))


def test_lines_need_the_columns_of_rows() -> None:
    with pytest.raises(UserError, match="lacks the columns seed, hardware; give the whole"):
        lines_of(pd.DataFrame(columns=[name for name in NEEDED if name not in ("seed", "hardware")]))


@pytest.mark.parametrize("name", MEANS)
def test_the_means_are_those_that_sql_gives(tmp_path: Any, name: str) -> None:
    url = f"sqlite:///{tmp_path / 'one.db'}"
    with open_store(url) as store:
        for row in made(50, seed=9):
            store.finish(row)
        ours = store.lines().sort_values(["network_key", "epochs"])[name].to_numpy()
    statement = f"SELECT avg({MEANS[name]}) FROM rows WHERE status = 'complete' GROUP BY network_key, epochs ORDER BY 1"
    theirs = [np.nan if value is None else value for (value,) in select(url, statement.replace("ORDER BY 1", "")).rows]
    np.testing.assert_allclose(ours, theirs)
