"""`attnas search` as a user types it: what it refuses, how it ends, what it says beforehand."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from pretended import pretend

from results import open_store
from search import objective as objective_module

NETWORK = ["--backbone", "resnet8", "--image-size", 8, "--precision", "float32", "--no-fuse", "--set", "batch_size=16"]
NARROW = ["--axis", "squeeze=none,avg,max"]


@pytest.fixture
def search(attnas, tree):
    """`search(...)`: a search of little images, 3 epochs at most, as typed."""

    def run(*more):
        return attnas("search", "--data", f"folder:{tree}", *NETWORK, "--epochs", 3, *NARROW, *more)

    return run


def refused(done, *words):
    assert done.code == 2, (done.code, done.err)
    assert "Traceback" not in done.err and done.err.splitlines()[-1].startswith("error: ")
    assert all(word in done.err for word in words), done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trials", 0], ["trials", "1 or more"]),
        (["--time", "soon"], ["'soon'", "1h30m"]),
        (["--time", "0s"], ["time", "above 0"]),
        (["--timeout", "1 h"], ["'1 h'", "1h30m"]),
        (["--grace", "x"], ["'x'", "1h30m"]),
        (["--epochs-total", -1], ["epochs in all", "above 0"]),
        (["--engine", "magic"], ["magic", "optuna, ray"]),
        (["--workers", 0], ["workers", "1 or more"]),
        (["--sampler", "magic"], ["magic", "tpe, random"]),
        (["--objectives", "macs"], ["accuracy, loss", "accuracy,macs"]),
        (["--objectives", "accuracy,beauty"], ["beauty", "latency"]),
        (["--factor", 1], ["factor", "2 or more"]),
        (["--shortest-rung", 99], ["shortest rung", "1 to the 3 epochs"]),
        (["--bracket", 7], ["bracket", "0 begins at 1"]),
        (["--study", "bad name/"], ["'bad name/'"]),
        (["--replicates", 0], ["replicates", "1 or more"]),
        (["--warm-start", "nothing.txt"], ["nothing.txt", "presets, none"]),
        (["--max-macs", 0], ["max macs", "above 0"]),
        (["--max-params", "nan"], ["max params", "above 0"]),
        (["--max-latency", -3], ["max latency", "above 0"]),
        (["--storage", "sqlite://"], ["memory"]),
        (["--storage", "sqlite:////no/such/folder/x.db"], ["/no/such/folder"]),
    ],
)
def test_everything_that_can_be_refused_is_before_data_are_read(search, monkeypatch, tmp_path, words, said):
    def read(*_, **__):
        raise AssertionError("data were read")

    monkeypatch.setattr("search.request.load_data", read)
    refused(search(*words), *said)
    assert not list(tmp_path.glob("*.db*"))


def test_minimise_is_gone(search):
    done = search("--minimise", "params")
    assert done.code == 2 and "--minimise" in done.err


def test_max_latency_is_given_in_milliseconds_and_kept_in_seconds(search, monkeypatch):
    seen = []
    monkeypatch.setattr("search.launch.run", lambda request, *_, **__: seen.append(request) or sys.exit(0))
    search("--max-latency", 2.5, "--trials", 1)
    assert seen[0].limits.latency == pytest.approx(0.0025)


def test_trials_are_unlimited_where_only_time_or_epochs_are_given(search, monkeypatch):
    seen = []
    monkeypatch.setattr("search.launch.run", lambda request, budget, *_, **__: seen.append(budget) or sys.exit(0))
    for words in ([], ["--time", "1h30m"], ["--epochs-total", 30], ["--time", "60", "--trials", 7]):
        search(*words)
    assert [(b.trials, b.seconds, b.epochs) for b in seen] == [
        (100, None, None),
        (None, 5400, None),
        (None, None, 30),
        (7, 60, None),
    ]


def test_a_warm_start_file_is_trained_first_and_what_is_beyond_the_budget_is_not(search, monkeypatch, tmp_path):
    pretend(monkeypatch)
    (tmp_path / "mine.txt").write_text("max/affine  # a favourite\nhaar-d1-all/affine\n")
    done = search("--warm-start", "mine.txt", "--trials", 2, "--no-halving", "--storage", f"sqlite:///{tmp_path}/a.db")
    assert done.code == 0, done.err
    with open_store(f"sqlite:///{tmp_path}/a.db") as store:
        assert [row.design for row in store.rows()] == ["max/affine", "haar-d1-all/affine"]


def test_at_its_end_a_search_says_why_what_is_best_and_what_to_type_next(search, monkeypatch, tmp_path):
    pretend(monkeypatch)
    done = search("--trials", 4)
    assert done.code == 0 and done.out == ""
    assert "Done: 4 trials." in done.err and re.search(
        r"Best of \d after 3 epochs: \S+( \(\S+\))?: \d\d\.\d\d%", done.err
    )
    assert done.err.rstrip().endswith("Next: attnas results top; attnas results pareto")
    done = search("--trials", 10_000)
    assert "Done: nothing new is left: every allowed network has been evaluated." in done.err


def test_json_at_the_end_is_one_object_on_stdout_that_agrees_with_the_rows(search, monkeypatch, tmp_path):
    pretend(monkeypatch, fails=lambda design: str(design) == "none")
    found = json.loads(search("--trials", 4, "--json", "--study", "mine").out)
    with open_store(f"sqlite:///{tmp_path}/attnas.db") as store:
        rows = store.rows()
    assert found["study"] == "mine" and found["ended"] == "4 trials" and found["signal"] is None
    assert found["rows"] == {str(epochs): sum(row.epochs == epochs for row in rows) for epochs in (1, 3)}
    assert found["failures"] == {"nan": 1} and sum(found["states"].values()) == found["trials"] == 4
    assert found["best"]["accuracy"] == max(row.accuracy for row in rows if row.status == "complete")
    assert found["best"] in found["front"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_after_a_signal_the_training_may_end_and_the_code_is_that_of_the_signal(search, monkeypatch, number, code):
    pretend(monkeypatch)
    real = objective_module.train
    calls = []

    def interrupted(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), number)
        return real(*args, **options)

    monkeypatch.setattr(objective_module, "train", interrupted)
    done = search("--trials", 8, "--no-halving")
    assert done.code == code and len(calls) == 2
    assert f"Ended by {number.name}. Kept: 2 finished evaluations of 2 trials; the same command goes on." in done.err
    assert "Traceback" not in done.err
    again = search("--trials", 8, "--no-halving")
    assert again.code == 0 and "2 of 8 trials already in the storage" in again.err and len(calls) == 8


def test_retry_failed_begins_failed_evaluations_again(search, monkeypatch, tmp_path):
    pretend(monkeypatch, fails=lambda design: str(design) == "none")
    done = search("--trials", 3, "--no-halving")
    assert "Failed: nan 1." in done.err and "--retry-failed" in done.err
    pretend(monkeypatch)
    search("--trials", 3, "--no-halving")
    with open_store(f"sqlite:///{tmp_path}/attnas.db") as store:
        assert "failed" in {row.status for row in store.rows()}
        assert search("--trials", 3, "--no-halving", "--retry-failed").code == 0
        assert {row.status for row in store.rows()} == {"complete"} and len(store.rows()) == 3


def test_a_study_of_that_name_which_asks_for_something_else_is_refused_naming_the_difference(search, monkeypatch):
    pretend(monkeypatch)
    assert search("--trials", 1, "--study", "mine").code == 0
    refused(search("--trials", 1, "--study", "mine", "--objectives", "loss,params"), "objectives", "loss,params")
    refused(search("--trials", 1, "--study", "mine", "--objectives", "loss", "--dry-run"), "objectives")


def test_a_refused_study_leaves_no_name_behind(search, attnas, monkeypatch):
    pretend(monkeypatch)
    assert search("--trials", 1, "--study", "cheap").code == 0
    refused(search("--max-macs", 10, "--study", "dear"), "no design")
    listed = attnas("study", "list").out
    assert "cheap" in listed and "dear" not in listed


def test_a_dry_run_says_what_it_would_come_to_and_writes_nothing(search, monkeypatch, tmp_path):
    """A real short training; the counts are those of the search that follows."""
    before = set(tmp_path.rglob("*"))
    done = search("--trials", 9, "--dry-run", "--json", "--workers", 4, "--time", "1s")
    assert done.code == 0, done.err
    new = {path for path in set(tmp_path.rglob("*")) - before if "cache" not in path.parts}
    assert new == set(), "an absent storage stays absent"
    facts = json.loads(done.out)
    assert facts["study"] is None and facts["trials"] == 9 and facts["trials_begun"] == 0
    assert [(rung["epochs"], rung["rows"]) for rung in facts["evaluations"]] == [(1, 9), (3, pytest.approx(3, abs=1))]
    assert facts["evaluations"][0]["seconds_each"] > 0 and facts["short_trial"]["step_seconds"] > 0
    work = sum(rung["left"] * rung["seconds_each"] for rung in facts["evaluations"])
    assert facts["time"]["seconds"] == pytest.approx(work / facts["time"]["at_once"])
    assert facts["time"]["at_once"] <= max(1, os.cpu_count() or 1) and facts["disk"]["free_bytes"] > 0
    pretend(monkeypatch)
    search("--trials", len(facts["first"]))
    with open_store(f"sqlite:///{tmp_path}/attnas.db") as store:
        trained = [row.design for row in store.rows() if row.epochs == 1]
    assert [one["design"] for one in facts["first"]][:3] == trained[:3]


def test_a_dry_run_of_a_study_that_exists_tells_what_is_left_and_leaves_the_file_as_it_is(
    search, monkeypatch, tmp_path
):
    with monkeypatch.context() as patched:
        pretend(patched)
        search("--trials", 4)
    before = (tmp_path / "attnas.db").read_bytes()
    done = search("--trials", 7, "--dry-run")
    assert (tmp_path / "attnas.db").read_bytes() == before
    assert "goes on with study folder-little-images-resnet8-proxy-3" in done.out
    assert "7 trials, 4 of them begun" in done.out and "(3 left)" in done.out and "measured: " in done.out


def test_no_word_of_a_library_reaches_the_user_of_a_healthy_search_with_workers(tmp_path, tree):
    """Real processes: every line on stderr is one of ours, stdout is empty."""
    words = ["search", "--data", f"folder:{tree}", *map(str, NETWORK), "--epochs", "1", *NARROW, "--trials", "3"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "ATTNAS_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "search", *words, "--workers", "2"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    ours = re.compile(r"decod|study \S+: |trial \d/3  |Done: 3 trials|Best of 3 |Next: ")
    assert done.stdout == "" and [line for line in done.stderr.splitlines() if not ours.match(line)] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--address", "auto"], "--engine ray"),
        (["--devices-per-worker", "0.5"], "--engine ray"),
        (["--checkpoints", "a-file"], "a-file is a file; give a folder"),
    ],
)
def test_what_would_be_ignored_or_can_not_be_is_refused(attnas, tmp_path, words, said):
    (tmp_path / "a-file").touch()
    done = attnas("search", "--data", "synthetic", "--backbone", "resnet8", *words)
    assert done.code == 2 and said in done.err and not (tmp_path / "attnas.db").exists()


def test_a_database_of_optuna_is_no_storage_and_stays_as_it_was(attnas, tmp_path):
    optuna.create_study(storage=f"sqlite:///{tmp_path}/theirs.db")
    before = (tmp_path / "theirs.db").read_bytes()
    done = attnas("search", "--data", "synthetic", "--backbone", "resnet8", "--storage", "sqlite:///theirs.db")
    assert done.code == 2 and "not made by attnas" in done.err and (tmp_path / "theirs.db").read_bytes() == before


def test_the_dashboard_is_never_written_over_the_storage(attnas, tmp_path):
    with open_store(f"sqlite:///{tmp_path}/rows.db") as store:
        store.studies.begin({"a": 1}, "mine", "x")
    done = attnas("dashboard", "-o", "rows.db", "--force", "--storage", "sqlite:///rows.db")
    assert done.code == 2 and "is the storage itself" in done.err
    with open_store(f"sqlite:///{tmp_path}/rows.db", read_only=True) as store:
        assert [study.name for study in store.studies.list()] == ["mine"]
