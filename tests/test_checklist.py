"""`results.checklist` and `results.effort`; the oracle is how the rows were made: the answers must follow them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from report_rows import REAL, frame_of, search_rows
from test_results_row import a_row

from results.checklist import checklist
from results.checklist_item import Item
from results.contexts import leading
from results.effort import own_seconds
from results.row import Row
from results.studies import Study

SPACE = {"squeeze": ["avg", "dct"]}


def item(word: str, rows: list[Row], *, config: dict[str, Any] | None = None, **options: Any) -> Item:
    """The item whose question holds the word."""
    frame = frame_of(rows)
    study = Study(id="s", name="first", config={"space": SPACE, "seeds": [0]} | (config or {}), created=0.0)
    here = frame.assign(study=["s"] * len(frame)) if config is not None else frame
    found = [one for one in checklist(leading(here), here, [study], **options) if word in one.question]
    assert len(found) == 1, f"{word!r} must name one question"
    return found[0]


def seeds_of(design: str, number: int, truth: float = 0.9, first: int = 0) -> list[Row]:
    return [
        a_row(**REAL, network_key=f"net-{design}", key=design, design=design, seed=first + i, accuracy=truth + i / 1000)
        for i in range(number)
    ]


def changed(**values: Any) -> list[Row]:
    return [replace(row, **values) for row in search_rows()]


def one_changed(**values: Any) -> list[Row]:
    first, *others = (row for row in search_rows() if row.status == "complete")
    return [replace(first, **values), *others]


LADDER = [row for design in ("none", "avg/mlp-r16", "avg/conv1d") for row in seeds_of(design, 5)]


@pytest.mark.parametrize(
    ("word", "rows", "verdict", "said"),
    [
        ("code", changed(commit=None), "no", "no row names a commit"),
        ("code", changed(commit="abc"), "yes", "1 commit (abc)"),
        ("code", changed(commit="abc+"), "partly", "files changed"),
        ("code", one_changed(commit="other"), "partly", "several versions"),
        ("Same data", changed(hardware="A"), "yes", "are one"),
        ("Same data", one_changed(hardware="B"), "partly", "hardware: AMD EPYC, 1 threads, B"),
        ("Same data", one_changed(versions={"torch": "3"}), "partly", "2 sets of library versions"),
        ("baselines", [row for row in search_rows() if row.key not in ("none", "avg/mlp-r16")], "no", "none: 0 seeds"),
        ("baselines", [row for row in search_rows() if row.key != "none"], "partly", "none and se: 5 seeds each"),
        ("baselines", LADDER, "yes", "none: 5 seeds, se: 5 seeds"),
        ("several seeds", LADDER, "yes", "5, 5, 5"),
        ("several seeds", search_rows(), "partly", "attnas confirm"),
        ("several seeds", [row for row in search_rows() if row.seed == 0], "no", "1, 1, 1, 1, 1"),
        ("interval", [row for row in search_rows() if row.seed == 0], "no", "no design has two seeds"),
        ("interval", search_rows(), "yes", "from 10 degrees of freedom"),  # five designs of three seeds
        ("interval", seeds_of("none", 5) + seeds_of("avg/mlp-r16", 1), "partly", "from 4 degrees"),
        ("hardware and training time", search_rows(), "partly", "without hardware or seconds"),
        ("cost of the whole", changed(seconds=3600.0, started=None, finished=None), "yes", "30 device-hours"),
        ("cost of the whole", changed(seconds=None, started=None, finished=None), "no", "0 device-hours"),
        ("test split", search_rows(), "yes", "no row was measured on it"),
        ("failed and stopped", search_rows(), "yes", "20 trainings: 18 went to the end, 2 failed"),
        ("random search", search_rows(), "no", "no study"),
        ("search space", search_rows(), "no", "no study"),
        ("hyper-parameters", search_rows(), "partly", "recipe proxy, hash rrrrrrrrrrrr"),
    ],
)  # fmt: skip
def test_an_answer_follows_the_rows(word: str, rows: list[Row], verdict: str, said: str) -> None:
    found = item(word, [row for row in rows if row.status != "stopped" or word == "cost of the whole"])
    if word == "hardware and training time":
        found = item(word, one_changed(hardware=None))
    assert found.verdict == verdict and said in f"{found.evidence}; {found.missing}", found
    assert (found.missing != "") or verdict == "yes"


def test_many_networks_on_the_test_split_are_held_against_it() -> None:
    searched = search_rows()
    on_test = [replace(row, split="test") for row in LADDER if row.seed == 0]
    assert item("test split", searched + on_test).verdict == "yes"
    more = [*on_test, replace(on_test[0], network_key="fourth")]
    assert item("test split", searched + more).verdict == "partly"


def test_what_the_study_says_is_heard() -> None:
    assert item("search space", LADDER, config={}).verdict == "yes"
    assert item("random search", LADDER, config={"samplers": ["tpe"]}).evidence == "designs were chosen by tpe"
    assert item("random search", LADDER, config={}).evidence == "the storage does not say which sampler chose"
    assert item("random search", LADDER, config={"samplers": ["random"]}).verdict == "yes"
    assert item("random search", LADDER, config={"samplers": ["random", "gp"]}).verdict == "no"
    assert item("hyper-parameters", LADDER, recipes=["r" * 32]).verdict == "yes"


@pytest.mark.parametrize(
    ("of_random", "space", "verdict", "said"),
    [
        (5, SPACE, "yes", "random chose 5 trials by random"),
        (4, SPACE, "partly", "smaller budget"),
        (5, {"squeeze": ["avg"]}, "partly", "another space"),
    ],
)
def test_a_random_search_counts_as_one_of_the_same_space_and_budget(
    of_random: int, space: dict[str, Any], verdict: str, said: str
) -> None:
    mine, theirs = seeds_of("max/affine", 5) + seeds_of("none", 2), seeds_of("max/conv1d", of_random)
    rows = [replace(row, study="a") for row in mine] + [replace(row, study="b") for row in theirs]
    a = Study("a", "mine", {"space": SPACE, "samplers": ["gp"]}, 0.0)
    b = Study("b", "random", {"space": space, "samplers": ["random"]}, 1.0)
    frame = frame_of(rows)
    found = next(one for one in checklist(frame, frame, [a, b]) if "random search" in one.question)
    assert found.verdict == verdict and said in f"{found.evidence}; {found.missing}"


def test_what_stopped_at_a_rung_is_counted_with_what_went_on_from_it() -> None:
    """Oracle: of eight designs each was at the rung and went on with seed 0; ten seeds more began without a rung."""
    rows = search_rows()
    stays = a_row(**REAL | {"epochs": 1, "schedule_epochs": 3}, network_key="stopped", status="stopped")
    assert item("failed and stopped", [*rows, stays]).evidence == (
        "21 trainings: 18 went to the end, 1 stopped at a rung, 2 failed"
    )
    of_rungs = [replace(row, commit="c" if row.status == "stopped" else None) for row in [*rows, stays]]
    assert "on 9 of 29" in item("code", of_rungs).evidence


def test_only_fresh_seeds_or_a_confirmation_free_the_winner_of_its_choice() -> None:
    best = seeds_of("avg/conv1d", 5, truth=0.95)
    assert item("did not choose it", best, config={"seeds": [0, 1, 2, 3, 4]}).verdict == "no"
    assert item("did not choose it", best, config={"seeds": [0]}).verdict == "partly"
    assert item("did not choose it", best, config={"seeds": [0]}, confirmed=["avg/conv1d"]).verdict == "yes"


def test_an_ablation_has_a_neighbour_with_common_seeds_in_every_axis() -> None:
    """Oracle: `search_space.words.neighbours` names one neighbour an axis, and here each is trained."""
    from search_space import find_design
    from search_space.words import neighbours

    winner = "haar-d2-all/mlp-r16"
    others = [texts[0] for texts in neighbours(find_design(winner)).values()]
    whole = seeds_of(winner, 3, truth=0.95) + [row for other in others for row in seeds_of(other, 3, truth=0.5)]
    keyed = [replace(row, key=find_design(row.design).key) for row in whole]
    assert item("ablation", keyed).verdict == "yes"
    assert item("ablation", [row for row in keyed if row.design != others[0]]).verdict == "partly"
    assert item("ablation", keyed[:3]).verdict == "no"
    assert item("ablation", [replace(row, design="of another version") for row in keyed[:3]]).verdict == "no"


def test_a_training_that_went_on_from_a_rung_is_not_paid_for_twice() -> None:
    """Oracle: the rows are of 10 s to the rung and 20 s from there; the last says 30, those of the whole training."""
    rows = [row for row in search_rows() if row.network_key == "net-max/affine"]
    assert sorted(row.seconds or 0 for row in rows) == [10, 30]
    assert own_seconds(frame_of(rows)).sum() == 30


def test_seconds_count_where_the_clock_was_not_kept_and_never_below_zero() -> None:
    rows = [
        a_row(seed=0, seconds=7.0),
        a_row(seed=1, seconds=None),
        a_row(seed=2, seconds=5.0, started=9.0, finished=1.0),
    ]
    assert own_seconds(frame_of(rows)).tolist() == [7.0, 0.0, 0.0]
