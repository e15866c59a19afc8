"""What `attnas results noise` and `fidelity` print. The numbers have their oracles in test_results_*."""

import json

import numpy as np
import pytest
from test_results_fidelity import rows_at

from results import open_store


@pytest.fixture
def url(tmp_path):
    """Eight designs with three seeds at 9 epochs, and with one at the rung of 3."""
    random = np.random.default_rng(0)
    truth = 0.5 + 0.02 * np.arange(8)
    url = f"sqlite:///{tmp_path}/rows.db"
    with open_store(url) as store:
        for seed in range(3):
            for row in rows_at(truth + 0.005 * random.normal(size=8), 9, seeds=[seed]):
                store.finish(row)
        for row in rows_at(truth - 0.2 + 0.01 * random.normal(size=8), 3):
            store.finish(row)
    return url


def test_noise_says_how_large_luck_is_what_a_gap_needs_and_what_a_ranking_can_reach(attnas, url):
    said = attnas("results", "noise", "--gap", 1, "--storage", url).out
    assert "n = 24 runs of 8 designs" in said and "): 1 point " in said and "0.25 points" not in said
    assert "ranking by 3 seeds" in said and "with the truth: Spearman" in said
    [row] = json.loads(attnas("results", "noise", "--gap", 1, "--storage", url, "--json").out)
    assert row["sd_low"] < row["sd_between_seeds"] < row["sd_high"] and row["seeds_for_1"] >= 2
    more = json.loads(attnas("results", "noise", "--seeds", 9, "--storage", url, "--json").out)[0]
    assert more["spearman_truth"] > row["spearman_truth"]


def test_where_designs_are_not_seen_to_differ_it_is_said_with_how_far_they_may(attnas, tmp_path):
    """Four designs of two seeds in which the luck is larger than the differences: no proof that there are none."""
    url = f"sqlite:///{tmp_path}/alike.db"
    with open_store(url) as store:
        for seed, luck in enumerate((-0.01, 0.01)):
            for epochs in (3, 9):
                for row in rows_at(0.5 + 0.001 * np.arange(6) + luck, epochs, epochs, [seed], recipe_hash=f"r{epochs}"):
                    store.finish(row)
    said = attnas("results", "noise", "--gap", 1, "--storage", url, "--where", "epochs == 9").out
    assert "not seen to differ" in said and "any ranking" not in said
    assert "Spearman 0.00 (0.00 to 0." in said
    said = attnas("results", "fidelity", "--storage", url).out
    assert "0.00 (0.00 to 0." in said and "At most 0.00: designs are not seen to differ" in said


def test_fidelity_without_macs_of_one_convention_says_why(attnas, tmp_path):
    url = f"sqlite:///{tmp_path}/mixed.db"
    with open_store(url) as store:
        for row in rows_at([0.1, 0.2, 0.3], 9) + rows_at([0, 0, 0, 0.4, 0.5, 0.6], 9, macs_convention="other")[3:]:
            store.finish(row)
    done = attnas("results", "fidelity", "--k", 2, "--storage", url)
    assert done.code == 0 and "No line of MACs" in done.out and "params" in done.out


def test_a_gap_beyond_counting_is_called_so(attnas, url):
    assert "1e-05 points more than 100,000" in attnas("results", "noise", "--gap", 1e-5, "--storage", url).out


def test_noise_refuses_a_gap_that_is_none(attnas, url):
    done = attnas("results", "noise", "--gap", 0, "--storage", url)
    assert done.code == 2 and "gap: 0 given" in done.err


def test_fidelity_says_what_is_held_against_what_and_what_flatters(attnas, url):
    said = attnas("results", "fidelity", "--k", 3, "--storage", url).out
    assert "against synthetic, resnet8" in said and "3 of 9 epochs" in said and "8 of 8" in said
    assert "params" in said and "macs" in said and "top 3" in said
    assert "luck is shared" in said and "3 epochs: 8 of 8 designs" in said and "No ceiling" in said
    found = json.loads(attnas("results", "fidelity", "--k", 3, "--storage", url, "--json").out)
    assert [row["measure"] for row in found] == ["accuracy", "params", "macs"]
    assert found[0]["kendall_ceiling"] is None and 0 < found[1]["kendall_ceiling"] <= 1
    assert attnas("results", "fidelity", "--storage", url, "--csv").out.count("\n") == 4


def test_fidelity_across_without_another_family_says_so(attnas, url):
    done = attnas("results", "fidelity", "--across", "--storage", url)
    assert done.code == 2 and "fidelity:" in done.err
