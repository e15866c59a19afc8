"""The benchmark of trials compares what it says. What it finds is in benchmarks/, not here."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from benchmarks.speed.__main__ import TRIALS, main
from benchmarks.speed.trial_sets import Carried, Trial, between
from benchmarks.speed.trials import KINDS, SMALL, agreement, report


def test_accuracies_are_compared_by_design_and_seed_in_whatever_order_they_come():
    ours = [Trial("none", seed, accuracy, 2 * accuracy, 1.0) for seed, accuracy in enumerate((0.5, 0.6, 0.8))]
    less = [0.1, 0.0, 0.05]
    theirs = [replace(trial, accuracy=trial.accuracy - less[trial.seed]) for trial in ours]
    difference, low, high = agreement(ours, theirs[::-1])
    half = stats.t.ppf(0.975, 2) * np.std(less, ddof=1) / np.sqrt(3)
    assert (difference, low, high) == pytest.approx((0.05, 0.05 - half, 0.05 + half))
    more = [replace(trial, train_loss=trial.train_loss + less[trial.seed]) for trial in ours]
    assert agreement(ours, more, "train_loss") == pytest.approx((-0.05, -0.05 - half, -0.05 + half))


def test_between_trainings_is_what_each_worker_did_not_train():
    rows = [("a", 0.0, 5.2, 5.0), ("b", 0.0, 6.0, 6.0), ("a", 5.5, 10.75, 5.0), ("b", 6.1, 11.0, 4.75)]
    named = [SimpleNamespace(owner=o, started=s, finished=f, seconds=t) for o, s, f, t in rows]
    assert between(named) == pytest.approx([0.55, 0.25])  # of the first of each it is not known


def test_a_set_is_reported_with_ratio_agreement_and_overhead():
    kind = SMALL

    def carried(wall, seconds):
        each = [(design, seed) for design in kind.designs for seed in range(kind.seeds)]
        found = [Trial(design, seed, 0.5 + 0.01 * seed, wall / 10, seconds) for design, seed in each]
        return Carried(wall, found, [0.05], "bfloat16")

    found = {"plain": [carried(30.0, 8.0), carried(80.0, 8.0)], "attnas": [carried(10.0, 5.0), carried(20.0, 5.0)]}
    found |= {"attnas, one worker": [carried(20.0, 5.0)] * 2, "plain, tuned": [carried(15.0, 5.0)] * 2}
    text = report(kind, found, {"attnas": 90.0})
    assert "attnas to plain, by rounds: 3.5 (3 to 4);" in text
    assert "attnas to plain, tuned: 1.12 (0.75 to 1.5)." in text and "one worker to attnas: 0.75 (0.5 to 1)." in text
    assert "50 (50 to 50) ms a trial, 1 % of a training" in text and "| 90 |" in text
    assert "training loss of the last epoch -6.5000 (" in text  # of 1 and 2, less 8
    few = {side: found[side] for side in ("plain", "attnas")}
    assert "tuned" not in report(replace(kind, sides=("plain", "attnas")), few, {})
    few["attnas"] = [replace(one, between=[]) for one in few["attnas"]]  # a trial a worker
    assert "between trainings" not in report(replace(kind, sides=("plain", "attnas")), few, {})


def test_the_kinds_of_trials_are_the_parts_that_can_be_asked_for():
    assert tuple(KINDS) == TRIALS


def test_data_that_are_no_folder_are_refused_before_anything_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["speed", "long", "--data", f"folder:{tmp_path}/images.tar.gz"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "images.tar.gz was given, but there is no such directory" in capsys.readouterr().err
