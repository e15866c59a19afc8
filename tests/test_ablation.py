"""What each choice of a design is worth: the statistic of `results.ablation`.

Oracles: scipy's paired t test, the residual of a randomised block design by hand, simulated truth.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t, ttest_rel
from test_results_ranking import frame_of
from test_results_row import a_row

from results.ablation import ablation, paired
from search_space.errors import UserError


def test_with_one_neighbour_the_interval_is_scipys_paired_t() -> None:
    values = np.random.default_rng(0).normal(0, 1, (2, 6))
    found = paired(values)
    expected = ttest_rel(values[1], values[0]).confidence_interval(0.95)
    half = found.half_width[0]
    assert (found.difference[0] - half, found.difference[0] + half) == pytest.approx(tuple(expected))


def test_the_spread_is_the_residual_of_a_randomised_block_design_and_pooled_over_all() -> None:
    """Montgomery, Design and Analysis of Experiments, 4.1: designs are the treatments, seeds the blocks."""
    values = np.random.default_rng(1).normal(0, 1, (5, 3)) + np.arange(3) * 10  # what seeds do to all does not count
    left = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    found = paired(values)
    assert found.df == 4 * 2 and found.deviation == pytest.approx(np.sqrt((left**2).sum() / 8))
    assert found.half_width == pytest.approx(t.ppf(1 - 0.05 / 8, 8) * found.deviation * np.sqrt(2 / 3))


@pytest.mark.parametrize("missing", [0.0, 0.15])
def test_all_intervals_hold_the_truth_together(missing: float) -> None:
    """Oracle: 1,000 simulations of twelve neighbours and three seeds; Bonferroni may only be a little too careful."""
    random, times, held = np.random.default_rng(2), 1000, 0
    truth = random.normal(0, 0.01, 13)
    for _ in range(times):
        values = truth[:, None] + random.normal(0, 0.02, 3) + random.normal(0, 0.01, (13, 3))
        values[1:][random.random((12, 3)) < missing] = np.nan
        found = paired(values)
        gap = np.abs(found.difference - (truth[1:] - truth[0]))
        held += bool((gap <= found.half_width)[found.n > 0].all())
    assert 0.95 - 3 * np.sqrt(0.05 * 0.95 / times) < held / times < 0.985


def test_differences_are_over_the_seeds_that_both_have() -> None:
    rows = [a_row(network_key="base", seed=seed, accuracy=0.5 + seed / 10, macs=100) for seed in range(3)]
    rows += [a_row(network_key="near", seed=seed, accuracy=0.6 + seed / 10, macs=120) for seed in (1, 2)]
    rows += [a_row(network_key="lost", seed=0, status="failed", failure="nan", accuracy=None, loss=None)]
    rows += [a_row(network_key="apart", seed=9, accuracy=0.9)]
    axis_of = {"near": "depth", "lost": "reduction", "apart": "depth", "never": "depth"}
    found = ablation(frame_of(rows), "base", axis_of).set_index("network_key")
    assert (
        list(found["n"]) == [3, 2, 0, 0]
        and set(found["df"]) == {1}
        and list(found["axis"])[1:] == ["depth", "reduction", "depth"]
    )
    assert found.loc["base", "axis"] is None and np.isnan(found.loc["base", "difference"])
    assert found.loc["near", "difference"] == pytest.approx(0.1) and found.loc["near", "macs_difference"] == 20
    assert found.loc[["lost", "apart"], ["difference", "low"]].isna().all(axis=None)


def test_one_seed_has_differences_and_no_interval() -> None:
    found = paired(np.array([[0.5], [0.7]]))
    assert found.difference == pytest.approx([0.2]) and np.isnan(found.half_width).all()


def test_rows_of_two_contexts_or_without_the_design_are_refused() -> None:
    near = a_row(network_key="near")
    with pytest.raises(UserError, match="different data"):
        ablation(frame_of([a_row(network_key="base", recipe_hash="other"), near]), "base", {"near": "depth"})
    with pytest.raises(UserError, match="no complete row of the design itself"):
        ablation(frame_of([near]), "base", {"near": "depth"})
