"""Student's t, its quantiles and its noncentral tails; the oracle is SciPy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import nctdtr

from results.power import seeds_needed
from results.student import beyond, quantile


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 8, 13, 30, 99, 100, 1000, 65_783, 1_000_000])
@pytest.mark.parametrize("probability", [0.5, 0.6, 0.9, 0.95, 0.975, 0.995, 0.9999])
def test_quantiles_are_those_of_scipy(probability: float, df: int) -> None:
    assert quantile(probability, df) == pytest.approx(stats.t.ppf(probability, df), rel=1e-9, abs=1e-12)


@given(st.floats(0.501, 0.9999), st.integers(1, 5000))
def test_a_quantile_has_its_probability_below_it(probability: float, df: int) -> None:
    assert stats.t.cdf(quantile(probability, df), df) == pytest.approx(probability, rel=1e-10)


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 8, 13, 30, 126, 3000, 65_783, 399_998])
@pytest.mark.parametrize("probability", [0.5, 0.6, 0.9, 0.975, 0.9999])
def test_what_lies_beyond_the_quantiles_of_the_noncentral_t_is_that_of_scipy(probability: float, df: int) -> None:
    """Where SciPy gives NaN for the far tail there is nothing left in it."""
    t = quantile(probability, df)
    for shift in (0.0, 1e-3, 0.1, 0.5, 1.0, 2.0, 2.8, 5.0, 8.0, 15.0, 30.0, 300.0):
        upper, lower = 1 - nctdtr(df, shift, t), np.nan_to_num(nctdtr(df, shift, -t))
        assert beyond(t, df, shift) == pytest.approx(upper + lower, abs=1e-10), shift


def test_two_pairs_do_not_show_a_gap_of_eight_deviations_four_times_in_five() -> None:
    """Oracle: simulation. SciPy's lower tail is NaN here, which was taken for a power that is reached."""
    random = np.random.default_rng(0)
    for n, is_enough in ((2, False), (3, True)):
        pairs = random.normal(8.0, 1.0, (20_000, n))
        shown = np.abs(pairs.mean(1)) > stats.t.ppf(0.975, n - 1) * pairs.std(1, ddof=1) / n**0.5
        assert (shown.mean() > 0.8) == is_enough
    assert seeds_needed(8.0, 1.0, paired=True) == 3


def test_a_ranking_and_a_comparison_import_no_scipy() -> None:
    """What `top`, `pareto`, groups and `compare` import; SciPy would take a seventh of a second."""
    modules = "results.ranking, results.grouping, results.comparison, search.notes"
    asked = f"import sys, {modules}; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
