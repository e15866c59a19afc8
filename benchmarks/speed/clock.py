"""Times of things that are done in turn, by the wall and by the processor."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

Key = TypeVar("Key")


@dataclass
class Times:
    """Seconds of each repeat."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def alternated(
    steps: Mapping[Key, Callable[[], object]], rounds: int, *, least_seconds: float = 0.0
) -> dict[Key, Times]:
    """`rounds` rounds of all steps, every other one backwards; before them one that is not counted.

    A step that is over sooner than `least_seconds` is done as often as fills them, and its time is the mean.
    """
    found = {key: Times() for key in steps}
    often = {key: _often(step, least_seconds) for key, step in steps.items()}
    for number in range(rounds):
        for key in list(steps) if number % 2 == 0 else list(steps)[::-1]:
            wall, cpu = _timed(steps[key], often[key])
            found[key].wall.append(wall)
            found[key].cpu.append(cpu)
    return found


def ratios(ours: list[float], theirs: list[float]) -> list[float]:
    """Of the two times of each round, which other work on the machine has met alike."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def ratio(ours: Times, theirs: Times) -> float:
    """Median over the rounds, by the processor's time, which other processes lengthen least."""
    return median(ratios(ours.cpu, theirs.cpu))


def _often(step: Callable[[], object], least_seconds: float) -> int:
    step()  # kernels are chosen, programs compiled
    wall, _ = _timed(step, 1)
    return max(1, round(least_seconds / max(wall, 1e-9)))


def _timed(step: Callable[[], object], often: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(often):
        step()
    return (time.perf_counter() - wall) / often, (time.process_time() - cpu) / often
