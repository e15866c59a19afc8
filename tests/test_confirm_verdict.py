"""What a confirmation says of designs that fail, that are alike, that win; and that it does not flatter the winner.

Oracles: the known truth of trainings that take no time; simulated truth.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from confirmations import confirmed

from search import report_notes
from search.confirm import Asked, ConfirmError, find, retry_failed
from search.verdict import verdict


def test_a_design_that_diverges_is_left_out_by_name_and_cannot_win(world, setting, store):
    world.fails = {("max/conv1d", 9): "nan"}
    _, state = confirmed(setting, store)
    arm = next(arm for arm in state.arms if arm.design == "max/conv1d")
    assert arm.failure == "nan" and state.leader != "max/conv1d" and arm.design not in state.standing
    assert "left out: a training failed (nan)" in "\n".join(verdict(state))


def test_a_failure_that_the_next_training_would_share_ends_the_command_and_can_be_retried(world, setting, store):
    world.fails = {("none", 8): "oom"}
    with pytest.raises(ConfirmError, match=r"none failed with seed 8 \(oom\).*--retry-failed"):
        confirmed(setting, store)
    plan = find(Asked(top=3, seeds=4, report_seeds=3), setting.context, store)
    world.fails = {}
    assert retry_failed(plan, store) == 1
    _, state = confirmed(setting, store)
    assert state.winner == "max/conv1d" and all(arm.failure is None for arm in state.arms)


def test_without_a_retry_the_same_command_goes_on_without_the_failed_reference(world, setting, store):
    world.fails = {("none", 8): "oom"}
    with pytest.raises(ConfirmError):
        confirmed(setting, store)
    _, state = confirmed(setting, store)
    assert state.winner == "max/conv1d" and [gap.against for gap in state.report.gaps] == ["se"]


def test_the_only_design_whose_trainings_end_well_leads_and_is_reported(world, setting, store):
    world.fails = {("avg/mlp-r16", 8): "nan", ("none", 8): "nan"}
    _, state = confirmed(setting, store, designs=("max/conv1d",))
    assert state.winner == state.leader == "max/conv1d" and state.decided
    assert [(mean.design, mean.n) for mean in state.report.means] == [("max/conv1d", 3)]
    said = "\n".join(verdict(state))
    assert "the only design whose trainings all ended well: nothing was compared" in said
    assert "Not compared, as a training failed: none, avg/mlp-r16; --retry-failed" in said and "better than" not in said


def test_a_winner_is_better_than_what_was_compared_and_no_more_is_claimed(world, setting, store):
    world.fails = {("avg/conv1d", 9): "nan"}
    _, state = confirmed(setting, store)
    said = "\n".join(verdict(state))
    assert "Winner: max/conv1d. It is better than every other design here whose trainings all ended well." in said
    assert "Not compared, as a training failed: avg/conv1d; --retry-failed" in said


def test_a_winner_of_whom_no_fresh_training_worked_is_not_recommended(world, setting, store):
    world.fails = {("max/conv1d", seed): "nan" for seed in (12, 13, 14)}
    _, state = confirmed(setting, store)
    assert state.winner == "max/conv1d"
    said = "\n".join(verdict(state))
    assert "nothing can be said: all 3 trainings failed" in said and "?" not in said.partition("Fresh")[2]
    assert said.splitlines()[-1].startswith("Next: --retry-failed") and "--final" not in said
    assert report_notes.confirmed([store])[1] == [], "and the report does not count it as confirmed"


def test_designs_that_are_alike_are_a_set_and_no_winner(world, setting, store):
    world.sd = 0.05
    _, state = confirmed(setting, store, designs=("avg/conv1d", "avg/mlp-r4"), seeds=3)
    assert state.winner is None and {"avg/conv1d", "avg/mlp-r4"} <= set(state.standing)
    said = "\n".join(verdict(state))
    assert "can't be told apart from the best" in said and "n = 3" in said


def test_no_text_of_a_plan_steers_the_terminal(world, setting, store):
    _, state = confirmed(setting, store)
    steers = "\x1b[2J\x07"
    arms = tuple(replace(arm, design=steers) for arm in state.arms)
    means = tuple(replace(mean, design=steers) for mean in state.report.means)
    forged = replace(state, study=steers, arms=arms, standing=(steers,), leader=steers, winner=steers)
    forged = replace(forged, report=replace(state.report, means=means, recipe=steers))
    for told in (forged, replace(forged, winner=None)):
        assert all(line.isprintable() for line in verdict(told)) and "\\x1b[2J" in "\n".join(verdict(told))


def test_what_is_reported_of_the_winner_is_free_of_its_luck():
    """Oracle: simulated truth, 1,000 confirmations of five designs that are all alike: the mean of the seeds that chose
    is too high, the reported one is not, and its interval and that of the gap hold the truth as often as they say."""
    from results.best import race
    from results.reported import report_of
    from results.studies import Study

    networks = [f"n{arm}" for arm in range(5)]
    plan = {"networks": networks, "designs": networks, "split": "validation", "recipe": "r", "epochs": 1}
    study = Study(id="s", name="s", config=plan, created=0.0)
    random = np.random.default_rng(0)
    chosen, reported, held, gap_held, draws = [], [], 0, 0, 1000
    for _ in range(draws):
        runs = 0.5 + 0.01 * random.normal(size=(10, 5))
        now = race(runs[:5])
        leader = now.leader
        chosen.append(now.mean[leader])
        runs_of = {(networks[arm], seed): float(runs[seed, arm]) for seed in range(5, 10) for arm in range(5)}
        rows = {run: SimpleNamespace(status="complete", accuracy=accuracy) for run, accuracy in runs_of.items()}
        measured = {networks[leader]: "the leader"} | {n: n for n in networks[:2] if n != networks[leader]}
        report = report_of(study, rows, measured, tuple(range(5, 10)))
        mean, gap = report.means[0], report.gaps[0]
        reported.append(mean.mean)
        held += mean.low <= 0.5 <= mean.high
        gap_held += gap.low <= 0 <= gap.high
    error = 0.01 / (5 * draws) ** 0.5
    assert np.mean(chosen) - 0.5 > 10 * error, "the winner's curse is there to be lifted"
    assert abs(np.mean(reported) - 0.5) < 4 * error
    assert held / draws == pytest.approx(0.95, abs=0.022) and gap_held / draws == pytest.approx(0.95, abs=0.022)
