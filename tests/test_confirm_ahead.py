"""What `attnas confirm --dry-run` and `attnas train --dry-run` say, held against what the same command then does."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from confirmations import FLOAT, SETTINGS, SMALL, confirmed, on_test, searched

from results import open_store
from search.confirm import Asked, Silent, begin, confirm, draft
from search.confirm_ahead import ahead, ahead_lines, final_ahead, still_to_train
from search_space import find_design

ASKED = Asked(top=3, seeds=4, report_seeds=3)


def told(setting, store, rows=None):
    """Of the confirmation that is about to begin."""
    rows = searched(setting, store) if rows is None else rows
    return ahead(draft(ASKED, setting, store, rows), setting, store, rows)


@pytest.mark.parametrize("sd", [1e-6, 0.01, 0.05, 0.3])
def test_a_confirmation_trains_no_less_and_no_more_often_than_it_was_said_to(world, setting, store, sd):
    """With almost no luck all but the winner go after two seeds; with much of it nobody goes."""
    found = told(setting, store)
    assert (found["trainings_at_least"], found["trainings_at_most"]) == (5 * 2 + 2 * 3, 5 * 4 + 3 * 3)
    world.sd = sd
    plan, _ = confirmed(setting, store)
    assert plan.config["seeds"] == found["seeds"] and plan.config["report_seeds"] == found["report_seeds"]
    assert plan.config["designs"] == [one["design"] for one in found["designs"]]
    trained = len(world.trained)
    assert found["trainings_at_least"] <= trained <= found["trainings_at_most"]
    if sd == 1e-6:
        assert trained == found["trainings_at_least"] + 3, "the winner is no reference: it is reported as well"


def test_at_every_moment_of_a_confirmation_what_is_left_lies_between_what_is_said(world, setting, store):
    said = []

    class Counting(Silent):
        def stands(self, state):
            said.append((len(world.trained), *still_to_train(state)))

    world.sd = 0.03
    plan = begin(Asked(top=3, seeds=6, report_seeds=2), setting, store, searched(setting, store))
    confirm(plan, setting, store, Counting())
    in_all = len(world.trained)
    assert len(said) > 3 and all(fewest <= in_all - done <= most for done, fewest, most in said)
    assert said[-1] == (in_all, 0, 0)


def test_the_finalists_stand_with_what_chose_them(world, setting, store):
    """A frame of one seed a design has no expectation; a second seed of one gives all of them one."""
    rows = searched(setting, store)
    found = told(setting, store, rows)
    assert [(one["design"], one["n"], one["accuracy"], one["expected"]) for one in found["designs"][:2]] == [
        *(("avg/conv1d", 1, 0.9, None), ("max/conv1d", 1, 0.85, None)),
    ]
    assert [one["reference"] for one in found["designs"]] == [False, False, False, True, True]
    lines = ahead_lines(found)
    assert "by their means" in lines[0] and "avg/conv1d (eca)   90.00  n = 1" in lines[1]
    assert "none                   -  n = 0  reference" in lines[4]


def test_how_long_is_told_by_the_median_of_whole_trainings(world, setting, store):
    """Oracle: 10, 20 and 30 seconds; of the last a rung had trained the first half of the epochs before."""
    for seed, (seconds, trained) in enumerate([(10.0, 4.0), (20.0, None), (15.0, 2.0)]):
        row = setting.row(find_design("none"), seed)
        measured = {"accuracy": 0.5, "loss": 1.0, "seconds": seconds, "epochs_trained": trained}
        store.finish(replace(row, status="complete", **measured))
    found = told(setting, store, store.frame())
    assert (found["seconds_each"], found["rows"]) == (20.0, 3)
    assert found["seconds_at_most"] == 20.0 * found["trainings_at_most"]
    assert "in one process (20 s each, the median of 3 rows" in ahead_lines(found)[-1]
    final = final_ahead(found, on_test(setting).recipe, 2, store)["final"]
    assert final["trainings"] == 4 and final["seconds"] == 4 * 20 * 6 / 4
    assert final["rows_on_the_test_split"] == 0


def state_of(folder):
    files = (path for path in Path(folder).iterdir() if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_dry_run_trains_and_writes_nothing_and_the_command_says_the_same_ahead(attnas, world, tree, tmp_path):
    data = ("--data", f"folder:{tree}")
    attnas("train", "max/conv1d", "avg/conv1d", "none", *data, *SMALL, *SETTINGS, "--epochs", 2, *FLOAT)
    words = ("confirm", "--top", 2, "--seeds", 2, *data, *FLOAT, "--final", "--final-epochs", 3)
    words += ("--final-seeds", 1, "--final-set", "batch_size=6")
    before, count = state_of(tmp_path), len(world.trained)
    dry = attnas(*words, "--dry-run")
    found = json.loads(attnas(*words, "--dry-run", "--json").out)
    assert dry.code == 0 and state_of(tmp_path) == before and len(world.trained) == count
    assert found["study"] is None and found["final"]["trainings"] == 3 and found["processes"] == 1
    assert "--final: 3 trainings more" in dry.out and "12 to 14 trainings to come, the fewest if" in dry.out
    done = attnas(*words)
    summary = dry.out.splitlines()
    assert done.code == 0 and all(line in done.err for line in summary[1:])
    again = attnas(*words, "--dry-run")
    assert "0 trainings to come" in again.out and "takes --second-look" in again.out
    with open_store("sqlite:///attnas.db", read_only=True) as store:
        assert len(store.studies.list()) == 2


def test_a_dry_run_of_named_trainings_counts_what_is_there(attnas, world, tmp_path):
    own = ("--data", "synthetic", "--backbone", "resnet8", "--recipe", "smoke", "--epochs", 2, *FLOAT)
    assert attnas("train", "none", "se", *own).code == 0
    before = state_of(tmp_path)
    dry = attnas("train", "none", "avg/mlp-r16", "se", "eca", "--seeds", 2, *own, "--dry-run")
    assert "6 trainings, 2 already there, 4 still to do: about 4 s in one process (1 s each" in dry.out
    assert "avg/mlp-r16 (se)" in dry.out and dry.out.count("se)") == 1 and state_of(tmp_path) == before
    found = json.loads(attnas("train", "none", "se", *own, "--dry-run", "--json").out)
    assert (found["trainings"], found["left"], found["seconds"]) == (2, 0, 0.0)
    refused = attnas("train", "none", *own, "--json")
    assert refused.code == 2 and "--dry-run" in refused.err
