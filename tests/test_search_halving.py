"""Searches that stop early: equal fidelity only, exact budgets, and nothing trained twice."""

from collections import Counter
from functools import partial

import pytest
import searches
from searches import FACTS

from results import pareto
from search import objective as objective_module
from search_space import PRESETS
from trainers import PROXY
from trainers.outcome import Outcome

RECIPE = PROXY.changed(epochs=9, batch_size=60, crop_padding=1)


PUBLISHED = [str(PRESETS[name]) for name in ("none", "eca", "pfca", "gaussian-gct")]  # those that lie in SPACE


def quality(design) -> float:
    return 0.5 + 0.1 * (design.squeeze == "dct") + 0.1 * (design.excitation == "conv1d") + 0.02 * design.each


STEPS = 180 // 60  # an epoch of the blobs


def trunk(epochs: int) -> float:
    """Epochs before the decay of a rung: three quarters, in whole steps."""
    return round(0.75 * epochs * STEPS) / STEPS


@pytest.fixture
def pretended(monkeypatch):
    """Instead of training: accuracy as a fixed function of the design and of how far it was trained."""
    calls = []

    def pretend(design, *_, seed, until, checkpoint, recipe, **__):
        found = checkpoint is not None and checkpoint.exists()
        calls.append((str(design), seed, until, found))
        since = float(checkpoint.read_text()) if found else 0.0
        if until < recipe.epochs:
            checkpoint.parent.mkdir(exist_ok=True)
            checkpoint.write_text(str(trunk(until)))
        status = "complete" if until == recipe.epochs else "stopped"
        return Outcome(
            status=status, accuracy=quality(design) + until / 100, loss=1.0, epochs_trained=until - since, **FACTS
        )

    monkeypatch.setattr(objective_module, "train", pretend)
    return calls


run = partial(searches.run, trials=27, recipe=RECIPE)


def test_each_rung_trains_a_third_of_the_one_below(store, blobs, pretended):
    """Oracle: ASHA's promotion counts, floor(n / 3) a rung once everything has ended."""
    rows = run(store, blobs)
    assert Counter(row.epochs for row in rows) == {1: 27, 3: 9, 9: 3}
    assert len(pretended) == len(rows) == len({row.identity for row in rows})


def test_a_stopped_trial_is_stopped_and_fronts_compare_equal_fidelity_only(store, blobs, pretended):
    rows = run(store, blobs)
    assert {(row.epochs, row.status) for row in rows} == {(1, "stopped"), (3, "stopped"), (9, "complete")}
    assert {row.schedule_epochs for row in rows} == {9}
    front = pareto(store.frame())
    assert set(front["epochs"]) == {9}, "a stopped row has no place on a front of complete ones"


def test_the_best_of_a_rung_go_on_and_the_dominated_do_not(store, blobs, pretended):
    """With accuracy alone the promoted are the most accurate that the rung has seen when it ends, or before."""
    rows = run(store, blobs, objectives="accuracy", sampler="random", warm_start_from="none")
    first = sorted((row.accuracy for row in rows if row.epochs == 1), reverse=True)
    best = {row.network_key for row in rows if row.epochs == 1 and row.accuracy > first[8]}
    assert best <= {row.network_key for row in rows if row.epochs == 3}


def test_a_promotion_goes_on_from_the_state_the_rung_left(store, blobs, pretended):
    run(store, blobs)
    assert all(found == (until > 1) for _, _, until, found in pretended)


def test_a_stopped_search_goes_on_as_if_it_had_never_been(tmp_path, blobs, pretended):
    from results import open_store

    traces = []
    for name, targets in (("whole", [27]), ("pieces", [1, 4, 11, 27])):
        pretended.clear()
        with open_store(f"sqlite:///{tmp_path}/{name}.db") as store:
            for trials in targets:
                rows = run(store, blobs, trials=trials)
        traces.append([row.identity for row in rows])
        assert len(pretended) == len(set(pretended))
    assert traces[0] == traces[1]


def test_without_halving_every_trial_is_trained_to_the_end_under_the_recipes_own_schedule(store, blobs, pretended):
    rows = run(store, blobs, trials=5, halving=False)
    assert {(row.epochs, row.schedule_epochs, row.status) for row in rows} == {(9, 9, "complete")} and len(rows) == 5
    assert {row.recipe_hash for row in rows} == {RECIPE.hash}


def test_a_bracket_leaves_out_the_shortest_rungs(store, blobs, pretended):
    assert Counter(row.epochs for row in run(store, blobs, bracket=1)) == {3: 27, 9: 9}


@pytest.mark.parametrize("budget", [1, 7, 20.5, 60])
def test_epochs_in_all_are_never_exceeded_and_used_up_to_the_last_that_fits(store, blobs, pretended, budget):
    """Oracle: a rung trains its epochs less the trunk that the rung below left."""
    rows = run(store, blobs, trials=None, epochs_total=budget)
    spent = sum(row.epochs - {1: 0.0, 3: trunk(1), 9: trunk(3)}[row.epochs] for row in rows)
    assert spent <= budget + 1e-6 and budget - spent < 1
    assert sum(row.epochs_trained for row in rows) == pytest.approx(spent)


def test_further_seeds_are_trained_on_purpose_and_never_the_same_one_twice(store, blobs, pretended):
    rows = run(store, blobs, trials=12, replicates=3, halving=False)
    seeds = Counter(row.network_key for row in rows)
    assert set(seeds.values()) == {3} and {row.seed for row in rows} == {0, 1, 2} and len(rows) == 12
    assert len(set(pretended)) == len(pretended) == 12


def test_a_network_goes_on_with_all_its_seeds_or_with_none(store, blobs, pretended):
    """So that no seed is chosen for its luck: every network of a rung has as many rows there as there are seeds."""
    rows = run(store, blobs, trials=27 * 3, replicates=3)
    counts = Counter((row.epochs, row.network_key) for row in rows)
    assert set(counts.values()) == {3}
    assert Counter(epochs for epochs, _ in counts) == {1: 27, 3: 9, 9: 3}


def test_a_design_from_outside_the_space_stays_in_its_study(store, blobs, pretended, tmp_path):
    asked = tmp_path / "first.txt"
    asked.write_text("cbam\ntriplet\nsimam\n")
    first = run(store, blobs, trials=3, halving=False, warm_start_from=str(asked))
    assert run(store, blobs, trials=3, halving=False, warm_start_from="none") == first and len(pretended) == 3


def test_published_designs_of_the_space_go_first_and_can_be_left_out(store, blobs, pretended, tmp_path):
    run(store, blobs, trials=len(PUBLISHED), halving=False)
    assert [text for text, *_ in pretended] == PUBLISHED
    asked = tmp_path / "first.txt"
    asked.write_text("dct-top4/conv1d  # a comment\n\ncbam\n")
    pretended.clear()
    run(store, blobs, trials=len(PUBLISHED) + 2, halving=False, warm_start_from=str(asked))
    asked_for = ["dct-top4/conv1d", str(PRESETS["cbam"])]
    assert [text for text, *_ in pretended] == [text for text in asked_for if text not in PUBLISHED]
