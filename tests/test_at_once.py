"""How many trainings at a time are fastest is measured by real steps in real processes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import make_blobs

from search import at_once
from search.at_once import Job, best, best_number, decided, rates, to_try
from search.budget import Budget
from search.halving import Rungs
from search.launch import check_engine
from search.objective import Setting
from search.request import Request
from search_space import Space, UserError
from trainers.recipe import Recipe
from trainers.way import Way

RECIPE = Recipe(name="short", epochs=1, batch_size=8, learning_rate=0.05)


@pytest.mark.parametrize(
    ("most", "devices", "numbers"),
    [
        (1, 0, [1]),
        (2, 0, [1, 2]),
        (6, 0, [1, 2, 4, 6]),
        (64, 0, [1, 2, 4, 8, 16, 32, 64]),
        (16, 1, [1, 2, 4, 8]),  # at most eight on one accelerator
        (3, 1, [1, 2, 3]),  # and a core for each
        (32, 4, [4, 8, 16, 32]),
        (2, 4, [4]),
    ],
)
def test_powers_of_two_up_to_what_cores_and_accelerators_hold_are_tried(most, devices, numbers):
    assert to_try(most, devices) == numbers


@pytest.mark.parametrize(
    ("measured", "number"),
    [
        ({1: 10.0, 2: 19.0, 4: 30.0}, 4),
        ({1: 10.0, 2: 19.0, 4: 19.5}, 2),  # about as fast: the smaller
        ({1: 10.0, 2: 9.0, 4: 12.0}, 4),
        ({1: 10.0, 2: 10.2, 4: 10.4}, 1),
        ({4: 10.0, 8: 30.0}, 8),
        ({}, 1),
    ],
)
def test_the_number_with_most_steps_a_second_is_chosen_the_smaller_of_two_as_fast(measured, number):
    assert best(measured) == best(dict(reversed(measured.items()))) == number


@pytest.fixture
def request_(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTNAS_CACHE", str(tmp_path))
    return Request(
        space=Space(squeeze=("avg",)),
        data=make_blobs(seed=0),
        backbone="resnet8",
        recipe=RECIPE,
        rungs=Rungs((1,)),
        sampler="random",
        device="cpu",
        precision="float32",
        fused=False,
    )


def test_steps_are_measured_in_processes_side_by_side_once_for_a_machine(request_, monkeypatch, capsys):
    monkeypatch.setattr(at_once, "usable_cores", lambda: 2)
    setting = request_.setting()
    asked = []

    def spied(*given):
        asked.append(rates(*given))
        return asked[-1]

    monkeypatch.setattr(at_once, "rates", spied)
    number = best_number(request_, setting, turn_seconds=0.2)
    assert best_number(request_, setting, turn_seconds=0.2) == number  # from what is kept
    [found] = asked
    assert found.keys() == {1, 2} and min(found.values()) > 0 and number == best(found)
    said = capsys.readouterr().err
    assert "how many trainings at a time" in said and said.rstrip().endswith("steps a second")


WAY = {"precision": "float32", "layout": "contiguous", "fused": False, "captured": False}
FACTORY = """
import os, sys
from trainers.cifar_resnet import CifarResNet
from trainers.small_shapes import Shape

class Net(CifarResNet):
    calls = 0
    def forward(self, x):
        print("a word of the network's own")
        Net.calls += len(x) == 4  # in a step, not when its maps are measured
        if Net.calls == {calls}:
            {then}
        return super().forward(x)

def make(num_classes):
    return Net(Shape((1,), (4,)), num_classes)
"""


@pytest.mark.parametrize(
    ("calls", "then", "words"),
    [
        (1, "sys.exit('no room')", "no room"),
        (2, "os._exit(9)", "not all 2"),  # after it was ready
        (2, "import time; time.sleep(600)", "not all 2"),
    ],
    ids=["at once", "later", "hangs"],
)
def test_processes_that_end_or_hang_leave_one_worker_which_will_say_why(
    request_, tmp_path, monkeypatch, caplog, calls, then, words
):
    (tmp_path / "ending_net.py").write_text(FACTORY.format(calls=calls, then=then))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(at_once, "_TURN_MARGIN", 2.0)
    job = Job("ending_net:make", 8, 4, WAY, "cpu", 1, 1)
    assert best(rates(job, request_, [1, 2], 0.1)) == 1
    assert words in caplog.text


def test_a_number_that_is_given_is_not_measured(request_, monkeypatch):
    monkeypatch.setattr(at_once, "best_number", lambda *_: 7)
    setting = request_.setting()
    assert isinstance(setting, Setting)
    given = (None, 3, "auto")
    assert [decided(request_, setting, Budget(), workers)[1] for workers in given] == [None, 3, 7]


@pytest.mark.parametrize(
    ("engine", "given", "fused"),
    [("optuna", None, True), ("ray", None, False), ("ray", True, True), ("optuna", False, False)],
)
def test_on_ray_blocks_are_fused_only_if_that_is_asked_for(request_, monkeypatch, engine, given, fused):
    """Not every machine of a cluster has a compiler."""

    def fuses_if_it_may(setting, trainings=1):
        return Way("float32", "contiguous", fused=setting.fused is not False)

    monkeypatch.setattr(Setting, "way", fuses_if_it_may)
    asked = replace(request_, fused=given)
    assert decided(asked, asked.setting(), Budget(), 1, engine=engine)[0].fused is fused


@pytest.mark.parametrize(
    ("engine", "workers", "words"),
    [("optuna", "many", "1 or more, or auto"), ("optuna", 0, "1 or more"), ("ray", "auto", "as the cluster holds")],
)
def test_workers_that_cannot_be_meant_are_refused(engine, workers, words):
    with pytest.raises(UserError, match=words):
        check_engine(engine, workers)
