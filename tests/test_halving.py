"""Which trials go on: the rungs, and who is promoted."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.halving import HalvingError, Rungs, by_rank, rungs


@pytest.mark.parametrize(
    ("end", "options", "expected"),
    [
        (27, {}, (1, 3, 9, 27)),
        (27, {"bracket": 1}, (3, 9, 27)),
        (27, {"bracket": 3}, (27,)),
        (27, {"shortest": 3}, (3, 9, 27)),
        (16, {"factor": 2}, (1, 2, 4, 8, 16)),
        (10, {}, (1, 3, 10)),
        (1, {}, (1,)),
        (2, {"factor": 4}, (2,)),
    ],
)
def test_rungs_are_a_factor_apart_and_end_at_the_recipes_epochs(end, options, expected):
    """Oracle: the geometric ladder of the ASHA paper, by hand."""
    assert rungs(end, halving=True, **options).epochs == expected


def test_without_halving_there_is_one_rung():
    assert rungs(27, halving=False).epochs == (27,) and not rungs(27, halving=False).halves


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"factor": 1}, "factor: 1"),
        ({"shortest": 0}, "shortest rung: 0"),
        ({"shortest": 28}, "1 to the 27"),
        ({"bracket": 4}, "bracket: 4"),
        ({"bracket": -1}, "3 begins at 27"),
    ],
)
def test_rungs_that_make_no_ladder_are_refused_with_what_is_allowed(options, words):
    with pytest.raises(HalvingError, match=words):
        rungs(27, halving=True, **options)


points = st.lists(st.tuples(*[st.integers(0, 5)] * 2), min_size=1, max_size=25)


@given(points)
def test_promotion_takes_ranks_in_order(values):
    """Oracle: a trial that k others dominate in a chain cannot come before all of them: checked pair by pair."""
    named = {f"t{index:02}": [float(a), float(b)] for index, (a, b) in enumerate(values)}
    order = by_rank(named)
    assert sorted(order) == sorted(named)
    for place, name in enumerate(order):
        for later in order[place + 1 :]:
            a, b = np.array(named[later]), np.array(named[name])
            assert not (np.all(a <= b) and np.any(a < b)), "the later one dominates the earlier one"


@given(st.integers(0, 40), st.sampled_from([2, 3, 4]))
def test_one_of_every_factor_is_promoted(number, factor):
    random_ = random.Random(number)
    values = {str(index): [random_.random()] for index in range(number)}
    chosen = Rungs((1, 9), factor).promotable(values)
    best = sorted(values, key=lambda name: values[name])
    assert chosen == best[: number // factor]


@given(points, st.sampled_from([2, 3]), st.randoms(use_true_random=False))
def test_what_has_gone_on_is_left_out_and_changes_nothing_else(values, factor, chance):
    named = {f"t{index:02}": [float(a), float(b)] for index, (a, b) in enumerate(values)}
    everyone = Rungs((1, 9), factor).promotable(named)
    assert everyone == by_rank(named)[: len(named) // factor]
    done = {name for name in named if chance.random() < 0.5}
    assert Rungs((1, 9), factor).promotable(named, done) == [name for name in everyone if name not in done]


def test_a_failed_trial_counts_in_its_rung_and_never_goes_on():
    values = {"a": [float("nan")], "b": [0.1], "c": [0.2]}
    assert Rungs((1, 3)).promotable(values) == ["b"]
    assert Rungs((1, 3)).promotable({"a": [float("nan")], "b": [float("nan")], "c": [float("nan")]}) == []


def test_within_a_rank_the_best_comes_first_and_then_what_lies_farthest():
    """Five points of one front, by hand: the ends before the middle, not five neighbours of the most accurate."""
    front = {"a": [0.0, 1.0], "b": [0.1, 0.9], "c": [0.5, 0.5], "d": [0.9, 0.1], "e": [1.0, 0.0]}
    assert by_rank(front)[:3] == ["a", "e", "c"]
