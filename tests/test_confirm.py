"""`attnas confirm` from plan to verdict, on trainings that take no time and whose truth is known.

Oracles: the known truth, an undisturbed run beside a disturbed one, counts of what was trained.
"""

import hashlib
import json
import os
import signal
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import sqlalchemy as sa
import typer

from results import open_store
from results.confirmed import confirmations, is_search
from results.lease import this_owner
from results.table import RECIPES
from search import confirm as confirm_module
from search import final as final_module
from search import objective as objective_module
from search import report_notes
from search.confirm import Asked, ConfirmError, begin, confirm, find, first_fresh_seed, retry_failed
from search.final import begin_final, finish
from search.machine import interruptible
from search.objective import Setting
from search.study_rows import StoredStudy
from search.verdict import verdict
from search_space import UserError, find_design
from trainers import PROXY
from trainers.outcome import Outcome

RECIPE = PROXY.changed(epochs=4, batch_size=60, crop_padding=1)
TRUTH = {"max/conv1d": 0.80, "avg/conv1d": 0.60, "avg/mlp-r4": 0.60, "avg/mlp-r16": 0.58, "none": 0.50}
FACTS = {"precision": "float32", "hardware": "none", "versions": {"torch": "2"}, "commit": None}


class World:
    """Trainings that give the truth of a design and a luck of their own; counted, and made to fail on demand."""

    def __init__(self, monkeypatch, sd: float = 0.01) -> None:
        self.sd, self.trained, self.fails, self.stop_after = sd, [], {}, None
        monkeypatch.setattr(objective_module, "train", self.train)

    def train(self, design, data, *, recipe, seed, split, on_epoch=None, **_):
        if len(self.trained) == self.stop_after:
            raise KeyboardInterrupt
        text = str(design)
        self.trained.append((text, seed, split, recipe.name))
        if (text, seed) in self.fails:
            failure = self.fails[text, seed]
            return Outcome(status="failed", failure=failure, error=f"Traceback\nError: {failure}", split=split, **FACTS)
        drawn = np.random.default_rng(int(hashlib.sha256(f"{text} {seed} {split}".encode()).hexdigest()[:8], 16))
        accuracy = float(np.clip(TRUTH[text] + self.sd * drawn.normal(), 0, 1))
        curves = [{"epoch": n, "train_loss": 1.0, "accuracy": accuracy, "loss": 1.0} for n in (1, 2)]
        for record in curves:
            if on_epoch is not None:
                on_epoch(record)
        facts = {"accuracy": accuracy, "loss": 1 - accuracy, "curves": curves, "seconds": 1.0, "epochs_trained": 4.0}
        return Outcome(status="complete", split=split, **facts, **FACTS)


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(confirm_module, "_POLL_SECONDS", 0.02)
    return World(monkeypatch)


@pytest.fixture
def setting(blobs):
    return Setting(blobs, "resnet8", RECIPE, precision="float32")


def searched(setting, store):
    """What a search left: a lucky seed of each design; and the frame of it."""
    for text, lucky in (("avg/conv1d", 0.9), ("max/conv1d", 0.85), ("avg/mlp-r4", 0.7), ("avg/mlp-r16", 0.4)):
        running = setting.row(find_design(text), 7)
        store.finish(replace(running, status="complete", accuracy=lucky, loss=1.0))
    return store.frame()


def confirmed(setting, store, **asked):
    words = Asked(**{"top": 3, "seeds": 4, "report_seeds": 3} | asked)
    plan = find(words, setting.context, store) or begin(words, setting, store, searched(setting, store))
    return plan, confirm(plan, setting, store)


def test_the_truly_best_wins_with_fresh_seeds_though_the_search_was_lucky_with_another(world, setting, store):
    plan, state = confirmed(setting, store)
    assert plan.config["designs"] == ["avg/conv1d", "max/conv1d", "avg/mlp-r4", "none", "avg/mlp-r16"]
    assert state.winner == "max/conv1d" and state.standing == ("max/conv1d",) and not state.wanted
    assert {seed for _, seed, _, _ in world.trained} <= set(range(8, 8 + 7)), "7 was the search's"
    mean = state.report.means[0]
    assert (mean.design, mean.n) == ("max/conv1d", 3) and mean.low < 0.80 < mean.high
    assert [(gap.against, gap.n, gap.paired) for gap in state.report.gaps] == [("none", 3, False), ("se", 3, False)]
    assert state.report.gaps[0].low < 0.30 < state.report.gaps[0].high
    reported = {(text, seed) for text, seed, _, _ in world.trained if seed >= 12}
    assert {text for text, _ in reported} == {"max/conv1d", "none", "avg/mlp-r16"} and len(reported) == 9
    assert confirmations(store) == [state] and all(row.study == plan.id for row in store.rows() if row.seed > 7)


def test_se_under_another_spelling_joins_once(world, setting, store):
    plan, _ = confirmed(setting, store, designs=("avg/mlp-r16", "se", "none"), seeds=2, report_seeds=1)
    assert plan.config["designs"] == ["avg/mlp-r16", "none"]


def test_an_interrupted_confirmation_goes_on_to_the_same_end_and_trains_nothing_twice(world, setting, tmp_path):
    with open_store(f"sqlite:///{tmp_path}/whole.db") as store:
        _, whole = confirmed(setting, store)
    undisturbed, world.trained = list(world.trained), []
    with open_store(f"sqlite:///{tmp_path}/parts.db") as store:
        done = 0
        while True:
            world.stop_after = len(world.trained) + 3
            try:
                _, state = confirmed(setting, store)
                break
            except KeyboardInterrupt:
                assert len(world.trained) == done + 3
                done = len(world.trained)
        assert len(store.studies.list()) == 1
    assert world.trained == undisturbed
    assert state.as_json() == whole.as_json()


def test_a_run_whose_process_was_killed_is_begun_again(world, setting, store):
    words = Asked(top=3, seeds=2, report_seeds=1)
    plan = begin(words, setting, store, searched(setting, store))
    killed = setting.row(find_design("none"), plan.config["seeds"][0])
    host, _, _ = this_owner().rpartition(":")[0].rpartition(":")
    store.claim(replace(killed, owner=f"{host}:999999:1"))
    assert not confirm(plan, setting, store).wanted
    assert store.get(killed.identity).status == "complete" and store.get(killed.identity).attempts == 2


def test_a_run_that_another_process_trains_is_waited_for_and_not_trained_here(world, setting, store):
    plan = begin(Asked(top=3, seeds=2, report_seeds=1), setting, store, searched(setting, store))
    there = replace(setting.row(find_design("none"), plan.config["seeds"][0]), owner="elsewhere:1:1")
    assert store.claim(there) is None
    done = replace(there, status="complete", accuracy=0.5, loss=1.0)
    later = threading.Thread(target=lambda: (time.sleep(0.3), store.finish(done)))
    later.start()
    state = confirm(plan, setting, store)
    later.join()
    assert not state.wanted and ("none", there.seed, "validation", "proxy") not in world.trained


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


def test_processes_of_one_command_begin_one_confirmation(world, setting, storage_url):
    """Both have looked and found none; the second to begin goes on with the plan of the first."""
    words = Asked(top=3, seeds=4, report_seeds=3)
    with open_store(storage_url) as store, open_store(storage_url) as other:
        rows = searched(setting, store)
        assert begin(words, setting, store, rows) == begin(words, setting, other, rows)
        assert len(store.studies.list()) == 1


def test_processes_of_one_command_begin_one_final(world, setting, store, monkeypatch):
    plan, state = confirmed(setting, store, seeds=2, report_seeds=1)
    theirs = []

    def meanwhile(text):
        if not theirs:
            theirs.append(None)
            theirs[0] = begin_final(plan, state, on_test(setting), store, 2)
            finish(theirs[0], on_test(setting), store)
        return find_design(text)

    monkeypatch.setattr(final_module, "find_design", meanwhile)
    assert begin_final(plan, state, on_test(setting), store, 2) == theirs[0]


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


def on_test(setting, **changes):
    return replace(setting, recipe=PROXY.changed(**({"epochs": 6, "batch_size": 60} | changes)), split="test")


def test_the_test_split_is_looked_at_once(world, setting, store):
    plan, state = confirmed(setting, store)
    final = begin_final(plan, state, on_test(setting), store, 2)
    report = finish(final, on_test(setting), store)
    assert [mean.design for mean in report.means] == ["max/conv1d", "none", "avg/mlp-r16"]
    rows = store.rows(split="test")
    assert len(rows) == 6 and {row.epochs for row in rows} == {6} and {len(row.curves) for row in rows} == {1}
    assert min(row.seed for row in rows) > max(row.seed for row in store.rows(split="validation"))
    count = len(world.trained)
    finish(begin_final(plan, state, on_test(setting), store, 2), on_test(setting), store)
    assert len(world.trained) == count, "the same words print the same numbers"
    assert "Once on the test split" in "\n".join(verdict(confirmations(store)[0]))
    with pytest.raises(ConfirmError, match=r"test split of blobs .*max/conv1d.*--second-look"):
        begin_final(plan, state, on_test(setting), store, 3)
    more = begin_final(plan, state, on_test(setting), store, 3, second_look=True)
    assert not set(more.config["seeds"]) & set(final.config["seeds"])
    assert begin_final(plan, state, on_test(setting), store, 3, second_look=True) == more, "unfinished: it goes on"
    state = confirmations(store)[0]
    assert state.final.study == more.name and state.final.second_look and not report.second_look
    finish(more, on_test(setting), store)
    assert "Not the first look at the test split" in "\n".join(verdict(confirmations(store)[0]))


def test_another_winner_is_a_second_look_too(world, setting, store):
    """--again, other finalists, another recipe: whoever may choose between two numbers of the test split may flatter
    himself, whatever was measured."""
    plan, state = confirmed(setting, store)
    finish(begin_final(plan, state, on_test(setting), store, 2), on_test(setting), store)
    other, state = confirmed(setting, store, designs=("avg/mlp-r4",), seeds=3)
    assert state.leader == "avg/mlp-r4"
    with pytest.raises(ConfirmError, match=r"max/conv1d.*--second-look"):
        begin_final(other, state, on_test(setting, epochs=7), store, 2)
    begin_final(other, state, on_test(setting, epochs=7), store, 2, second_look=True)


def test_a_final_belongs_to_the_leader_it_measured(world, setting, store):
    """A retry brings the better design back: what was measured of the earlier leader is not told of the new one."""
    world.fails = {("max/conv1d", 9): "nan"}
    plan, state = confirmed(setting, store)
    earlier = state.leader
    final = begin_final(plan, state, on_test(setting), store, 2)
    finish(final, on_test(setting), store)
    assert confirmations(store)[0].final.means[0].design == earlier != "max/conv1d"
    world.fails = {}
    retry_failed(plan, store)
    state = confirm(plan, setting, store)
    assert state.leader == "max/conv1d" and state.final is None
    with pytest.raises(ConfirmError, match="--second-look"):
        begin_final(plan, state, on_test(setting), store, 2)
    more = begin_final(plan, state, on_test(setting), store, 2, second_look=True)
    assert more.config["designs"][0] == "max/conv1d"
    assert finish(more, on_test(setting), store).means[0].n == 2


def test_a_new_confirmation_has_seeds_that_no_plan_has(world, setting, store):
    plan, _ = confirmed(setting, store)
    again = begin(Asked(top=3, seeds=4, report_seeds=3), setting, store, store.frame(), again=True)
    assert min(again.config["seeds"]) > max(plan.config["report_seeds"])
    assert find(Asked(top=3, seeds=4, report_seeds=3), setting.context, store) == again


def test_a_rung_and_a_plan_of_another_split_have_used_their_seeds(world, setting, store):
    """A training stopped at a rung is the beginning of the training that would be called fresh."""
    stopped = replace(setting.row(find_design("max/conv1d"), 50, epochs=2), status="stopped", accuracy=0.5, loss=1.0)
    store.finish(stopped)
    assert first_fresh_seed(setting, store) == 51
    store.studies.begin({**setting.context, "split": "test", "epochs": 2, "seeds": [60]}, None, "elsewhere")
    assert first_fresh_seed(setting, store) == 61
    assert first_fresh_seed(replace(setting, recipe=RECIPE.changed(batch_size=30)), store) == 0


def test_a_plan_is_no_search(world, setting, store):
    plan, _ = confirmed(setting, store, seeds=2, report_seeds=1)
    assert not is_search(plan)
    with pytest.raises(UserError, match="no search but a plan to confirm"):
        StoredStudy(plan)


@pytest.mark.parametrize(
    ("asked", "named"),
    [({"seeds": 1}, "seeds: 1"), ({"top": 0}, "top: 0"), ({"alpha": 0.9}, "alpha"), ({"report_seeds": 0}, "report")],
)
def test_what_decides_nothing_is_refused(asked, named):
    with pytest.raises(ConfirmError, match=named):
        Asked(**asked)


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


# -- the command -----------------------------------------------------------------------------------------------------

SMALL = ("--backbone", "resnet8", "--image-size", 12)
FLOAT = ("--precision", "float32")
SETTINGS = ("--set", "batch_size=6", "--set", "crop_padding=1")


def test_the_command_confirms_tells_and_tells_again(attnas, world, tree, monkeypatch):
    data = ("--data", f"folder:{tree}")
    attnas(
        "train", "max/conv1d", "avg/conv1d", "none", *data, *SMALL, *SETTINGS, "--epochs", 2, "--precision", "float32"
    )
    words = ("confirm", "--top", 2, "--seeds", 3, *data, *FLOAT)
    done = attnas(*words)
    assert done.code == 0 and "Winner: max/conv1d." in done.out and "at most 5 % of such confirmations" in done.out
    assert "max/conv1d less none" in done.out and "by the spread pooled over these" in done.out
    assert "out after" in done.out
    assert "begun: confirm-folder-little-images" in done.err
    count = len(world.trained)
    again = attnas(*words, "--json")
    facts = json.loads(again.out)
    assert facts["winner"] == "max/conv1d" and len(world.trained) == count
    assert facts["report"]["gaps"][0]["n"] == 3 and facts["context"]["data"] == "folder:little-images"
    final = (*words, "--final", "--final-epochs", 3, "--final-seeds", 2)
    refused = attnas(*final)
    assert refused.code == 2 and "batch_size" in refused.err and len(world.trained) == count
    done = attnas(*final, "--final-set", "batch_size=6")
    assert done.code == 0 and "Once on the test split (test split, recipe full, 3 epochs" in done.out
    assert [split for _, _, split, _ in world.trained[count:]] == ["test"] * 6 and "attnas retrain" in done.out
    again = attnas(*final, "--final-set", "batch_size=5")
    assert again.code == 2 and "--second-look" in again.err
    listed = json.loads(attnas("study", "list", "--json").out)
    assert [facts["kind"] for facts in listed] == ["confirm", "final"]
    name = listed[0]["study"]
    assert "trainings (" in attnas("study", "show", name).out
    board = attnas("dashboard", "--study", name, "-o", "board.db")
    assert board.code == 2 and "no search" in board.err


def test_the_context_must_be_told_where_rows_cannot_tell_it(attnas, world, tree):
    data = ("--data", f"folder:{tree}")
    train = ("train", "max/conv1d", "none", *data, *SMALL, *FLOAT)
    attnas(*train, *SETTINGS, "--epochs", 2)
    done = attnas("confirm", *SETTINGS)
    assert done.code == 2 and "--data folder:PATH" in done.err
    with open_store("sqlite:///attnas.db") as store, store.turn() as turn:
        turn.connection.execute(sa.delete(RECIPES))  # as rows of earlier versions
    done = attnas("confirm", *data)
    assert done.code == 2 and "--set FIELD=VALUE" in done.err
    done = attnas("confirm", *data, "--backbone", "resnet20")
    assert done.code == 2 and "there are: folder:little-images at 12 px, resnet8" in done.err
    attnas(*train, *SETTINGS, "--epochs", 3)
    done = attnas("confirm", *data, *SETTINGS)
    assert done.code == 2 and "2 contexts have 2 complete rows each" in done.err and "--epochs" in done.err
    done = attnas("confirm", "--storage", "sqlite:///none.db")
    assert done.code == 2 and "none.db" in done.err


def test_the_same_command_stays_with_its_context_whatever_rows_come(attnas, world, tree):
    data = ("--data", f"folder:{tree}")
    train = ("train", "max/conv1d", "none", *data, *SMALL, *FLOAT, *SETTINGS)
    attnas(*train, "--epochs", 2)
    words = ("confirm", "--top", 1, "--seeds", 2, *data, *FLOAT, "--json")
    first = json.loads(attnas(*words).out)
    attnas(*train, "--epochs", 3, "--seeds", 20)
    count = len(world.trained)
    again = attnas(*words)
    assert json.loads(again.out)["study"] == first["study"] and len(world.trained) == count
    assert "1 other context fits too" in again.err
    attnas(*words, "--epochs", 3)
    refused = attnas(*words)
    assert refused.code == 2 and "2 contexts were asked the same before" in refused.err and "--epochs" in refused.err
    assert json.loads(attnas(*words, "--epochs", 2).out)["study"] == first["study"]


def test_a_folder_selects_the_rows_of_its_images(attnas, world, tree, tmp_path):
    """By content: more rows of other data, and of a folder of the same name, are not meant."""
    import shutil

    other = tmp_path / "other" / tree.name
    shutil.copytree(tree, other)
    next((other / "train").rglob("*.png")).unlink()
    words = (*SMALL, *FLOAT, *SETTINGS, "--epochs", 2)
    attnas("train", "max/conv1d", "none", "--data", f"folder:{tree}", *words)
    attnas("train", "max/conv1d", "none", "--data", f"folder:{other}", *words, "--seeds", 2)
    attnas("train", "max/conv1d", "none", "--data", "synthetic", "--backbone", "resnet8", *words[4:], "--seeds", 3)
    hashes = {}
    for path in (tree, other):
        done = attnas("confirm", "--top", 1, "--seeds", 2, "--data", f"folder:{path}", *FLOAT, "--json")
        assert done.code == 0, done.err
        hashes[path] = json.loads(done.out)["context"]["data_hash"]
    with open_store("sqlite:///attnas.db") as store:
        there = store.frame("data == 'folder:little-images'").groupby("data_hash").size()
    assert len(set(hashes.values())) == 2 and set(there.index) == set(hashes.values())
    shutil.rmtree(tmp_path / "other")
    shutil.copytree(tree, tmp_path / "third")
    next((tmp_path / "third" / "train").rglob("*.png")).unlink()
    (tmp_path / "third" / "val").rename(tmp_path / "third" / "gone")
    done = attnas("confirm", "--top", 1, "--seeds", 2, "--data", f"folder:{tmp_path}/third", *FLOAT)
    assert done.code == 2 and "no complete row is of what was asked for" in done.err


def test_a_failed_training_of_a_final_is_begun_again_when_asked(attnas, world, tree):
    data = ("--data", f"folder:{tree}")
    attnas("train", "max/conv1d", "none", *data, *SMALL, *SETTINGS, "--epochs", 2, *FLOAT)
    full = ("--final", "--final-epochs", 3, "--final-seeds", 1, "--final-set", "batch_size=6")
    words = ("confirm", "--top", 1, "--seeds", 2, *data, *FLOAT)
    seed = json.loads(attnas(*words, "--json").out)["report_seeds"][-1] + 1
    world.fails = {("max/conv1d", seed): "oom"}
    done = attnas(*words, *full)
    assert done.code == 2 and "--retry-failed" in done.err
    world.fails = {}
    done = attnas(*words, *full, "--retry-failed")
    assert done.code == 0 and "begun again: 1 failed training of the final" in done.err
    assert "nothing can be said" not in done.out and "second look" not in done.out + done.err
    [row] = (row for row in world.trained[-3:] if row[0] == "max/conv1d")
    assert row == ("max/conv1d", seed, "test", "full")
    world.fails = {("avg/mlp-r16", seed + 1): "oom"}  # the last training of all
    done = attnas(*words, *full, "--second-look")
    assert done.code == 2 and "second look" in done.err
    world.fails, count = {}, len(world.trained)
    done = attnas(*words, *full, "--second-look", "--retry-failed")
    assert done.code == 0 and "second look" in done.err and "Not the first look" in done.out
    assert [(text, its) for text, its, _, _ in world.trained[count:]] == [("avg/mlp-r16", seed + 1)], "no third look"


def test_data_without_a_test_split_are_refused_before_anything_is_trained(attnas, world, tree):
    import shutil

    shutil.rmtree(tree / "val")
    data = ("--data", f"folder:{tree}")
    attnas("train", "max/conv1d", "none", *data, *SMALL, *SETTINGS, "--epochs", 2, *FLOAT)
    count = len(world.trained)
    done = attnas("confirm", *data, *SETTINGS, "--final")
    assert done.code == 2 and "no test split" in done.err and len(world.trained) == count


def test_on_sigterm_a_long_command_ends_as_on_ctrl_c_and_says_so(capsys):
    """Oracle: a real signal to this process; 143 is 128 + SIGTERM, as a shell says."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(typer.Exit) as ended, interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    assert ended.value.exit_code == 143 and "what was finished is kept" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before
