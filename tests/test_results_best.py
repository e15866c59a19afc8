"""Multiple comparisons with the best. Oracles: Dunnett's published table, scipy's multivariate t, simulated truth."""

from functools import cache

import numpy as np
import pytest
from scipy.stats import binom, multivariate_t, t

from results.best import Race, critical, race, shares
from search_space.errors import UserError

# C. W. Dunnett, J. Amer. Statist. Assoc. 50 (1955) 1096, tables 1a (P = 95 %) and 1b (99 %): one-sided, p = 1 to 9
DUNNETT = {
    (0.05, 5): [2.02, 2.44, 2.68, 2.85, 2.98, 3.08, 3.16, 3.24, 3.30],
    (0.05, 10): [1.81, 2.15, 2.34, 2.47, 2.56, 2.64, 2.70, 2.76, 2.81],
    (0.05, 20): [1.72, 2.03, 2.19, 2.30, 2.39, 2.46, 2.51, 2.56, 2.60],
    (0.01, 10): [2.76, 3.11, 3.31, 3.45, 3.56, 3.64, 3.71, 3.78, 3.83],
}
ALPHA = 0.05
SIMULATIONS = 1000
MEANS = {
    "all equal, 3": np.zeros(3),
    "all equal, 7": np.zeros(7),
    "one best, 3": np.array([1.0, 0, 0]),
    "one best, 7": np.array([0.5, 0, 0, 0, 0, 0, 0]),
    "two best, 3": np.array([0.0, 0, -9]),
    "two best, 7": np.array([0.0, 0, -9, -9, -9, -9, -9]),
    "staircase, 3": np.array([1.0, 0.5, 0]),
    "staircase, 7": -0.7 * np.arange(7),
    "far ahead, 7": np.array([3.0, 0, 0, 0, 0, 0, 0]),
    "two arms": np.zeros(2),
}


def most_by_luck(alpha: float, times: int = SIMULATIONS) -> float:
    """A rate of so many simulations that one in a thousand of tests would exceed."""
    return float(binom.ppf(0.999, times, alpha)) / times


@cache
def simulated(config: str, shared: float = 0.0) -> list[Race]:
    """Races of five seeds with luck of spread 1; `shared` of its variance is common to all arms of a seed."""
    means = MEANS[config]
    random = np.random.default_rng(len(config))
    luck = random.normal(size=(SIMULATIONS, 5, len(means))) * (1 - shared) ** 0.5
    luck += random.normal(size=(SIMULATIONS, 5, 1)) * shared**0.5
    return [race(means + one, ALPHA) for one in luck]


@pytest.mark.parametrize(("level", "df"), DUNNETT)
def test_the_critical_values_are_those_of_dunnetts_table(level, df):
    """The table has two digits, some of them rounded the other way."""
    found = [critical(level, df, comparisons) for comparisons in range(1, 10)]
    assert found == pytest.approx(DUNNETT[level, df], abs=0.0101)


@pytest.mark.parametrize(("df", "comparisons"), [(4, 2), (12, 4), (35, 6)])
def test_the_critical_value_is_the_quantile_of_scipys_multivariate_t(df, comparisons):
    shape = np.full((comparisons, comparisons), 0.5) + 0.5 * np.eye(comparisons)
    value = critical(ALPHA, df, comparisons)
    law = multivariate_t(np.zeros(comparisons), shape, df, seed=0)
    assert law.cdf(np.full(comparisons, value), random_state=0) == pytest.approx(1 - ALPHA, abs=1e-3)


@pytest.mark.parametrize("level", [0.05, 1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("df", [2, 3, 7, 40])
def test_for_one_comparison_it_is_scipys_student_quantile_far_out_too(level, df):
    """Early looks of a long race have tiny shares of alpha."""
    assert critical(level, df, 1) == pytest.approx(t.isf(level, df), rel=1e-6)


@pytest.mark.parametrize("config", MEANS)
def test_the_best_is_sent_out_and_a_false_winner_named_no_oftener_than_alpha(config):
    """Oracle: simulated truth. Where several are the best, a winner is false too, for it claims what is not so."""
    means = MEANS[config]
    best = np.flatnonzero(means == means.max())
    lost = false = 0
    for now in simulated(config):
        lost += best[0] not in now.standing
        winner = now.standing[0] if len(now.standing) == 1 else None
        false += winner is not None and (len(best) > 1 or winner != best[0])
    assert lost / SIMULATIONS <= most_by_luck(ALPHA)
    assert false / SIMULATIONS <= most_by_luck(ALPHA)


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("config", ["two arms", "two best, 3"])
def test_of_two_equally_good_arms_neither_is_sent_out_oftener_than_alpha_by_few_seeds(config, seeds):
    """Oracle: simulated truth. Few degrees of freedom are where a too narrow margin shows."""
    means, times = MEANS[config], 8000
    luck = np.random.default_rng(seeds).normal(size=(times, seeds, len(means)))
    named = sum(len(race(means + one, ALPHA).standing) == 1 for one in luck)
    assert named / times <= most_by_luck(ALPHA, times)


@pytest.mark.parametrize(
    ("config", "shared"), [*((config, 0.0) for config in MEANS), ("staircase, 3", 0.5), ("all equal, 3", 0.5)]
)
def test_the_intervals_hold_all_differences_to_the_best_at_once(config, shared):
    """Oracle: simulated truth, stopping included; seeds that are hard for all arms alike make them only safer."""
    means = MEANS[config]
    truth = np.array([mean - np.delete(means, arm).max() for arm, mean in enumerate(means)])
    held = sum(
        bool(((now.low <= truth + 1e-12) & (truth <= now.high + 1e-12)).all()) for now in simulated(config, shared)
    )
    assert 1 - held / SIMULATIONS <= most_by_luck(ALPHA)


def test_five_seeds_an_arm_decide_a_gap_of_three_deviations():
    """Simulated truth: power above nine in ten, and most trainings of the hopeless are saved."""
    races = simulated("far ahead, 7")
    assert np.mean([now.standing == (0,) for now in races]) > 0.9
    assert np.mean([now.n.sum() for now in races]) < 30  # of 35


def test_the_shares_of_the_looks_are_alpha_in_all():
    for seeds in (2, 3, 5, 20):
        found = shares(seeds, ALPHA)
        assert len(found) == seeds - 1 and sum(found) == pytest.approx(ALPHA) and found == sorted(found)


def test_two_looks_computed_by_hand():
    """Two rounds of three arms: the pooled variance, the width and who goes follow from the definition."""
    runs = np.array([[10.0, 9.0, 0.0], [10.2, 9.4, 0.2], [np.nan, np.nan, np.nan]])
    now = race(runs, ALPHA)
    assert now.looks[0].sd ** 2 == pytest.approx((0.02 + 0.08 + 0.02) / 3) and now.looks[0].df == 3
    level = ALPHA * 8 / 35
    width = max(critical(level, 3, 2), t.isf(level / 2, 3)) * now.looks[0].sd  # sqrt(1/2 + 1/2)
    assert now.looks[0].width == pytest.approx(width) and 0.9 < width < 10
    assert now.looks[0].out == (2,) and now.standing == (0, 1) and now.missing == (0, 1) and now.n_next == 2
    assert now.out_after(2) == 2 and not now.is_over
    assert now.high[2] == 0 and now.low[2] == pytest.approx(min(0.1 - 10.1, 0.1 - 9.2) - width)


def test_a_race_goes_on_from_the_runs_it_has():
    """Whatever part of the runs is there, what is wanted next leads to the same end."""
    random = np.random.default_rng(5)
    whole = np.array([4.0, 3.0, 3.8, 0.0]) + random.normal(size=(5, 4))
    there = np.full_like(whole, np.nan)
    while not (now := race(there, ALPHA)).is_over:
        arm = random.choice(now.missing)
        there[now.n_next, arm] = whole[now.n_next, arm]
    end = race(whole, ALPHA)
    assert now.standing == end.standing and now.looks == end.looks
    assert np.isnan(there).sum() == 20 - end.n.sum(), "nothing was trained that did not count"


def test_an_unreliable_arm_neither_wins_nor_sends_others_out():
    """Arm 0 sends arm 1 out, then fails: arm 1 comes back, and lacks the runs it was spared."""
    runs = np.array([[9.0, 5.0, 4.9], [9.1, 5.1, 5.0], [9.0, np.nan, np.nan]])
    assert 1 not in race(runs, ALPHA).standing
    now = race(runs, ALPHA, unreliable=[0])
    assert now.unreliable == (0,) and now.standing == (1, 2) and now.missing == (1, 2) and now.n_next == 2
    assert now.n[0] == 0 and np.isnan(now.low[0])


def test_where_one_or_none_is_left_by_failures_the_race_is_over():
    runs = np.full((3, 2), np.nan)
    runs[0] = 0.5, 0.6
    one = race(runs, ALPHA, unreliable=[0])
    assert one.standing == (1,) and one.is_over and one.leader == 1
    none = race(runs, ALPHA, unreliable=[0, 1])
    assert none.standing == () and none.is_over and none.leader is None


def test_runs_without_luck_are_told_apart_and_equal_ones_are_not():
    assert race(np.tile([0.5, 0.6, 0.6], (2, 1)), ALPHA).standing == (1, 2)


@pytest.mark.parametrize(
    ("shape", "alpha", "named"), [((1, 3), 0.05, "1 seed"), ((3, 1), 0.05, "1 arm"), ((3, 3), 0.0, "alpha: 0 given")]
)
def test_what_cannot_be_compared_is_refused(shape, alpha, named):
    with pytest.raises(UserError, match=named):
        race(np.zeros(shape), alpha)
