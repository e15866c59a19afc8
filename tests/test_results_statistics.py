"""The variance components behind `attnas results noise`."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f_oneway

from results.row import CONTEXT, LABELS
from results.statistics import noise
from search_space.errors import UserError


def frame(groups: list[np.ndarray], data: str = "d") -> pd.DataFrame:
    rows = [
        dict.fromkeys((*CONTEXT, *LABELS), data)
        | {"status": "complete", "network_key": f"n{i}", "seed": s, "accuracy": value}
        for i, values in enumerate(groups)
        for s, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("sizes", [[4, 4, 4], [3, 3], [5] * 8])
def test_the_components_are_those_of_scipys_one_way_analysis_of_variance(sizes):
    """Oracle: scipy's F = MSB / MSW, and E[MSB] = n sigma_b^2 + sigma_w^2 with n seeds a design."""
    random = np.random.default_rng(1)
    groups = [random.normal(random.normal(0, 2), 1, size) for size in sizes]
    found = noise(frame(groups)).iloc[0]
    F = f_oneway(*groups).statistic
    assert found["variance_ratio"] == pytest.approx((F - 1) / sizes[0])
    assert found["sd_between_seeds"] == pytest.approx(np.sqrt(np.mean([group.var(ddof=1) for group in groups])))
    assert (found["designs"], found["runs"]) == (len(sizes), sum(sizes))


def test_unequal_numbers_of_seeds_estimate_the_true_components_without_bias():
    """Oracle: simulation with known spreads, 0.5 between designs and 1.0 between seeds."""
    random = np.random.default_rng(2)
    found = []
    for _ in range(300):
        groups = [random.normal(random.normal(0, 0.5), 1.0, size) for size in (2, 3, 8, 5, 4, 2, 6, 9)]
        found.append(noise(frame(groups), gaps=[]).iloc[0])
    assert np.mean([row["sd_between_seeds"] ** 2 for row in found]) == pytest.approx(1.0, abs=0.06)
    # negative estimates are cut at 0, so the mean may only be a little above the truth
    assert 0.22 < np.mean([row["sd_between_designs"] ** 2 for row in found]) < 0.34


def test_designs_that_are_all_alike_have_no_component_of_their_own():
    groups = [np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.array([0.5, 0.5])]
    assert noise(frame(groups)).iloc[0]["variance_ratio"] == 0


def test_rows_of_different_data_are_never_pooled():
    both = pd.concat([frame([np.array([0.1, 0.2]), np.array([0.3, 0.5])], data) for data in ("a", "b")])
    assert list(noise(both)["data"]) == ["a", "b"] and set(noise(both)["runs"]) == {4}


def test_a_seed_counts_once_where_frames_of_two_storages_are_joined():
    one = frame([np.array([0.1, 0.2]), np.array([0.3, 0.5])])
    pd.testing.assert_frame_equal(noise(pd.concat([one, one])), noise(one))


def test_what_the_rows_can_reach_is_by_the_harmonic_mean_of_their_seeds():
    """Oracle: simulated means. Their luck is the mean of within^2 / n; more seeds of few designs help little."""
    random = np.random.default_rng(3)
    sizes = [1] * 300 + [20] * 20
    truth = random.normal(0, 1, len(sizes))
    found = noise(frame([random.normal(value, 1, size) for value, size in zip(truth, sizes, strict=True)])).iloc[0]
    runs = [[random.normal(v, s**-0.5) for v, s in zip(truth, sizes, strict=True)] for _ in range(20)]
    reached = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(runs[::2], runs[1::2], strict=True)])
    assert found["seeds"] == pytest.approx(1 / np.mean(1 / np.array(sizes)))
    assert found["pearson_again"] == pytest.approx(reached, abs=0.08)


def test_single_seeds_are_refused_with_what_to_do():
    with pytest.raises(UserError, match="two seeds"):
        noise(frame([np.array([0.1]), np.array([0.2])]))
