"""How long an evaluation takes here, from a few steps of a real training and one real pass over held-out images."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, replace

import torch

from results.row import Row
from search.candidates import Candidate
from search.objective import Setting
from trainers.data import Split
from trainers.environment import pick_device
from trainers.outcome import Outcome

STEPS = 8
_HELD_OUT = 500  # images, the batch in which a training measures itself


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortTrial:
    """Seconds of its parts, measured; `row_bytes` what a row of one epoch and each further epoch take in a storage."""

    design: str
    precision: str
    steps: int
    held_out: int
    setup_seconds: float
    step_seconds: float
    image_seconds: float  # of measuring, an image
    steps_an_epoch: int
    held_out_in_all: int
    row_bytes: int
    epoch_bytes: int

    def seconds(self, epochs: float) -> float:
        """Of an evaluation that trains so many epochs and measures itself after each."""
        training = epochs * self.steps_an_epoch * self.step_seconds
        return self.setup_seconds + training + math.ceil(epochs) * self.held_out_in_all * self.image_seconds


def short_trial(candidate: Candidate, setting: Setting) -> ShortTrial:
    """Train `candidate` for a few steps. The first, which chooses kernels, is not counted. Raises `UserError`."""
    data, recipe = setting.data, setting.recipe
    steps = min(STEPS, max(1, len(data.train) // recipe.batch_size))
    images = Split(data.train.images[: steps * recipe.batch_size], data.train.labels[: steps * recipe.batch_size])
    held_out = Split(data.validation.images[:_HELD_OUT], data.validation.labels[:_HELD_OUT])
    decided = setting.decided()  # whose measurements are none of the trial's
    little = replace(
        decided,
        data=replace(data, train=images, validation=held_out),
        recipe=recipe.changed(epochs=1, schedule="linear", warmup=0.0),
    )
    device = pick_device(setting.device)
    clock = _Clock(device)
    outcome = little.train(candidate.design, 0, on_step=clock)
    clock()
    begun, *ticks = clock.seconds
    first_counted = min(1, steps - 1)
    fixed, epoch = _bytes(setting.row(candidate.design, 0, cost=candidate.cost, network_key=candidate.key), outcome)
    return ShortTrial(
        design=str(candidate.design),
        precision=decided.precision,
        steps=steps,
        held_out=len(held_out),
        setup_seconds=ticks[0] - begun,
        step_seconds=(ticks[steps] - ticks[first_counted]) / (steps - first_counted),
        image_seconds=(ticks[steps + 1] - ticks[steps]) / len(held_out),
        steps_an_epoch=len(data.train) // recipe.batch_size,
        held_out_in_all=len(data.validation),
        row_bytes=fixed,
        epoch_bytes=epoch,
    )


class _Clock:
    """Notes the moment of every call; an accelerator has done then what it was given before."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = [time.perf_counter()]

    def __call__(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds.append(time.perf_counter())


def _bytes(row: Row, outcome: Outcome) -> tuple[int, int]:
    """Of a row without its curves, and of an epoch of them: their text, and half as much for pages and indexes."""
    cells = asdict(row) | {"versions": outcome.versions, "hardware": outcome.hardware, "curves": []}
    names = sum(map(len, cells))
    epoch = len(json.dumps(outcome.curves[-1])) if outcome.curves else 0
    return round(1.5 * (len(json.dumps(cells)) - names)), round(1.5 * epoch)
