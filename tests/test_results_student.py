"""Quantiles of Student's t; the oracle is SciPy."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from results.student import quantile


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 8, 13, 30, 99, 100, 1000, 65_783, 1_000_000])
@pytest.mark.parametrize("probability", [0.5, 0.6, 0.9, 0.95, 0.975, 0.995, 0.9999])
def test_quantiles_are_those_of_scipy(probability: float, df: int) -> None:
    assert quantile(probability, df) == pytest.approx(stats.t.ppf(probability, df), rel=1e-9, abs=1e-12)


@given(st.floats(0.501, 0.9999), st.integers(1, 5000))
def test_a_quantile_has_its_probability_below_it(probability: float, df: int) -> None:
    assert stats.t.cdf(quantile(probability, df), df) == pytest.approx(probability, rel=1e-10)


def test_a_ranking_imports_no_scipy() -> None:
    """What `top`, `pareto` and groups import; SciPy would take a seventh of a second."""
    asked = "import sys, results.ranking, results.grouping, search.notes; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
