"""How many trainings at a time are fastest on this machine: measured, by steps of real ones side by side.

Processes of one machine share its memory, caches and power, those of one accelerator its units; so neither "one for
each core" nor "one for each accelerator" need be the fastest, and only a try tells.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from search.budget import Budget
from search.cores import AUTO, Workers, cores_of_each, own_cores, usable_cores
from search.objective import Setting
from search.pool import environments
from search.request import Request
from trainers import measurements
from trainers.environment import pick_device
from trainers.timed_steps import Steps
from trainers.way import Way
from trainers.ways import network_key

_TURN_SECONDS = 3.0
_TURN_MARGIN = 120.0  # a step may be slow
_START_SECONDS = 900.0  # to compile
_ROUNDS = 2
_MOST_A_DEVICE = 8
_MORE_IS_WORTH = 1.05  # of a worker more: it takes memory, and noise is as large

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """The training that each process tries."""

    backbone: str
    image_size: int
    batch_size: int
    way: dict[str, Any]
    device: str
    threads: int
    cores: int

    def steps(self) -> Steps:
        device = torch.device(self.device)
        return Steps(Way(**self.way), self.backbone, self.image_size, self.batch_size, device)


def decided(
    request: Request, setting: Setting, budget: Budget, workers: Workers, *, engine: str = "optuna"
) -> tuple[Setting, int | None]:
    """How the trainings are carried out here, and how many at a time, with what was left open measured."""
    if engine == "ray" and request.fused is None:
        setting = replace(setting, fused=False)  # not every machine of a cluster has a compiler
    most = workers if isinstance(workers, int) else usable_cores() if workers == AUTO else 1
    setting = setting.decided(budget.trainings(most, setting.recipe.epochs))
    if workers == AUTO:
        return setting, best_number(request, setting)
    return setting, None if workers is None else most


def best_number(request: Request, setting: Setting, turn_seconds: float = _TURN_SECONDS) -> int:
    """Workers with which most steps a second are made of trainings of this setting, whose way is decided; of numbers
    that are about as fast the smallest. Measured once for a machine and a way."""
    device = pick_device(setting.device)
    devices = 0 if device.type != "cuda" else torch.cuda.device_count() if device.index is None else 1
    numbers = to_try(usable_cores() // request.threads, devices)
    if numbers == [1]:
        return 1
    batch_size, size, way = setting.recipe.batch_size, setting.data.image_size, setting.way()
    key = f"{network_key(setting.backbone, size, batch_size, device)}, {way}, at a time of {numbers[-1]}"
    known = measurements.of(key)
    if not known:
        cores = cores_of_each(numbers[-1], request.threads)
        job = Job(setting.backbone, size, batch_size, asdict(way), str(device), request.threads, cores)
        with measurements.announced("how many trainings at a time are fastest") as told:
            known = {str(number): rate for number, rate in rates(job, request, numbers, turn_seconds).items()}
            numbers_told = ", ".join(f"{number}: {rate:.3g}" for number, rate in known.items())
            told.append(f"{numbers_told or 'none could run'} steps a second")
        if known:
            measurements.keep(key, known)
    return best({int(number): rate for number, rate in known.items()})


def to_try(most: int, devices: int) -> list[int]:
    """Powers of two up to as many as the cores hold; on accelerators from one for each to eight for each."""
    each, most = (devices, min(most, _MOST_A_DEVICE * devices)) if devices else (1, most)
    numbers = [each]
    while 2 * numbers[-1] <= most:
        numbers.append(2 * numbers[-1])
    return sorted({*numbers, max(most, each)})


def best(rates: Mapping[int, float]) -> int:
    """1 if none could run: then the search will say why."""
    chosen = 1
    for number in sorted(rates):
        if rates[number] > _MORE_IS_WORTH * rates.get(chosen, 0.0):
            chosen = number
    return chosen


def rates(job: Job, request: Request, numbers: list[int], turn_seconds: float) -> dict[int, float]:
    """Steps a second of so many processes together: the best of two turns, for others only ever take time. A process
    that can't run (its memory is full) leaves those numbers out that would need it."""
    with _processes(job, request, numbers[-1]) as started:
        with _ended_after(_START_SECONDS, started):
            ready = [_said(process) == "ready" for process in started]
        possible = [number for number in numbers if all(ready[:number])]
        found: dict[int, list[float]] = {number: [] for number in possible}
        for _ in range(_ROUNDS):
            for number in possible:
                with _ended_after(turn_seconds + _TURN_MARGIN, started):
                    found[number].append(_together(started[:number], turn_seconds))
    return {number: max(several) for number, several in found.items() if min(several) > 0}


def _together(processes: list[subprocess.Popen[str]], seconds: float) -> float:
    """Steps a second of all of them; 0 if one has ended."""
    for process in processes:
        _tell(process, seconds)
    said = [_said(process) for process in processes]
    return sum(map(float, said)) if all(said) else 0.0


@contextmanager
def _ended_after(seconds: float, processes: list[subprocess.Popen[str]]) -> Iterator[None]:
    """One that hangs must not hang the search."""
    timer = threading.Timer(seconds, _kill, [processes])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _processes(job: Job, request: Request, number: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Started alike to workers; gone at the end of the block. What one says that ends before is a warning."""
    started: list[subprocess.Popen[str]] = []
    with tempfile.TemporaryFile() as log:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log, "text": True}
        try:
            for environment in environments(request, number):
                started.append(subprocess.Popen([sys.executable, "-m", "search.at_once"], env=environment, **pipes))
                _tell(started[-1], json.dumps(asdict(job)))
            yield started
            if any(process.poll() is not None for process in started):
                log.seek(0)
                last = log.read().decode(errors="replace").strip().rpartition("\n")[2]
                _log.warning("not all %d trainings could run at a time: %s", number, last or "no reason was given")
        finally:
            _kill(started)
            for process in started:
                with suppress(BrokenPipeError):  # of a line that it did not read
                    process.communicate()


def _kill(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        process.kill()


def _tell(process: subprocess.Popen[str], words: object) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has ended: so will it say nothing
        print(words, file=process.stdin, flush=True)


def _said(process: subprocess.Popen[str]) -> str:
    """A line; nothing if it has ended."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait()
    return line.strip()


def _try_steps(steps: Steps, seconds: float) -> float:
    """Steps a second."""
    begin = time.perf_counter()
    end, number = begin, 0
    while end < begin + seconds:
        steps()
        number, end = number + 1, time.perf_counter()
    return number / (end - begin)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # for whatever a user's network prints
    job = Job(**json.loads(sys.stdin.readline()))
    own_cores(job.cores)
    torch.set_num_threads(job.threads)
    steps = job.steps()
    steps()  # the first chooses kernels, compiles, records
    print("ready", file=answers, flush=True)
    while line := sys.stdin.readline():
        print(_try_steps(steps, float(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
