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
from benchmarks.speed.trials import KINDS, SMALL, agreement, report, write_trials


def test_answers_are_compared_by_design_and_seed_and_each_seed_counts_once():
    """Two designs of one seed are equally off: with 2 x 3 pairs for 3 seeds the interval would be too narrow."""
    less = [0.1, 0.0, 0.05]
    ours = [Trial(design, seed, 0.5 + 0.1 * seed, 1.0 + seed, 1.0) for design in ("none", "se") for seed in range(3)]
    off = [less[trial.seed] + (0.02 if trial.design == "se" else -0.02) for trial in ours]
    theirs = [
        replace(trial, accuracy=trial.accuracy - by, train_loss=trial.train_loss + by)
        for trial, by in zip(ours, off, strict=True)
    ]
    half = stats.t.ppf(0.975, 2) * np.std(less, ddof=1) / np.sqrt(3)
    assert agreement(ours, theirs[::-1]) == pytest.approx((0.05, 0.05 - half, 0.05 + half))
    assert agreement(ours, theirs, "train_loss") == pytest.approx((-0.05, -0.05 - half, -0.05 + half))


def test_every_trial_is_in_the_table_beside_the_report(tmp_path):
    trials = [Trial("none", 3, 0.5, 1.25, 8.0), Trial("avg/mlp-r4", 3, 0.625, 1.0, 9.0)]
    write_trials(
        tmp_path / "few.csv", {"plain": [Carried(9.0, trials, [], "")], "attnas": [Carried(1.0, [], [], "")] * 2}
    )
    lines = (tmp_path / "few.csv").read_text().splitlines()
    assert lines[0] == "side,set,design,seed,accuracy,train_loss,seconds"
    assert lines[1:] == ["plain,0,none,3,0.5,1.25,8.0", "plain,0,avg/mlp-r4,3,0.625,1.0,9.0"]


def test_between_trainings_is_what_each_worker_did_not_train():
    rows = [("a", 0.0, 5.2, 5.0), ("b", 0.0, 6.0, 6.0), ("a", 5.5, 10.75, 5.0), ("b", 6.1, 11.0, 4.75)]
    named = [SimpleNamespace(owner=o, started=s, finished=f, seconds=t) for o, s, f, t in rows]
    assert between(named) == pytest.approx([0.55, 0.25])  # of the first of each it is not known


def test_a_set_is_reported_with_ratio_agreement_and_overhead():
    kind = SMALL

    def carried(wall, seconds):
        each = [(design, seed) for design in kind.designs for seed in range(kind.seeds)]
        found = [Trial(design, seed, 0.5 + 0.01 * seed, wall / 10 * (1 + seed), seconds) for design, seed in each]
        return Carried(wall, found, [0.05], "bfloat16")

    found = {"plain": [carried(30.0, 8.0), carried(80.0, 8.0)], "attnas": [carried(10.0, 5.0), carried(20.0, 5.0)]}
    found |= {"attnas, one worker": [carried(20.0, 5.0)] * 2, "plain, tuned": [carried(15.0, 5.0)] * 2}
    text = report(kind, found, {"attnas": 90.0})
    assert "attnas to plain, by rounds: 3.5 (3 to 4);" in text
    assert "attnas to plain, tuned: 1.12 (0.75 to 1.5)." in text and "one worker to attnas: 0.75 (0.5 to 1)." in text
    assert "50 (50 to 50) ms a trial, 1 % of a training" in text and "| 90 |" in text
    assert "training loss of the last epoch -9.7500 (" in text  # of 1 and 2, less 8, and of twice that
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
