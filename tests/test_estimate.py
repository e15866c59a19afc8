"""What is still to do, and the words and numbers in which it is said."""

import random
import time
from dataclasses import replace

import pytest
from pretended import RECIPE, pretend, run
from searches import SPACE

from results.lease import this_owner
from search.budget import Budget
from search.estimate import (
    epochs_to_train,
    expected_epochs,
    expected_promotions,
    expected_rows,
    seconds_left,
    seconds_of_a_rung,
    trials_within,
)
from search.halving import Rungs
from search.lookout import Silent
from search.objective import Setting
from search.wording import duration, quantity, size, worker_name
from search_space import PRESETS


class Keeping(Silent):
    def begin(self, study, budget):
        self.study, self.budget = study, budget


@pytest.fixture
def study(store, blobs, monkeypatch):
    """Nine trials of which rungs 1, 3 and 9 have rows, 2 seconds an epoch."""
    pretend(monkeypatch)
    report = Keeping()
    run(store, blobs, report=report)
    return report.study


@pytest.mark.parametrize("factor", [2, 3])
def test_expected_promotions_are_those_of_the_rule_itself_in_orders_drawn_anew(factor):
    """Oracle: `Rungs.promotable`, asked after every arrival, over 30 orders that the estimate has not drawn."""
    rungs = Rungs((1, factor), factor)
    found = []
    for seed in range(100, 130):
        draw, values, promoted = random.Random(seed), {}, set()
        for number in range(40):
            values[str(number)] = (draw.random(),)
            promoted |= set(rungs.promotable(values))
        found.append(len(promoted))
    assert expected_promotions(40, factor) == pytest.approx(sum(found) / len(found), abs=2)
    assert expected_promotions(factor - 1, factor) == 0 and expected_promotions(factor, factor) == 1


def test_without_halving_every_trial_is_one_evaluation():
    assert expected_rows(40, Rungs((10,))) == {10: 40}


def test_a_promoted_trial_trains_from_where_its_checkpoint_left_off(study):
    """Oracle: by hand. A fourth of each rung is the decay, which the next rung does not see: 3 - 0.75, 9 - 2.25; a
    trunk is whole steps, three an epoch here: 2 of 3 steps, 7 of 9."""
    assert epochs_to_train(study) == pytest.approx({1: 1.0, 3: 3 - 2 / 3, 9: 9 - 7 / 3})
    study.checkpoints = None
    assert epochs_to_train(study) == {1: 1.0, 3: 3.0, 9: 9.0}


def test_trials_within_a_budget_are_the_most_whose_epochs_fit(study):
    assert trials_within(study, Budget(trials=7)) == 7
    assert trials_within(study, Budget(trials=None)) == len(study.candidates.networks)
    within = trials_within(study, Budget(trials=None, epochs=40))
    assert expected_epochs(within, study) <= 40 < expected_epochs(within + 1, study)


def test_time_left_is_what_is_left_times_what_its_like_took_shared_by_who_works(study, monkeypatch):
    usual = {1: 2.0, 3: 5.0, 9: None}
    monkeypatch.setattr(study.mirror, "usual_seconds", usual.get)
    each = epochs_to_train(study)
    assert seconds_of_a_rung(study) == pytest.approx({1: 2.0, 3: 5.0, 9: 5.0 / each[3] * each[9]})
    assert seconds_left(study, Budget(trials=9)) == 0
    alone = seconds_left(study, Budget(trials=30))
    wanted, done = expected_rows(30, study.plan.rungs), {rung: len(rows) for rung, rows in study.mirror.at_rung.items()}
    by_hand = sum(seconds * max(0, wanted[rung] - done[rung]) for rung, seconds in seconds_of_a_rung(study).items())
    assert alone == pytest.approx(by_hand) and alone > 20
    now = time.time()
    for number in range(2):
        row = Setting(study.setting.data, "resnet8", RECIPE).row(PRESETS["se"], number, epochs=1)
        study.mirror.add_running(replace(row, owner=this_owner(), heartbeat=now, started=now))
    assert seconds_left(study, Budget(trials=30)) == pytest.approx(alone / 2, abs=0.5)
    assert seconds_left(study, Budget(trials=30), deadline=now + 1) <= 1


def test_there_is_no_estimate_before_the_first_row(store, blobs, monkeypatch):
    report = Keeping()
    seen = []
    report.begin = lambda study, budget: seen.append(seconds_left(study, budget))
    pretend(monkeypatch)
    run(store, blobs, SPACE, trials=1, report=report)
    assert seen == [None]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.25, "0.25 s"), (45, "45 s"), (89, "89 s"), (600, "10 min"), (12_000, "3 h 20 min"), (187_200, "2 d 4 h")],
)
def test_durations_have_no_more_digits_than_an_estimate_has(seconds, said):
    assert duration(seconds) == said


def test_quantities_have_units_and_owners_are_host_and_process():
    assert quantity("latency", 0.00123) == "1.23 ms" and quantity("accuracy", 0.612) == "61.20%"
    assert size(812_000) == "812 kB" and size(12) == "12 B"
    assert worker_name("node1/4026531836:4242:99") == "node1:4242"
