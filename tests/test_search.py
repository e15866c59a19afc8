"""The search: nothing trained twice, nothing over a limit, nothing lost."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from searches import RECIPE, SPACE, run

from results import open_store
from results.lease import this_owner
from search import objective as objective_module
from search.candidates import CandidateError, candidates
from search.objective import Setting, evaluate
from search_space import PRESETS, AttentionDesign, Space, UserError
from trainers import design_cost
from trainers.outcome import NotFiniteError, Outcome


@pytest.fixture
def trained(monkeypatch):
    """Counts real trainings and the designs they were of."""
    designs = []
    real = objective_module.train

    def counting(design, *args, **options):
        designs.append(design)
        return real(design, *args, **options)

    monkeypatch.setattr(objective_module, "train", counting)
    return designs


def favoured(design):
    return design.squeeze == "dct" and design.excitation == "conv1d"


@pytest.fixture
def pretended(monkeypatch):
    """Instead of training: accuracy as a fixed function of the design, for tests of which design is next."""
    designs = []

    def pretend(design, *_, **__):
        designs.append(design)
        accuracy = 0.5 + 0.1 * (design.squeeze == "dct") + 0.1 * (design.excitation == "conv1d") + 0.02 * design.each
        facts = {"precision": "float32", "hardware": "none", "versions": {}, "commit": None, "split": "validation"}
        return Outcome(status="complete", accuracy=accuracy, loss=1.0, **facts)

    monkeypatch.setattr(objective_module, "train", pretend)
    return designs


def test_a_search_trains_distinct_networks_and_keeps_a_row_of_each(store, blobs, trained):
    rows = run(store, blobs, trials=5)
    assert len(rows) == len(trained) == len({row.network_key for row in rows}) == 5
    for row in rows:
        design = AttentionDesign.parse(row.design)
        expected = design_cost(design, "resnet8", 8, 4)
        assert (row.macs, row.params, row.key) == (expected.macs, expected.params, design.key)
        assert (row.status, row.split, row.seed, row.epochs, row.data) == ("complete", "validation", 0, 1, "blobs")
        assert row.curves[-1]["accuracy"] == row.accuracy and row.seconds > 0 and row.versions and row.hardware
    assert [row.identity for row in rows] == list(store.frame()["identity"])


def test_the_same_call_goes_on_and_an_existing_evaluation_is_never_trained_again(store, blobs, trained):
    first = run(store, blobs, trials=2)
    second = run(store, blobs, trials=4)
    assert len(trained) == 4 and [row.identity for row in second][:2] == [row.identity for row in first]
    assert run(store, blobs, trials=4) == second and len(trained) == 4


def test_an_interrupted_search_proposes_what_an_uninterrupted_one_would(tmp_path, blobs, pretended):
    for name, targets in (("whole", [20]), ("pieces", [3, 4, 11, 20])):
        with open_store(f"sqlite:///{tmp_path}/{name}.db") as store:
            for trials in targets:
                run(store, blobs, trials=trials)
    half = len(pretended) // 2
    assert half == 20 and pretended[:half] == pretended[half:]


def test_every_allowed_network_is_trained_once_and_then_the_search_ends(store, blobs, pretended):
    rows = run(store, blobs, trials=10_000)
    allowed = candidates(SPACE, Setting(blobs, "resnet8", RECIPE)).networks
    assert {row.network_key for row in rows} == set(allowed) and len(pretended) == len(allowed)


def test_designs_over_a_limit_are_never_trained(store, blobs, pretended):
    limit = design_cost(PRESETS["eca"], "resnet8", 8, 4).params
    run(store, blobs, trials=1000, max_params=limit)
    assert pretended and all(design_cost(design, "resnet8", 8, 4).params <= limit for design in pretended)
    over = [d for d in SPACE.distinct() if design_cost(d, "resnet8", 8, 4).params > limit]
    assert over, "the limit must leave something out"
    with pytest.raises(CandidateError, match="no design"):
        run(store, blobs, max_macs=1)


def test_designs_impossible_on_the_backbone_are_left_out_and_not_tried(store, blobs, pretended):
    space = Space(squeeze=("wavelet",), depth=(1, 2, 3), excitation=("affine",), reduction=(8,))
    run(store, blobs, space, trials=1000)  # the last map of resnet8 at 8 px is 2 x 2: one level at most
    assert {design.depth for design in pretended} == {1}


@pytest.mark.parametrize("sampler", ["nsga2", "evolution", "local"])
def test_a_search_meets_the_better_region_more_often_than_chance(tmp_path, blobs, pretended, sampler):
    """Oracle: uniform sampling of the networks would meet dct with conv1d, best of the pretended, at their share."""
    space = Space()
    options = {"trials": 80, "objectives": "accuracy,params", "warm_start_from": "none", "sampler": sampler}
    for seed in range(2):
        with open_store(f"sqlite:///{tmp_path}/{seed}.db") as store:
            run(store, blobs, space, seed=seed, **options)
    allowed = candidates(space, Setting(blobs, "resnet8", RECIPE)).networks.values()
    chance = sum(favoured(candidate.design) for candidate in allowed) / len(allowed)
    assert sum(map(favoured, pretended)) / len(pretended) > 1.3 * chance


def test_a_failed_training_is_a_row_counts_as_a_trial_and_is_not_repeated(store, blobs, monkeypatch):
    calls = []

    def failing(design, *_, **__):
        calls.append(design)
        facts = {"precision": "float32", "hardware": "none", "versions": {}, "commit": None, "split": "validation"}
        return Outcome(status="failed", failure="nan", error=str(NotFiniteError("x")), **facts)

    monkeypatch.setattr(objective_module, "train", failing)
    rows = run(store, blobs, trials=3)
    assert [row.status for row in rows] == ["failed"] * 3 and [row.failure for row in rows] == ["nan"] * 3
    assert run(store, blobs, trials=3) == rows and len(calls) == 3


def test_an_interrupted_training_gives_its_claim_back(store, blobs, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(objective_module, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(store, blobs)
    assert store.rows() == []


def test_an_evaluation_that_another_live_process_makes_is_answered_with_its_row(store, blobs, pretended):
    setting = Setting(blobs, "resnet8", RECIPE)
    theirs = setting.row(PRESETS["eca"], 0)
    assert store.claim(theirs) is None  # this very process plays the other one: it lives
    row, trained = evaluate(PRESETS["eca"], 0, setting, store)
    assert (row.status, row.owner, trained) == ("running", this_owner(), False)


def test_rows_under_another_label_of_the_same_content_count(store, blobs, trained):
    """A renamed folder, or a recipe of the same values under another name, is the same data and the same training."""
    first = run(store, blobs, trials=3)
    again = run(store, replace(blobs, name="folder:renamed"), trials=3, recipe=RECIPE.changed(name="mine"))
    assert again == first and len(trained) == 3


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_limit_that_no_network_can_meet_is_refused_and_never_means_no_limit(store, blobs, limit):
    with pytest.raises(CandidateError, match="above 0"):
        run(store, blobs, max_macs=limit)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"trials": 0}, "trials"),
        ({"trials": -3}, "trials"),
        ({"engine": "magic"}, "optuna, ray"),
        ({"workers": 0}, "workers"),
        ({"sampler": "magic"}, "tpe"),
        ({"replicates": 0}, "replicates"),
        ({"objectives": "beauty"}, "macs, params"),
        ({"bracket": 7}, "bracket"),
        ({"max_params": 0}, "above 0"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_before_anything_is_loaded(store, options, words):
    with pytest.raises(UserError, match=words):
        run(store, "no such data", **options)


def test_what_is_refused_has_not_measured_anything_first(store, blobs, monkeypatch):
    """A measurement takes a minute."""
    monkeypatch.setattr("search.launch.decided", None)
    with pytest.raises(CandidateError, match="no design"):
        run(store, blobs, max_macs=10)


DRIVER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import make_blobs
from results import open_store
from search import search
from test_search import RECIPE, SPACE
Path({ready!r}).touch()
while not Path({go!r}).exists():
    time.sleep(0.01)
with open_store({url!r}) as store:
    rows = search(SPACE, store=store, trials={trials}, data=make_blobs(0), backbone="resnet8",
                  recipe=RECIPE.changed(epochs={epochs}), precision="float32", halving=False, sampler="tpe")
    print(len(rows))
"""


def driver(folder: Path, url: str, trials: int, epochs: int, name: str = "driver") -> list[str]:
    """A process that searches once `folder/go` exists; it says by a file of its own that it is ready."""
    code = DRIVER.format(
        tests=str(Path(__file__).parent),
        ready=str(folder / name),
        go=str(folder / "go"),
        url=url,
        trials=trials,
        epochs=epochs,
    )
    return [sys.executable, "-W", "ignore", "-c", code]


def test_a_search_killed_at_any_moment_loses_no_row_and_leaves_no_zombie(tmp_path):
    """A real process, SIGKILLed once it has finished a row and begun another; the same call ends the search."""
    url = f"sqlite:///{tmp_path}/rows.db"
    (tmp_path / "go").touch()
    process = subprocess.Popen(driver(tmp_path, url, 6, 2))
    deadline = time.monotonic() + 60
    before: list[str] = []
    while time.monotonic() < deadline:
        time.sleep(0.01)
        if not (tmp_path / "rows.db").exists():
            continue
        with open_store(url) as store:
            frame = store.frame()
        before = list(frame.loc[frame["status"] == "complete", "identity"])
        if before and "running" in set(frame["status"]):
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with open_store(url) as store:
        left = store.frame()
    assert set(before) <= set(left.loc[left["status"] == "complete", "identity"])
    done = subprocess.run(driver(tmp_path, url, 6, 2), capture_output=True, text=True, check=True)
    with open_store(url) as store:
        after = store.frame()
    assert done.stdout.strip() == "6"
    assert list(after["status"]) == ["complete"] * 6 and after["network_key"].is_unique
    assert set(before) <= set(after["identity"])


def test_two_processes_on_one_storage_share_the_trials(tmp_path):
    url = f"sqlite:///{tmp_path}/rows.db"
    both = [subprocess.Popen(driver(tmp_path, url, 8, 3, name)) for name in ("one", "two")]
    deadline = time.monotonic() + 120
    while not all((tmp_path / name).exists() for name in ("one", "two")) and time.monotonic() < deadline:
        time.sleep(0.01)
    (tmp_path / "go").touch()
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    with open_store(url) as store:
        frame = store.frame()
    assert len(frame) == 8 and frame["network_key"].is_unique and set(frame["status"]) == {"complete"}
    assert frame["owner"].nunique() == 2
