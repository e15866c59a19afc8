"""What latency() measures, in which order and in which mode. Clocks are faked: no test here waits for a machine."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from search_space import PRESETS, UserError
from trainers import backbone
from trainers.latency import PHASES, Timing, latency

MODULE = importlib.import_module("trainers.latency")  # the name in `trainers` may be the function's


class Spy(nn.Module):
    """A network that writes down who ran, in which mode, with which gradients and numbers."""

    def __init__(self, name: str, log: list[tuple]) -> None:
        super().__init__()
        self.name, self.log, self.layer = name, log, nn.Linear(3 * 4 * 4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x.flatten(1))
        self.log.append((self.name, self.training, torch.is_grad_enabled(), y.dtype, tuple(x.shape)))
        return y


class Clock:
    """Stands for torch's Timer: runs the step once, and answers with the next of the seconds it was given."""

    def __init__(self, seconds: dict[str, list[float]], log: list[tuple]) -> None:
        self.seconds, self.log, self.numbers, self.threads = seconds, log, [], []

    def __call__(self, stmt: str, globals: dict, num_threads: int) -> SimpleNamespace:
        assert stmt == "step()"
        self.threads.append(num_threads)

        def timeit(number: int) -> SimpleNamespace:
            globals["step"]()
            name = self.log[-1][0]
            self.numbers.append((name, number))
            return SimpleNamespace(mean=self.seconds[name].pop(0))

        return SimpleNamespace(timeit=timeit)


@pytest.fixture
def log() -> list[tuple]:
    return []


def spied(log: list[tuple], monkeypatch, own: list[float], plain: list[float], **options) -> tuple[dict, Clock]:
    """A latency of two spies whose timers answer, a phase: warm-up, one run, then a number a repeat."""
    clock = Clock({"own": own * 2, "plain": plain * 2}, log)
    monkeypatch.setattr(MODULE, "Timer", clock)
    found = latency(Spy("own", log), Spy("plain", log), image_size=4, batch=5, **options)
    return found, clock


WARM_UP = [9.0, 0.01]  # seconds: the first are thrown away; a run of 0.01 fits five times into 0.05


def test_ratios_are_of_the_same_turn_and_quartiles_interpolate(log, monkeypatch):
    """Oracle: by hand. Own 2, 4, 6 seconds beside 1, 1, 2: ratios 2, 4, 3; quartiles halfway between neighbours."""
    found, _ = spied(log, monkeypatch, [*WARM_UP, 2, 4, 6], [*WARM_UP, 1, 1, 2], repeats=3)
    expected = Timing(
        n=3,
        median=4,
        lower_quartile=3,
        upper_quartile=5,
        plain_median=1,
        ratio_median=3,
        ratio_lower_quartile=2.5,
        ratio_upper_quartile=3.5,
    )
    assert found == {"forward": expected, "forward_backward": expected}


def test_a_network_beside_itself_has_a_ratio_of_one(log, monkeypatch):
    same = [*WARM_UP, 0.5, 0.7, 0.6, 0.9]
    found, _ = spied(log, monkeypatch, same, same, repeats=4)
    assert {timing.ratio_median for timing in found.values()} == {1}


def test_the_networks_take_turns_after_a_warm_up_of_each(log, monkeypatch):
    _, clock = spied(log, monkeypatch, [*WARM_UP, 1, 1], [9.0, 0.001, 1, 1], repeats=2)
    own, plain = ("own", 5), ("plain", 50)  # as often as fills 0.05 seconds
    phase = [("own", 3), ("own", 1), ("plain", 3), ("plain", 1), own, plain, own, plain]
    assert clock.numbers == phase * 2


def test_a_slow_network_runs_once_a_repeat(log, monkeypatch):
    _, clock = spied(log, monkeypatch, [9, 60, 60, 60], [9, 60, 60, 60], repeats=2)
    assert clock.numbers[4:8] == [("own", 1), ("plain", 1)] * 2


def test_forward_runs_in_evaluation_without_gradients_and_backward_in_training_with_them(log, monkeypatch):
    seconds = [*WARM_UP, 1, 1]
    spied(log, monkeypatch, seconds, list(seconds), repeats=2)
    modes = [(training, gradients) for _, training, gradients, *_ in log]
    assert modes == [(False, False)] * 8 + [(True, True)] * 8
    assert {shape for *_, shape in log} == {(5, 3, 4, 4)}


def test_a_backward_pass_is_part_of_the_step_and_leaves_no_gradient(log, monkeypatch):
    seconds, reached = [*WARM_UP, 1, 1], []
    networks = [Spy("own", log), Spy("plain", log)]
    for network in networks:
        network.layer.weight.register_hook(lambda gradient: reached.append(gradient.shape))
    monkeypatch.setattr(MODULE, "Timer", Clock({"own": seconds * 2, "plain": seconds * 2}, log))
    latency(*networks, image_size=4, batch=1, repeats=2)
    assert len(reached) == 8  # every step of the second phase
    assert all(parameter.grad is None for network in networks for parameter in network.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_another_dtype_is_autocast(log, monkeypatch, dtype):
    seconds = [*WARM_UP, 1, 1]
    spied(log, monkeypatch, seconds, list(seconds), repeats=2, dtype=dtype)
    assert {computed for *_, computed, _ in log} == {dtype}


def test_threads_are_those_asked_for(log, monkeypatch):
    seconds = [*WARM_UP, 1, 1]
    _, clock = spied(log, monkeypatch, seconds, list(seconds), repeats=2, threads=2)
    assert clock.threads == [2, 2, 2, 2]


def test_every_repeat_of_both_phases_is_told(log, monkeypatch):
    seconds, told = [*WARM_UP, 1, 1, 1], []
    spied(log, monkeypatch, seconds, list(seconds), repeats=3, on_repeat=lambda: told.append(len(log)))
    assert len(told) == 3 * len(PHASES)
    assert told[0] == 6  # after both networks' first repeat


@pytest.mark.parametrize(("repeats", "batch"), [(1, 8), (0, 8), (2, 0), (2, -1)])
def test_too_few_repeats_or_images_are_refused(repeats, batch):
    net = nn.Identity()
    words = f"{repeats} repeats of batches of {batch} given; allowed: 2 or more, 1 or more"
    with pytest.raises(UserError, match=words):
        latency(net, net, image_size=4, batch=batch, repeats=repeats)


def test_a_real_run_gives_positive_seconds_as_json():
    """With torch's own timer; how long it takes is nobody's promise."""
    nets = [backbone("resnet8", design, num_classes=2) for design in (PRESETS["se"], PRESETS["none"])]
    found = latency(*nets, image_size=8, batch=1, repeats=2)
    read = json.loads(json.dumps({phase: asdict(timing) for phase, timing in found.items()}))
    assert list(read) == list(PHASES)
    for timing in read.values():
        assert timing.pop("n") == 2
        assert all(seconds > 0 for seconds in timing.values())
        assert timing["lower_quartile"] <= timing["median"] <= timing["upper_quartile"]
        assert timing["ratio_lower_quartile"] <= timing["ratio_median"] <= timing["ratio_upper_quartile"]
    assert all(parameter.grad is None for net in nets for parameter in net.parameters())
