"""Variance components, pooled interval, prediction; oracles: scipy's analysis of variance, and simulation."""

from random import Random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from results.spread import interval, spread


def flat(groups):
    return np.concatenate(groups), np.repeat(np.arange(len(groups)), [len(group) for group in groups])


@pytest.mark.parametrize(("designs", "seeds"), [(3, 4), (2, 3), (8, 5)])
def test_the_components_are_those_of_scipys_one_way_analysis_of_variance(designs, seeds):
    """Oracle: F = MSB / MSW, and E[MSB] = n sigma_b^2 + sigma_w^2."""
    random = np.random.default_rng(1)
    groups = [random.normal(random.normal(0, 2), 1, seeds) for _ in range(designs)]
    found = spread(*flat(groups))
    within = np.mean([group.var(ddof=1) for group in groups])
    assert found.within**2 == pytest.approx(within)
    assert found.between**2 == pytest.approx(max(0, (stats.f_oneway(*groups).statistic - 1) * within / seeds))
    assert (found.runs, found.designs, found.df) == (designs * seeds, designs, designs * (seeds - 1))


def test_intervals_of_unequal_numbers_of_seeds_hold_the_truth_as_often_as_they_say():
    """Oracle: 1,000 simulations of known means; one design has a single seed."""
    random = np.random.default_rng(3)
    sizes = np.array([1, 2, 5, 3, 8])
    codes = np.repeat(np.arange(5), sizes)
    truth = np.array([0.1, 0.4, 0.2, 0.3, 0.25])
    held = np.zeros(5)
    for _ in range(1000):
        values = truth[codes] + random.normal(0, 0.01, len(codes))
        means = np.bincount(codes, values) / sizes
        held += np.abs(means - truth) <= spread(values, codes).half_width(sizes)
    assert np.all(np.abs(held / 1000 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 1000))


def test_of_the_design_that_looks_best_the_mean_flatters_and_the_expectation_does_not():
    """Oracle: 1,000 searches of 40 designs drawn from a known distribution, four of which have further seeds."""
    random = np.random.default_rng(4)
    n = np.array([1] * 36 + [4] * 4)
    codes = np.repeat(np.arange(40), n)
    mean_errors, expected_errors = [], []
    for _ in range(1000):
        truth = random.normal(0.6, 0.01, 40)
        values = truth[codes] + random.normal(0, 0.01, len(codes))
        means = np.bincount(codes, values) / n
        expected = spread(values, codes).expected(means, n)
        best, likely = np.argmax(means), np.argmax(expected)
        mean_errors.append(means[best] - truth[best])
        expected_errors.append(expected[likely] - truth[likely])
    assert np.mean(mean_errors) > 0.007
    assert abs(np.mean(expected_errors)) < 0.0015


def test_the_interval_of_an_accuracy_is_cut_where_none_can_be():
    low, high = interval(np.array([0.02, 0.5, 0.99, 0.4]), np.array([0.1, 0.1, 0.1, np.nan]))
    assert low == pytest.approx([0, 0.4, 0.89, np.nan], nan_ok=True)
    assert high == pytest.approx([0.12, 0.6, 1, np.nan], nan_ok=True)


def test_without_a_second_seed_nothing_is_known_of_luck():
    found = spread([0.1, 0.2, 0.4], ["a", "b", "c"])
    assert np.isnan([found.within, found.between, found.half_width(3), found.expected(0.4, 1)]).all()


def test_designs_that_are_all_alike_are_all_expected_to_give_the_mean():
    found = spread([0.0, 1.0, 1.0, 0.0], ["a", "a", "b", "b"])
    assert found.between == 0 and found.expected(0.9, 3) == 0.5


@given(
    st.lists(st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=4), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
@example([[0.0], [0.0, 1.3600642571642451e-157]], Random(0))  # whose variance is hardly a number
@example([[0.0], [0.0, 2.3e-162]], Random(0))
def test_the_order_of_the_runs_and_the_names_of_the_designs_do_not_matter(groups, random):
    values, codes = flat([np.array(group) for group in groups])
    order = list(range(len(values)))
    random.shuffle(order)
    before, after = spread(values, codes), spread(values[order], [f"d{9 - codes[i]}" for i in order])
    numbers = ("runs", "designs", "df", "within", "between", "mean")
    assert [getattr(after, name) for name in numbers] == pytest.approx(
        [getattr(before, name) for name in numbers], nan_ok=True, abs=1e-9
    )
