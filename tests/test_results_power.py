"""Seeds that a gap needs, intervals, ceilings. Oracles: Cohen's table, scipy.stats, simulated truth."""

import numpy as np
import pytest
from scipy.stats import chi2, f, kendalltau, spearmanr

from results.power import (
    kendall_of,
    ratio_interval,
    reliability,
    seeds_in_words,
    seeds_needed,
    spearman_of,
    within_interval,
)
from results.spread import spread
from results.statistics import ceilings
from search_space.errors import UserError


@pytest.mark.parametrize(("effect", "n"), [(0.20, 393), (0.50, 64), (0.80, 26), (1.00, 17)])
def test_the_seeds_that_a_gap_needs_are_cohens(effect, n):
    """J. Cohen, Statistical Power Analysis (1988), table 2.4.1, two-sided 5 %, power 80 %; n of 0.2 is 393.4."""
    assert n <= seeds_needed(effect, 1.0) <= n + 1


def test_so_many_seeds_find_the_gap_in_four_of_five_comparisons():
    """Oracle: simulation with scipy's t test."""
    from scipy.stats import ttest_ind

    random = np.random.default_rng(0)
    n = seeds_needed(0.01, 0.006)
    one, other = (random.normal(mean, 0.006, (n, 4000)) for mean in (0.50, 0.51))
    found = float((ttest_ind(one, other).pvalue < 0.05).mean())
    fewer = float((ttest_ind(one[1:], other[1:]).pvalue < 0.05).mean())
    assert 0.78 < found < 0.90 and fewer < found and fewer < 0.82


def test_seeds_beyond_counting_are_called_so():
    assert seeds_in_words(seeds_needed(1e-5, 0.01)) == "more than 100,000"
    assert seeds_in_words(seeds_needed(0.01, 0.1)) == "1,571"  # Cohen's 393 at 0.2, four times


def test_no_luck_needs_two_seeds_and_no_gap_is_refused():
    assert seeds_needed(0.01, 0.0) == 2
    with pytest.raises(UserError, match="above 0"):
        seeds_needed(0.0, 1.0)


def simulated(ratio: float, designs: int = 12, seeds: int = 3, draws: int = 1000):
    random = np.random.default_rng(1)
    names = np.repeat(np.arange(designs), seeds)
    for _ in range(draws):
        yield spread(random.normal(0, ratio**0.5, designs)[names] + random.normal(size=designs * seeds), names)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 3.0])
def test_the_intervals_of_both_components_hold_the_truth_as_often_as_they_say(ratio):
    """Oracle: simulated truth, 1,000 analyses of 12 designs with 3 seeds."""
    luck = list(simulated(ratio))
    within = np.array([within_interval(each) for each in luck])
    assert np.mean((within[:, 0] <= 1) & (within[:, 1] >= 1)) == pytest.approx(0.95, abs=0.022)
    ratios = np.array([ratio_interval(each) for each in luck])
    held = np.mean((ratios[:, 0] <= ratio + 1e-12) & (ratio <= ratios[:, 1]))
    assert held == pytest.approx(0.975 if ratio == 0 else 0.95, abs=0.022)  # at 0 only the lower end can miss


@pytest.mark.parametrize("ratio", [0.1, 0.5, 1.0, 3.0])
def test_the_interval_of_the_ratio_holds_the_truth_for_unequal_numbers_of_seeds_too(ratio):
    """Oracle: simulated truth; a search with one seed each, of which four designs were looked at closer."""
    random = np.random.default_rng(3)
    names = np.repeat(np.arange(40), [1] * 36 + [10] * 4)
    held = 0
    for _ in range(1000):
        luck = spread(random.normal(0, ratio**0.5, 40)[names] + random.normal(size=len(names)), names)
        low, high = ratio_interval(luck)
        held += low <= ratio <= high
    assert held / 1000 == pytest.approx(0.95, abs=0.022)


def test_the_intervals_are_those_of_scipys_distributions():
    luck = next(simulated(1.0))
    low, high = within_interval(luck)
    assert low == pytest.approx(luck.within * (luck.df / chi2.ppf(0.975, luck.df)) ** 0.5)
    assert high == pytest.approx(luck.within * (luck.df / chi2.ppf(0.025, luck.df)) ** 0.5)
    low, high = ratio_interval(luck)
    found = 3 * luck.means.var(ddof=1) / luck.within**2
    assert high == pytest.approx((found / f.ppf(0.025, 11, 24) - 1) / 3)
    assert low == pytest.approx(max(0.0, (found / f.ppf(0.975, 11, 24) - 1) / 3))


@pytest.mark.parametrize("n", [1, 4])
def test_the_ceilings_are_what_rankings_by_so_many_seeds_reach(n):
    """Oracle: scipy's correlations of simulated means with the simulated truth and with other such means."""
    random = np.random.default_rng(2)
    ratio, designs = 0.7, 20_000
    truth = random.normal(0, ratio**0.5, designs)
    one, other = (truth + random.normal(0, n**-0.5, designs) for _ in range(2))
    again = reliability(ratio, n)
    for against, correlation in ((truth, again**0.5), (other, again)):
        assert np.corrcoef(one, against)[0, 1] == pytest.approx(correlation, abs=0.02)
        assert spearmanr(one, against).statistic == pytest.approx(spearman_of(correlation), abs=0.02)
        assert kendalltau(one, against).statistic == pytest.approx(kendall_of(correlation), abs=0.02)


def test_ceilings_lie_in_their_intervals_and_are_zero_where_designs_do_not_differ():
    for luck in list(simulated(0.0))[:20] + list(simulated(2.0))[:20]:
        found = ceilings(luck, 3)
        for name in ("reliability", "pearson_truth", "spearman_again", "kendall_truth"):
            assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"] <= 1
        assert (found["spearman_truth"] == 0) == (luck.between == 0)
