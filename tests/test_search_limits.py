"""What a network may cost: counted limits, measured latency, and objectives beside accuracy."""

import time
from functools import partial

import pytest
import searches
import torch
from searches import RECIPE, SPACE

from search import objective as objective_module
from search.candidates import CandidateError, Limits, candidates
from search.latency import LatencyError, measured_latency
from search.objective import Setting
from search.samplers import SAMPLERS
from search_space import PRESETS, DesignError, find_design
from trainers import design_cost
from trainers.environment import hardware
from trainers.outcome import Outcome

HARDWARE = [hardware(torch.device("cpu"))]


@pytest.fixture
def trained(monkeypatch):
    designs = []

    def pretend(design, *_, **__):
        designs.append(design)
        facts = {"precision": "float32", "versions": {}, "commit": None, "split": "validation"}
        accuracy = 0.5 + 0.1 * (design.squeeze == "dct")
        facts |= {"epochs_trained": 1, "peak_memory_bytes": 9, "hardware": HARDWARE[-1]}
        return Outcome(status="complete", accuracy=accuracy, loss=1.0, **facts)

    monkeypatch.setattr(objective_module, "train", pretend)
    return designs


run = partial(searches.run, trials=30, sampler="random")


def cost(design):
    return design_cost(design, "resnet8", 8, 4)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_sampler_trains_a_duplicate_or_what_is_over_a_limit(store, blobs, trained, sampler):
    """The limit leaves out half of the networks, and the search trains every other one exactly once."""
    setting = Setting(blobs, "resnet8", RECIPE)
    everything = candidates(SPACE, setting).networks
    limit = sorted(candidate.cost.params for candidate in everything.values())[len(everything) // 2]
    allowed = {key for key, candidate in everything.items() if candidate.cost.params <= limit}
    rows = run(store, blobs, trials=10_000, max_params=limit, sampler=sampler)
    assert len(trained) == len(rows) == len(allowed) < len(everything)
    assert {row.network_key for row in rows} == allowed


def test_what_is_over_a_limit_is_told_to_the_sampler_as_such(blobs):
    over = candidates(SPACE, Setting(blobs, "resnet8", RECIPE), Limits(params=cost(PRESETS["eca"]).params)).over
    assert over and all(excess > 0 for excess in over.values())
    assert all(cost(design).params > cost(PRESETS["eca"]).params for design in over)


def test_a_design_asked_for_by_name_must_be_possible_and_may_lie_outside_the_space(blobs):
    setting = Setting(blobs, "resnet8", RECIPE)
    assert PRESETS["cbam"] not in SPACE.designs()
    found = candidates(SPACE, setting, extra=[PRESETS["cbam"]])
    assert PRESETS["cbam"] in {candidate.design for candidate in found.networks.values()}
    with pytest.raises(DesignError):
        candidates(SPACE, setting, extra=[find_design("haar-d3-all/mlp-r4")])  # the last map is 2 x 2


@pytest.fixture
def slow_dct(monkeypatch):
    """Instead of a clock: dct takes 2 ms a batch, everything else 1 ms; counts the measurements."""
    measured = []

    def pretend(net, plain, **_):
        from trainers.latency import Timing

        design = next((module.design for module in net.modules() if hasattr(module, "design")), None)
        measured.append(design)
        seconds = 2e-3 if design is not None and design.squeeze == "dct" else 1e-3
        return {"forward": Timing(9, seconds, seconds, seconds, 1e-3, 1, 1, 1)}

    monkeypatch.setattr("search.latency.latency", pretend)
    return measured


def test_networks_over_a_latency_are_never_trained_and_their_claims_are_given_back(store, blobs, trained, slow_dct):
    rows = run(store, blobs, trials=10_000, max_latency=1.5e-3)
    assert rows and {row.latency_seconds for row in rows} == {1e-3}
    assert "dct" not in {design.squeeze for design in trained}
    assert set(store.frame()["status"]) == {"complete"}
    networks = candidates(SPACE, Setting(blobs, "resnet8", RECIPE)).networks.values()
    assert len(rows) == sum(candidate.design.squeeze != "dct" for candidate in networks)


def test_a_latency_is_measured_once_and_kept_in_the_storage(store, blobs, trained, slow_dct):
    run(store, blobs, trials=5, objectives="accuracy,latency")
    run(store, blobs, trials=8, objectives="accuracy,latency")
    assert len(slow_dct) == 8


def test_latencies_of_other_hardware_are_not_compared(store, blobs, trained, slow_dct, monkeypatch):
    """The first rows are measured and trained on a toaster."""
    HARDWARE.append("a toaster")
    monkeypatch.setattr("search.latency.hardware", lambda device: "a toaster")
    run(store, blobs, trials=2, objectives="accuracy,latency")
    monkeypatch.setattr("search.latency.hardware", lambda device: HARDWARE[0])
    HARDWARE.pop()
    with pytest.raises(LatencyError, match="measured on a toaster; this machine is"):
        run(store, blobs, trials=3, objectives="accuracy,latency")


def test_rows_trained_where_latency_did_not_count_are_measured_before_they_do(store, blobs, trained, slow_dct):
    run(store, blobs, trials=6)
    rows = run(store, blobs, trials=6, objectives="accuracy,latency")
    assert len(rows) == len(trained) == len(slow_dct) == 6


def test_rows_over_the_latency_are_no_part_of_a_study_that_limits_it(store, blobs, trained, slow_dct):
    everything = run(store, blobs, trials=10_000)
    rows = run(store, blobs, trials=10_000, max_latency=1.5e-3)
    dct = [row for row in everything if "dct" in row.design]
    assert dct and {row.identity for row in rows} == {row.identity for row in everything} - {r.identity for r in dct}


def test_a_network_that_cannot_even_be_measured_fails_as_one_that_cannot_be_trained(store, blobs, trained, monkeypatch):
    def starved(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("search.latency.latency", starved)
    rows = run(store, blobs, trials=1, objectives="accuracy,latency")
    assert [(row.status, row.failure) for row in rows] == [("failed", "oom")] and "Allocator" in rows[0].error


def test_a_real_latency_is_a_time(store, blobs):
    candidate = next(iter(candidates(SPACE, Setting(blobs, "resnet8", RECIPE)).networks.values()))
    begun = time.perf_counter()
    seconds = measured_latency(candidate, Setting(blobs, "resnet8", RECIPE), store)
    assert 0 < seconds < time.perf_counter() - begun
    assert measured_latency(candidate, Setting(blobs, "resnet8", RECIPE), store) == seconds


@pytest.mark.parametrize("objectives", ["accuracy", "loss,params", "accuracy,macs,params,memory"])
def test_searches_take_any_objectives(store, blobs, trained, objectives):
    assert len(run(store, blobs, trials=25, objectives=objectives)) == 25


def test_a_search_without_an_allowed_network_leaves_no_study(store, blobs):
    with pytest.raises(CandidateError, match="max MACs 1 or max params 2"):
        run(store, blobs, trials=1, max_macs=1, max_params=2)
    assert store.studies.list() == []


@pytest.mark.parametrize("limits", [{"latency": 0}, {"params": -1}, {"macs": float("nan")}])
def test_a_limit_that_nothing_can_meet_is_refused(limits):
    with pytest.raises(CandidateError, match="above 0"):
        Limits(**limits)
