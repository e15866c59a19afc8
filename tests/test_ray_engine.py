"""Searches with real Ray: the same rows, nothing lost when processes are killed, and not a word of Ray's."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import ray
from ray._private.authentication_test_utils import reset_auth_token_state
from ray_cluster import ROOT, Pretence, descendants, lines, two_nodes

from results import open_store
from results.lease import lease_is_dead
from search import search
from search.budget import Budget
from search.halving import Rungs
from search.launch import run
from search.lookout import Silent
from search_space import Space
from trainers import PROXY

SPACE = Space(squeeze=("none", "avg", "max", "dct"), frequencies=("low2", "top2", "top4"), reduction=(4, 8))
RECIPE = PROXY.changed(epochs=4, batch_size=60, crop_padding=1)


@pytest.fixture(autouse=True, scope="module")
def credentials():
    """Ray would write a token into the home of whoever runs the tests."""
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex * 2}
    own["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    reset_auth_token_state()  # Ray looks when it is imported
    yield
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    reset_auth_token_state()


@pytest.fixture(scope="module")
def here():
    """A Ray of this process's own with two CPUs, and an accelerator that is one in name only; several searches share
    it, because each start takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quiet = {"log_to_driver": False, "logging_level": "CRITICAL", "include_dashboard": False}
        ray.init(address="local", num_cpus=2, num_gpus=1, object_store_memory=100 * 2**20, **quiet)
        yield
        ray.shutdown()


@pytest.fixture
def pretend(tmp_path, blobs):
    """`pretend(...)`: a request whose trainings only write into `log`."""

    def make(**options):
        defaults = {"data": blobs, "backbone": "resnet8", "rungs": Rungs((10,)), "sampler": "random"}
        return Pretence(**defaults | {"log": tmp_path / "log"} | options)

    return make


class Reported(Silent):
    def __init__(self):
        self.rows = []

    def row(self, row):
        self.rows.append(row)


def wait_for(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def once(rows, number):
    """Every trial exactly once, and nothing besides."""
    assert Counter(row.status for row in rows) == {"complete": number}
    assert len({(row.network_key, row.seed) for row in rows}) == number


def test_one_worker_of_ray_makes_the_rows_of_a_worker_without_ray_in_the_same_order(here, blobs, tmp_path, capfd):
    """Halving with real trainings, on a quarter of an accelerator. The oracle is the engine without Ray."""
    found = {}
    for engine in ("optuna", "ray"):
        with open_store(f"sqlite:///{tmp_path}/{engine}.db") as store:
            rows = search(
                SPACE,
                store=store,
                data=blobs,
                backbone="resnet8",
                recipe=RECIPE,
                factor=2,
                trials=8,
                warm_start_from="none",
                precision="float32",
                fused=False,  # or Ray's, which says so, may take another layout that this machine has measured
                engine=engine,
                workers=1,
                devices_per_worker=0.25 if engine == "ray" else None,
                study="one",
            )
            assert store.rows(status="running") == []
            told = ("design", "seed", "epochs", "status", "accuracy", "loss", "epochs_trained", "attempts")
            found[engine] = [tuple(getattr(row, name) for name in told) for row in rows]
    assert found["ray"] == found["optuna"]
    assert {row[2] for row in found["ray"]} == {1, 2, 4}, "the budget must be one that promotes to the end"
    assert capfd.readouterr() == ("", "")


def test_a_study_goes_on_with_the_other_engine_and_back_to_an_exact_budget(here, store, pretend, capfd):
    request, report = pretend(), Reported()
    run(request, Budget(trials=3), store, name="both")
    run(request, Budget(trials=40), store, name="both", engine="ray", workers=2, report=report)
    run(request, Budget(trials=43), store, name="both")
    once(store.rows(), 43)
    assert len(store.studies.list()) == 1
    assert len(lines(request.log)) == 43
    assert len(report.rows) == 37
    processes = Counter(line[0] for line in lines(request.log))
    assert sorted(processes.values())[-1] >= 10, "actors are reused"
    assert Counter(line[4] for line in lines(request.log)) == {"False": 6, "True": 37}, "a machine has the images once"
    assert capfd.readouterr() == ("", "")


def test_an_actor_killed_at_work_costs_its_evaluation_one_more_attempt_and_nothing_else(here, store, pretend, capfd):
    request, report = pretend(kills=1), Reported()
    run(request, Budget(trials=6), store, engine="ray", report=report)
    once(store.rows(), 6)
    assert len(lines(request.log)) == 7
    assert sorted(row.attempts for row in store.rows()) == [1] * 5 + [2]
    assert len(report.rows) == 6
    assert capfd.readouterr() == ("", "")


def alive(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


DRIVER = """
import sys
from pathlib import Path
from ray_cluster import Pretence
from results import open_store
from search.budget import Budget, Stop
from search.halving import Rungs
from search.launch import run
from search_space import Space

url, log, workers, seconds, hangs = sys.argv[1:]
how = {"log": Path(log), "seconds": float(seconds), "hangs": int(hangs)}
space = Space(squeeze=("avg", "max"))
request = Pretence(space=space, backbone="resnet8", rungs=Rungs((10,)), sampler="random", image_size=16, **how)
stop = Stop(grace_seconds=4)
with open_store(url) as store:
    run(request, Budget(trials=1000), store, engine="ray", workers=int(workers), stop=stop)
sys.exit(0 if stop.signal is None else 128 + stop.signal)
"""


@pytest.fixture
def drive(store, tmp_path):
    """`drive(...)`: a driver in a process of its own, with a Ray of its own."""
    with tempfile.TemporaryDirectory(prefix="attnas-", ignore_cleanup_errors=True) as folder:  # a short path: sockets
        started = []

        def start(*, workers, seconds=0.0, hangs=0):
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            words = [store.url, tmp_path / "log", workers, seconds, hangs]
            command = [sys.executable, "-c", DRIVER, *map(str, words)]
            driver = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"RAY_TMPDIR": folder}, **pipes)
            started.append(driver)
            return driver

        yield start
        for driver in started:
            driver.kill()
            driver.communicate()


def has_made(driver, store, number):
    """Whether there are so many rows yet."""
    assert driver.poll() is None, driver.communicate()
    return len(store.rows(status="complete")) >= number


def test_after_a_sigkill_of_the_driver_nothing_trains_on_and_either_engine_goes_on_at_once(store, drive, tmp_path):
    driver, log = drive(workers=1, hangs=4), tmp_path / "log"
    wait_for(lambda: has_made(driver, store, 3) and len(lines(log)) == 4, "three rows and a training")
    started = descendants(driver.pid)
    driver.kill()
    assert driver.communicate() == ("", "")
    wait_for(lambda: not any(alive(int(line[0])) for line in lines(log)), "the end of the actors", 20)
    for pid in started:  # Ray's own agents take a minute or two to see that they are alone
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    kept = {row.identity: row.finished for row in store.rows(status="complete")}
    assert len(kept) == 3, "the kill must have hit something"
    # Ray may end an actor by an exception, which gives the claim back, or by a kill, which leaves it with the dead
    assert not [row for row in store.rows(status="running") if not lease_is_dead(row)]
    space = Space(squeeze=("avg", "max"))
    request = Pretence(space=space, backbone="resnet8", rungs=Rungs((10,)), sampler="random", image_size=16, log=log)
    begun = time.monotonic()
    run(request, Budget(trials=7), store)
    assert time.monotonic() - begun < 10
    once(store.rows(), 7)
    assert kept.items() <= {row.identity: row.finished for row in store.rows()}.items()


def test_after_sigterm_what_ends_within_the_grace_is_kept_and_the_rest_handed_back(store, drive, tmp_path):
    """And Ray, which has a handler of its own for it, says nothing of either."""
    driver, log = drive(workers=2, seconds=4, hangs=2), tmp_path / "log"
    wait_for(lambda: has_made(driver, store, 0) and len(lines(log)) == 2, "two trainings")
    asked = time.monotonic()
    driver.send_signal(signal.SIGTERM)
    assert driver.communicate(timeout=60) == ("", "")
    assert time.monotonic() - asked < 4 + 11
    assert driver.returncode == 128 + signal.SIGTERM
    assert len(lines(log)) == 2
    assert [(row.status, row.design) for row in store.rows()] == [("complete", lines(log)[0][2])]
    assert not any(alive(int(line[0])) for line in lines(log))


def test_work_on_two_nodes_goes_on_when_one_is_killed_and_every_trial_is_made_once(store, pretend, capfd):
    ray.shutdown()
    request = pretend(seconds=0.2, nodes=2)
    with two_nodes() as cluster:

        def kill():
            wait_for(lambda: len({line[1] for line in lines(request.log)}) == 2, "work on both nodes")
            time.sleep(0.3)
            cluster.kill_second()

        thread = threading.Thread(target=kill)
        thread.start()
        run(request, Budget(trials=40), store, engine="ray", workers=2, address=cluster.address)
        thread.join()
    once(store.rows(), 40)
    begun = Counter(line[1] for line in lines(request.log))
    assert len(begun) == 2 and 40 <= begun.total() <= 42, "what was in hand is repeated, and nothing else"
    assert capfd.readouterr() == ("", "")
