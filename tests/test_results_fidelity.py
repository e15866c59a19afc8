"""Cheap fidelities against the dearest. Oracles: scipy.stats, simulated truth, definitions pair by pair."""

import tracemalloc
from collections import Counter
from dataclasses import asdict
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr
from test_results_ranking import frame_of
from test_results_row import a_row

from results.agreement import agreement
from results.fidelity import fidelity
from results.power import kendall_of, spearman_of
from search_space.errors import UserError

_values = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=30)


@settings(max_examples=60, deadline=None)
@given(_values)
def test_kendall_and_spearman_are_scipys_ties_included(pairs):
    x, y = np.array(pairs, dtype=float).T
    found = agreement(x, y, k=1, draws=1)
    if len(set(x)) > 1 and len(set(y)) > 1:
        assert found.kendall[0] == pytest.approx(kendalltau(x, y).statistic)
        assert found.spearman[0] == pytest.approx(spearmanr(x, y).statistic)
    else:
        assert np.isnan(found.kendall[0]) and np.isnan(found.spearman[0])


def test_the_bootstrap_is_that_of_scipy_over_the_same_resamplings():
    """Oracle: scipy's coefficients of each resample, drawn by the same generator."""
    random = np.random.default_rng(3)
    x = random.normal(size=15)
    y = x + random.normal(size=15)
    drawn = np.random.default_rng(0).integers(0, 15, (200, 15))
    found = agreement(x, y, k=3, draws=200)
    for name, coefficient in (("kendall", kendalltau), ("spearman", spearmanr)):
        values = [coefficient(x[one], y[one]).statistic for one in drawn]
        assert getattr(found, name)[1:] == pytest.approx(np.quantile(values, [0.025, 0.975]))


def test_the_bootstrap_intervals_hold_the_true_correlation_about_as_often_as_they_say():
    """Oracle: simulated truth; a percentile interval over 25 designs is a little short, not more."""
    random = np.random.default_rng(4)
    rho, held, draws = 0.6, {"kendall": 0, "spearman": 0}, 1000
    truth = {"kendall": kendall_of(rho), "spearman": spearman_of(rho)}
    for _ in range(draws):
        x = random.normal(size=25)
        y = rho * x + (1 - rho**2) ** 0.5 * random.normal(size=25)
        found = agreement(x, y, k=5, draws=200)
        for name, value in truth.items():
            _, low, high = getattr(found, name)
            held[name] += low <= value <= high
    assert all(0.90 <= number / draws <= 0.98 for number in held.values()), held


def test_recall_is_the_part_of_the_true_best_that_the_cheap_best_hold():
    cheap, dear = [5, 4, 3, 2, 1, 0], [5, 0, 1, 4, 3, 2]
    assert agreement(cheap, dear, k=3).recall[0] == pytest.approx(1 / 3)  # {0, 1, 2} and {0, 3, 4}
    assert agreement(dear, dear, k=3).recall[0] == 1 and agreement(cheap, cheap, k=5).recall[0] == 1
    assert np.isnan(agreement(cheap, dear, k=6).recall[0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=3, max_size=6), st.integers(1, 2))
def test_of_equals_the_recall_is_its_mean_over_all_ways_to_break_the_ties(pairs, k):
    """Oracle: enumeration of every order of the designs, in both measurements independently."""
    x, y = np.array(pairs, dtype=float).T

    def bests(values):
        orders = permutations(range(len(values)))
        return [frozenset(sorted(order, key=lambda i: -values[i])[:k]) for order in orders]

    of_x, of_y = (Counter(bests(values)) for values in (x, y))
    total = of_x.total() * of_y.total()
    expected = sum(m * n * len(a & b) for a, m in of_x.items() for b, n in of_y.items()) / k / total
    assert agreement(x, y, k, draws=1).recall[0] == pytest.approx(expected)


def test_the_interval_of_recall_holds_what_other_designs_give_about_as_often_as_it_says():
    """Oracle: the mean recall of simulated designs; in steps of 1 / k the interval can't be exact."""
    random = np.random.default_rng(5)
    n, k, rho = 40, 8, 0.6
    x = random.normal(size=(2000, n))
    y = rho * x + (1 - rho**2) ** 0.5 * random.normal(size=(2000, n))
    best = [np.argsort(-values, axis=1)[:, :k] for values in (x, y)]
    truth = np.mean([len(set(a) & set(b)) / k for a, b in zip(*best, strict=True)])
    held = 0
    for a, b in zip(x[:600], y[:600], strict=True):
        _, low, high = agreement(a, b, k, draws=200).recall
        held += low <= truth <= high
    assert 0.90 <= held / 600 <= 0.99, held / 600


def test_thousands_of_designs_take_little_memory():
    """In one piece the signs of the pairs of 3,000 designs would be 72 MB, five times."""
    random = np.random.default_rng(0)
    x = random.normal(size=3000)
    tracemalloc.start()
    found = agreement(x, x + random.normal(size=3000), k=5, draws=100)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 150e6 and found.kendall[1] < found.kendall[0] < found.kendall[2]


def rows_at(values, epochs, schedule=9, seeds=(0,), **changes):
    status = "complete" if epochs == schedule else "stopped"
    return [
        a_row(
            network_key=f"n{i}", key=f"k{i}", accuracy=float(v), epochs=epochs, schedule_epochs=schedule,
            status=status, seed=seed, params=100 - i, macs=1000 + i, **changes,
        )
        for i, v in enumerate(values)
        for seed in seeds
    ]  # fmt: skip


def test_each_rung_and_the_baselines_are_held_against_the_dearest_training():
    """Oracle: scipy on the same numbers."""
    dear = [0.5, 0.6, 0.4, 0.7, 0.65, 0.3]
    cheap = [0.2, 0.3, 0.1, 0.25, 0.35, 0.15]
    found = fidelity(frame_of(rows_at(dear, 9) + rows_at([*cheap, 0.9], 3)), k=2)
    assert list(found["measure"]) == ["accuracy", "params", "macs"]
    line = found.iloc[0]
    assert (line["epochs"], line["dear_epochs"], line["designs"], line["of"]) == (3, 9, 6, 7)
    assert line["kendall"] == pytest.approx(kendalltau(cheap, dear).statistic)
    assert line["recall"] == 0.5 and line["kendall_low"] <= line["kendall"] <= line["kendall_high"]
    assert line["same_training"] == 6, "a rung and the end of one run"
    assert found.iloc[1]["spearman"] == pytest.approx(spearmanr(-np.arange(6), dear).statistic)
    assert found.iloc[2]["spearman"] == pytest.approx(-found.iloc[1]["spearman"]) and np.isnan(line["kendall_ceiling"])


def test_fewer_than_five_designs_are_said_and_not_computed():
    found = fidelity(frame_of(rows_at([0.1, 0.2, 0.3, 0.4, 0.5], 9) + rows_at([0.1, 0.2, 0.3], 3)))
    assert found.iloc[0]["designs"] == 3 and np.isnan(found.iloc[0]["kendall"])
    with pytest.raises(UserError, match="5 designs"):
        fidelity(frame_of(rows_at([0.1, 0.2, 0.3], 9)))


def test_a_dearer_training_of_too_few_designs_measures_nothing():
    rows = rows_at([0.1, 0.2, 0.3, 0.4, 0.5], 9) + rows_at([0.1, 0.2], 200, schedule=200)
    assert set(fidelity(frame_of(rows))["dear_epochs"]) == {9}


def test_families_are_never_mixed_unless_asked_for_and_then_they_are_labelled():
    here, there = [0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.1, 0.3, 0.4, 0.6]
    rows = rows_at(here, 9) + rows_at(there, 3, schedule=3, backbone="resnet20", data="other", data_hash="other")
    frame = frame_of(rows)
    assert set(fidelity(frame)["measure"]) == {"params", "macs"}
    line = fidelity(frame, across=True).iloc[0]
    assert (line["data"], line["backbone"], line["dear_data"], line["dear_backbone"]) == (
        "other",
        "resnet20",
        "synthetic",
        "resnet8",
    )
    assert line["kendall"] == pytest.approx(kendalltau(here, there).statistic) and line["same_training"] == 0


def test_the_ceiling_is_what_two_noisy_measurements_of_one_truth_reach():
    """Oracle: simulation; both fidelities order the designs alike but for the luck of their seeds."""
    random = np.random.default_rng(6)
    designs, seeds = 1000, 2
    truth = random.normal(0.5, 0.02, designs)
    frames = []
    for epochs, luck in ((3, 0.03), (9, 0.01)):
        rows = pd.DataFrame([asdict(row) for row in rows_at([0.5] * designs, epochs, epochs, range(seeds))])
        values = np.repeat(truth, seeds) + random.normal(0, luck, designs * seeds)
        frames.append(rows.assign(accuracy=values, recipe_hash=f"r{epochs}"))
    line = fidelity(pd.concat(frames), draws=1).iloc[0]
    assert line["kendall"] == pytest.approx(line["kendall_ceiling"], abs=0.04)
    assert line["spearman"] == pytest.approx(line["spearman_ceiling"], abs=0.04)
    assert line["spearman_ceiling"] < 0.8 and line["same_training"] == 0


def test_the_ceiling_is_of_the_designs_that_are_compared():
    """Oracle: simulation. Of 300 designs the best 40 were promoted: they differ less than all do."""
    random = np.random.default_rng(7)
    truth = np.sort(random.normal(0.5, 0.02, 300))[::-1]
    frames = []
    for epochs, some in ((3, truth), (9, truth[:40])):
        rows = pd.DataFrame([asdict(row) for row in rows_at(some, epochs, epochs, range(3))])
        frames.append(
            rows.assign(accuracy=rows["accuracy"] + random.normal(0, 0.01, len(rows)), recipe_hash=f"r{epochs}")
        )
    line = fidelity(pd.concat(frames), draws=1).iloc[0]
    noise = 0.01 / 3**0.5
    luck = np.random.default_rng(8).normal(0, noise, (2, 400, 40))
    reached = np.mean([spearmanr(truth[:40] + a, truth[:40] + b).statistic for a, b in zip(*luck, strict=True)])
    assert line["spearman_ceiling"] == pytest.approx(reached, abs=0.12)
    assert line["spearman_ceiling_low"] < reached < line["spearman_ceiling_high"]


def test_a_baseline_that_cannot_be_told_is_left_out_and_the_rest_is_not():
    rows = rows_at([0.5, 0.6, 0.4, 0.7, 0.65], 9)
    other = [asdict(row) | {"macs_convention": "another"} for row in rows[:2]]
    mixed = pd.concat([pd.DataFrame(other), frame_of(rows[2:])])
    assert list(fidelity(mixed)["measure"]) == ["params"]


@pytest.mark.parametrize("given", [{"k": 0}, {"draws": 0}])
def test_counts_below_one_are_refused(given):
    with pytest.raises(UserError, match="1 or more"):
        fidelity(frame_of(rows_at([0.1] * 5, 9)), **given)
