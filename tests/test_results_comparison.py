"""`results.comparison`; the oracles are SciPy's t tests and simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_results_row import a_row

from results import compare
from results.comparison import PAIRED_FROM, difference
from results.row import COLUMNS
from results.spread import spread
from search_space.errors import UserError

_SEEDS = 0.01 * math.sqrt(3 / 4) * np.array([1, -1, 1, -1])  # of variance 0.01^2 in each design
LUCK = spread((0.5 + 0.02 * np.arange(10)[:, None] + _SEEDS).ravel(), np.repeat(np.arange(10), 4))


def by_seed(values: dict[int, float]) -> pd.Series:
    return pd.Series(values, dtype=float)


def frame_of(runs: dict[str, dict[int, float]], **changes: object) -> pd.DataFrame:
    rows = [
        a_row(network_key=text, design=text, key=text, seed=seed, accuracy=value, **changes)
        for text, values in runs.items()
        for seed, value in values.items()
    ]
    return pd.DataFrame([{name: getattr(row, name) for name in COLUMNS} for row in rows], columns=list(COLUMNS))


def test_with_enough_common_seeds_the_interval_is_that_of_scipys_paired_t() -> None:
    a, b = {1: 0.5, 2: 0.53, 3: 0.48, 4: 0.55, 9: 0.9}, {1: 0.49, 2: 0.5, 3: 0.475, 4: 0.51, 7: 0.1}
    found = difference(by_seed(a), by_seed(b), LUCK)
    common = [1, 2, 3, 4]
    interval = stats.ttest_rel([a[s] for s in common], [b[s] for s in common]).confidence_interval(0.95)
    assert (found.method, found.common_seeds) == ("paired", 4)
    assert found.value - found.half == pytest.approx(interval.low)
    assert found.value + found.half == pytest.approx(interval.high)


def test_with_fewer_the_interval_is_that_of_scipys_pooled_t_where_only_these_two_are_known() -> None:
    a, b = {1: 0.5, 2: 0.53, 3: 0.48}, {4: 0.49, 5: 0.5}
    luck = spread([*a.values(), *b.values()], [0] * 3 + [1] * 2)
    found = difference(by_seed(a), by_seed(b), luck)
    interval = stats.ttest_ind(list(a.values()), list(b.values())).confidence_interval(0.95)
    assert found.method == "unpaired"
    assert found.value - found.half == pytest.approx(interval.low)
    assert found.value + found.half == pytest.approx(interval.high)


def test_one_seed_of_each_has_an_interval_once_other_designs_tell_luck_and_none_before() -> None:
    found = difference(by_seed({1: 0.5}), by_seed({1: 0.52}), LUCK)
    assert found.half == pytest.approx(stats.t.ppf(0.975, 30) * 0.01 * math.sqrt(2))
    nothing = difference(by_seed({1: 0.5}), by_seed({2: 0.52}), spread([0.5, 0.52], [0, 1]))
    assert nothing.method == "none" and math.isnan(nothing.half) and math.isnan(nothing.needed)


@pytest.mark.parametrize("seeds", [2, PAIRED_FROM, 8])
def test_the_interval_of_a_difference_covers_the_truth_95_times_of_100(seeds: int) -> None:
    """Simulated truth: 12 designs, luck of which a third is shared by equal seeds; 1,000 times."""
    random = np.random.default_rng(seeds)
    covered, times = 0, 1000
    codes = np.repeat(np.arange(12), seeds)
    for _ in range(times):
        shared = random.normal(0, math.sqrt(1 / 3), seeds)
        own = random.normal(0, math.sqrt(2 / 3), (12, seeds))
        runs = own + (shared if seeds >= PAIRED_FROM else random.normal(0, math.sqrt(1 / 3), (12, seeds)))
        found = difference(pd.Series(runs[0] + 0.3), pd.Series(runs[1]), spread(runs.ravel(), codes))
        covered += abs(found.value - 0.3) <= found.half
    assert abs(covered - 0.95 * times) < 3.3 * math.sqrt(times * 0.95 * 0.05)


@pytest.mark.parametrize(("gap", "paired"), [(0.012, False), (0.02, False), (0.012, True)])
def test_the_seeds_that_are_needed_give_a_power_of_80_per_cent(gap: float, paired: bool) -> None:
    """Oracle: the power of the t test by SciPy's noncentral t."""
    if paired:
        a = {0: 0.0, 1: 0.01, 2: 0.02, 3: 0.03}
        b = {
            seed: value - gap + wiggle
            for (seed, value), wiggle in zip(a.items(), (0.01, -0.01, 0.01, -0.01), strict=True)
        }
        found = difference(by_seed(a), by_seed(b), LUCK)
        sd = statistics_sd([a[s] - b[s] for s in a])
    else:
        found = difference(by_seed({0: gap}), by_seed({1: 0.0}), LUCK)
        sd = LUCK.within * math.sqrt(2)

    def power(n: int) -> float:
        df = n - 1 if paired else 2 * (n - 1)
        shift = gap / (sd / math.sqrt(n))
        limit = stats.t.ppf(0.975, df)
        return float(stats.nct.sf(limit, df, shift) + stats.nct.cdf(-limit, df, shift))

    n = int(found.needed)
    assert power(n) >= 0.8 > power(n - 1)


def statistics_sd(values: list[float]) -> float:
    return float(np.std(values, ddof=1))


def test_designs_are_compared_in_each_context_that_has_both_and_in_no_other() -> None:
    one = frame_of({"avg/mlp-r16": {1: 0.5, 2: 0.51}, "none": {1: 0.4}}, data_hash="x")
    two = frame_of({"avg/mlp-r16": {1: 0.7}, "none": {1: 0.75, 2: 0.8}}, data_hash="y")
    lone = frame_of({"none": {1: 0.9}}, data_hash="z")
    found = compare(pd.concat([one, two, lone], ignore_index=True), "se", "none").set_index("data_hash")
    assert list(found.index) == ["x", "y"] and list(found["a"]) == ["avg/mlp-r16"] * 2
    assert found.loc["x", "difference"] == pytest.approx(0.105) and found.loc["y", "difference"] == pytest.approx(
        -0.075
    )
    assert (found.loc["x", "n_a"], found.loc["x", "n_b"], found.loc["y", "n_b"]) == (2, 1, 2)
    assert found.loc["y", "accuracy_b"] == pytest.approx(0.775) and found.loc["x", "macs_a"] == 41_000_000


def test_frames_that_were_joined_with_an_index_twice_are_compared_like_others() -> None:
    one = frame_of({"avg/mlp-r16": {1: 0.5}, "none": {1: 0.4}})
    two = frame_of({"none": {2: 0.5}, "avg/mlp-r16": {2: 0.9}})
    found = compare(pd.concat([one, two]), "se", "none").iloc[0]
    assert found["difference"] == pytest.approx(0.25)
    joined = pd.concat([one, two])
    pd.testing.assert_series_equal(compare(joined, joined["key"] != "none", joined["key"] == "none").iloc[0], found)


def test_another_spelling_of_one_network_belongs_to_the_design() -> None:
    frame = frame_of({"avg/conv1d": {1: 0.5}, "avg/conv1d-k3": {2: 0.7}, "none": {1: 0.4}})
    frame.loc[frame["key"] != "none", "network_key"] = "eca here"
    assert compare(frame, "avg/conv1d-k3", "none").iloc[0]["n_a"] == 2
    assert compare(frame, "avg/conv1d-k3", "none").iloc[0]["difference"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("se", "eca", "no complete row of 'eca'"),
        ("se", "avg/mlp-r16", "are one network"),
        ("se", "nonsense", "nonsense"),
        ("se", "dct-top16/mlp-r16", "no complete rows of the same data"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(a: str, b: str, said: str) -> None:
    frame = pd.concat(
        [frame_of({"avg/mlp-r16": {1: 0.5}}), frame_of({"dct-top16/mlp-r16": {1: 0.4}}, data_hash="elsewhere")],
        ignore_index=True,
    )
    with pytest.raises(UserError, match=said):
        compare(frame, a, b)


def test_sides_that_are_rows_are_named_by_their_designs_where_they_have_nothing_in_common() -> None:
    frame = pd.concat(
        [frame_of({"avg/mlp-r16": {1: 0.5}}), frame_of({"dct-top16/mlp-r16": {1: 0.4}}, data_hash="elsewhere")],
        ignore_index=True,
    )
    sides = (frame["design"] == text for text in ("avg/mlp-r16", "dct-top16/mlp-r16"))
    with pytest.raises(UserError, match="'avg/mlp-r16' and 'dct-top16/mlp-r16' have no complete rows"):
        compare(frame, *sides)
