"""`attnas dashboard`: what Optuna and its dashboard read from the file."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from pretended import pretend, run
from searches import SPACE

from results import open_store
from search_space import PRESETS, AttentionDesign


@pytest.fixture
def url(tmp_path, blobs, monkeypatch):
    """A study in which `none` fails, with a preset outside the space and trials that were stopped."""
    pretend(monkeypatch, fails=lambda design: design == PRESETS["none"])
    url = f"sqlite:///{tmp_path}/rows.db"
    with open_store(url) as store:
        run(store, blobs, study="first", warm_start_from=[PRESETS["none"], PRESETS["srm"], PRESETS["eca"]])
        run(store, blobs, study="second", trials=2, halving=False, objectives="loss")
    return url


@pytest.fixture
def written(attnas, url, tmp_path):
    done = attnas("dashboard", "-o", tmp_path / "board.db", "--storage", url)
    assert done.code == 0, done.err
    assert "first: 9 trials" in done.out and "optuna-dashboard sqlite:///" in done.err
    return f"sqlite:///{tmp_path}/board.db"


def test_optuna_reads_directions_names_and_one_trial_for_each_of_ours(written, url):
    first = optuna.load_study(study_name="first", storage=written)
    assert [direction.name for direction in first.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert first.metric_names == ["accuracy", "macs"] and len(first.trials) == 9
    assert [direction.name for direction in optuna.load_study(study_name="second", storage=written).directions] == [
        "MINIMIZE"
    ]
    with open_store(url, read_only=True) as store:
        rows = store.rows(schedule_epochs=9)
    ours = {(row.network_key, row.seed) for row in rows}
    assert {(trial.user_attrs["network"], trial.user_attrs["seed"]) for trial in first.trials} == ours


def test_states_values_and_rungs_are_those_of_the_row_of_the_most_epochs(written, url):
    with open_store(url, read_only=True) as store:
        first = next(study for study in store.studies.list() if study.name == "first")
        rows = store.rows(study=first.id)
    states = {"complete": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
    seen = set()
    for trial in optuna.load_study(study_name="first", storage=written).trials:
        own = {row.epochs: row for row in rows if row.network_key == trial.user_attrs["network"]}
        last = own[max(own)]
        seen.add(trial.state)
        assert trial.state is states[last.status]
        assert trial.user_attrs["design"] == last.design and trial.user_attrs["epochs"] == last.epochs
        assert trial.user_attrs["macs"] == last.macs and trial.user_attrs["params"] == last.params
        if last.status == "complete":
            assert trial.values == [last.accuracy, last.macs]
        if last.status == "stopped":
            assert trial.values is None
            assert trial.user_attrs["rung"] == last.epochs and trial.user_attrs["accuracy"] == last.accuracy
        if last.status == "failed":
            assert "NotFiniteError: a cause" in trial.user_attrs["error"] and trial.user_attrs["failure"] == "nan"
        assert trial.intermediate_values == {
            epochs: row.accuracy for epochs, row in own.items() if row.status != "failed"
        }
        assert trial.datetime_complete.timestamp() == pytest.approx(last.finished, abs=0.01)
    assert seen == set(states.values())


def test_parameters_are_the_choices_of_the_space_and_lead_back_to_the_design(written):
    for trial in optuna.load_study(study_name="first", storage=written).trials:
        design = AttentionDesign.parse(trial.user_attrs["design"])
        if trial.params:
            assert SPACE.decide(lambda axis, _, params=trial.params: params[axis]) == design
            axes = SPACE.axes()
            assert all(dist.choices == axes[axis] for axis, dist in trial.distributions.items())
        else:
            assert design == PRESETS["srm"], "only what lies outside the space has no choices in it"


def test_an_existing_file_is_not_written_over_unless_told_and_never_half(attnas, url, tmp_path, monkeypatch):
    board = tmp_path / "board.db"
    board.write_text("mine")
    done = attnas("dashboard", "-o", board, "--storage", url)
    assert done.code == 2 and "--force" in done.err and board.read_text() == "mine"
    with monkeypatch.context() as broken:
        broken.setattr("search.dashboard._optuna_study", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            attnas("dashboard", "-o", board, "--storage", url, "--force")
    assert board.read_text() == "mine" and [path.name for path in tmp_path.glob("*board*")] == ["board.db"]
    assert attnas("dashboard", "-o", board, "--storage", url, "--force", "--study", "second").code == 0
    assert optuna.get_all_study_names(f"sqlite:///{board}") == ["second"]


def test_a_storage_without_studies_and_a_folder_that_is_not_there_are_refused(attnas, url, tmp_path):
    empty = f"sqlite:///{tmp_path}/empty.db"
    open_store(empty).close()
    done = attnas("dashboard", "-o", "b.db", "--storage", empty)
    assert done.code == 2 and "no study" in done.err
    done = attnas("dashboard", "-o", "/no/such/folder/b.db", "--storage", url)
    assert done.code == 2 and "/no/such/folder/b.db" in done.err
    done = attnas("dashboard", "-o", "b.db", "--study", "third", "--storage", url)
    assert done.code == 2 and "'first', 'second'" in done.err


def test_the_real_dashboard_serves_the_studies(written):
    """The server itself, on loopback; its API gives the trials that we wrote."""
    beside = Path(sys.executable).parent / "optuna-dashboard"
    server = str(beside) if beside.exists() else shutil.which("optuna-dashboard")
    if server is None:
        pytest.skip("optuna-dashboard is not installed: pip install optuna-dashboard (it is in the test extra)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([server, written, "--host", "127.0.0.1", "--port", str(port)], **quiet)
    try:
        studies = _get(f"http://127.0.0.1:{port}/api/studies", process)["study_summaries"]
        assert {study["study_name"] for study in studies} == {"first", "second"}
        first = next(study for study in studies if study["study_name"] == "first")
        whole = _get(f"http://127.0.0.1:{port}/api/studies/{first['study_id']}", process)
        assert whole["directions"] == ["maximize", "minimize"] and len(whole["trials"]) == 9
        assert {trial["state"] for trial in whole["trials"]} == {"Complete", "Pruned", "Fail"}
    finally:
        process.terminate()
        process.wait()


def _get(address, process):
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return json.loads(answer.read())
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "the dashboard did not start"
            time.sleep(0.1)
