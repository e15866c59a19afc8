"""`results.ranking`; the oracles are the statistics module and the definition of dominance, pair by pair."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_results_row import a_row

from results import open_store, pareto, summarise, top
from results.row import CONTEXT, Row
from search_space.errors import UserError


def frame_of(rows: list[Row]) -> pd.DataFrame:
    with open_store("sqlite://") as store:
        for row in rows:
            assert store.finish(row)
        return store.frame()


def designs(accuracies: dict[str, float], **changes: Any) -> list[Row]:
    return [a_row(network_key=name, design=name, accuracy=accuracy, **changes) for name, accuracy in accuracies.items()]


def test_a_summary_is_the_mean_and_sample_deviation_over_the_seeds_of_complete_rows() -> None:
    accuracies, losses = [0.5, 0.75, 0.625], [1.0, 2.0, 4.5]
    rows = [
        a_row(seed=seed, accuracy=a, loss=b, seconds=float(seed))
        for seed, (a, b) in enumerate(zip(accuracies, losses, strict=True))
    ]
    failed = a_row(seed=7, status="failed", failure="oom", accuracy=0.1, loss=99.0)
    alone = a_row(network_key="alone", accuracy=0.25)
    summary = summarise(frame_of([*rows, failed, alone])).set_index("network_key")
    line = summary.loc["n0"]
    assert (line["n"], line["accuracy"], line["loss"], line["seconds"]) == (3, 0.625, 2.5, 1.0)
    assert line["accuracy_sd"] == pytest.approx(statistics.stdev(accuracies))
    assert (line["macs"], line["params"], line["macs_convention"]) == (41_000_000, 270_000, "conv+linear")
    assert summary.loc["alone", "n"] == 1 and math.isnan(summary.loc["alone", "accuracy_sd"])  # type: ignore[arg-type]


def test_a_seed_counts_once_when_frames_of_two_storages_are_joined() -> None:
    frame = frame_of([a_row(seed=1, accuracy=0.5), a_row(seed=2, accuracy=1.0)])
    line = summarise(pd.concat([frame, frame[frame["seed"] == 1]])).iloc[0]
    assert (line["n"], line["accuracy"]) == (2, 0.75)


@pytest.mark.parametrize("name", CONTEXT)
def test_rows_of_two_contexts_are_never_ranked_together(name: str) -> None:
    """The better and cheaper network of another context neither dominates nor displaces, nor joins a mean."""
    value = a_row().__getattribute__(name)
    other = {"split": "test"}.get(name, value + 1 if isinstance(value, int) else "other")
    weak, strong = a_row(accuracy=0.25), a_row(accuracy=0.75, macs=1, **{name: other})
    frame = frame_of([weak, strong] if weak.identity != strong.identity else [weak])
    if len(frame) == 1:  # a field outside of the identity: two storages can still disagree in it
        frame = pd.concat([frame, frame_of([strong])])
    for ranked in (summarise(frame), top(frame, n=1), pareto(frame)):
        assert sorted(ranked["accuracy"]) == [0.25, 0.75]
        assert set(ranked[name]) == {value, other}


def test_top_is_best_first_and_less_is_better_for_all_but_accuracy() -> None:
    frame = frame_of(
        [
            a_row(network_key="a", accuracy=0.25, loss=3.0, macs=1, params=30, seconds=None),
            a_row(network_key="b", accuracy=0.75, loss=1.0, macs=2, params=10, seconds=9.0),
            a_row(network_key="c", accuracy=0.5, loss=2.0, macs=3, params=20, seconds=8.0),
        ]
    )
    order = {by: "".join(top(frame, by=by)["network_key"]) for by in ("accuracy", "loss", "macs", "params", "seconds")}
    assert order == {"accuracy": "bca", "loss": "bca", "macs": "abc", "params": "bca", "seconds": "cba"}
    assert list(top(frame, n=2)["network_key"]) == ["b", "c"]


def test_where_designs_are_not_seen_to_differ_the_higher_mean_leads_and_not_the_lower_loss() -> None:
    """A spread between designs that is estimated as 0 makes all expectations one number."""
    rows = [
        a_row(network_key=name, seed=seed, accuracy=accuracy + luck, loss=loss)
        for name, accuracy, loss in (("low", 0.500, 1.0), ("high", 0.502, 3.0), ("middle", 0.501, 2.0))
        for seed, luck in enumerate((-0.02, 0.02))
    ]
    found = top(frame_of(rows))
    assert found["expected"].nunique() == 1 and list(found["network_key"]) == ["high", "middle", "low"]


def test_of_equal_designs_both_stay_and_a_half_equal_worse_one_goes() -> None:
    rows = [
        a_row(network_key="cheap", accuracy=0.5, macs=10),
        a_row(network_key="twin", accuracy=0.5, macs=10),
        a_row(network_key="dearer", accuracy=0.5, macs=11),
        a_row(network_key="weaker", accuracy=0.4, macs=10),
        a_row(network_key="best", accuracy=0.6, macs=12),
    ]
    assert list(pareto(frame_of(rows))["network_key"]) == ["cheap", "twin", "best"]


_points = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5), st.sampled_from(["x", "y"])), max_size=12)


@settings(max_examples=60, deadline=None)
@given(_points)
def test_the_pareto_front_is_the_undominated_set_by_definition(points: list[tuple[int, int, str]]) -> None:
    rows = [
        a_row(network_key=str(i), accuracy=a / 4, macs=c, data=data, data_hash=data)
        for i, (a, c, data) in enumerate(points)
    ]

    def dominated(i: int) -> bool:
        accuracy, macs, data = points[i]
        return any(d == data and a >= accuracy and c <= macs and (a > accuracy or c < macs) for a, c, d in points)

    front = pareto(frame_of(rows))
    assert sorted(front["network_key"], key=int) == [str(i) for i in range(len(points)) if not dominated(i)]
    for _, group in front.groupby("data"):
        assert group["macs"].is_monotonic_increasing


def test_a_design_whose_cost_was_not_measured_is_not_on_the_front() -> None:
    frame = frame_of([a_row(network_key="a", seconds=None, accuracy=0.9), a_row(network_key="b", seconds=1.0)])
    assert list(pareto(frame, minimise="seconds")["network_key"]) == ["b"]


@pytest.mark.parametrize("rank", [summarise, top, pareto])
def test_an_empty_table_gives_an_empty_ranking_with_its_columns(rank: Any) -> None:
    empty, one = rank(frame_of([])), rank(frame_of([a_row()]))
    assert len(empty) == 0 and len(one) == 1
    assert list(empty.columns) == list(one.columns)
    unfinished = frame_of([a_row(status="failed", failure="bug", accuracy=None, loss=None)])
    assert list(rank(unfinished).columns) == list(one.columns) and len(rank(unfinished)) == 0


def test_macs_of_two_conventions_are_not_ranked_together() -> None:
    frame = frame_of([a_row(), a_row(network_key="other", macs_convention="all")])
    for rank in (pareto, lambda f: top(f, by="macs")):
        with pytest.raises(UserError, match=r"different conventions \(all, conv\+linear\)"):
            rank(frame)
    assert len(top(frame)) == 2


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (
            lambda f: top(f, by="acuracy"),
            "by='acuracy' is not a metric .* accuracy, expected, loss, macs, params, latency, memory, seconds",
        ),
        (lambda f: top(f, n=0), "n = 0"),
        (lambda f: pareto(f, maximise="design"), "maximise='design'"),
        (lambda f: pareto(f, minimise="flops"), "minimise='flops'"),
        (lambda f: pareto(f, minimise=("macs", "macs")), "minimise='macs'"),
        (lambda f: pareto(f, maximise="loss"), "maximise='loss': loss is better when it is low; minimise it"),
        (lambda f: pareto(f, minimise="accuracy"), "accuracy is better when it is high; maximise it"),
        (lambda f: pareto(f, minimise=()), "two measures or more, and only accuracy was given"),
        (lambda f: summarise(f.drop(columns=["seed", "macs"])), "lacks the columns seed, macs"),
    ],
)
def test_a_name_that_cannot_be_ranked_by_is_refused_by_name(call: Any, named: str) -> None:
    with pytest.raises(UserError, match=named):
        call(frame_of(designs({"a": 0.5})))
