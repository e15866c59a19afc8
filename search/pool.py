"""Several workers on this machine: persistent processes, each pinned to its cores or its accelerator.

Workers agree through the storage alone. The driver starts them, starts them again when they are killed, passes on
signals, and reports; when it is killed itself they hand back what they are at and end.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from search.budget import Budget, Stop
from search.cores import cores_of_each
from search.lookout import BrokenSearchError, Lookout, Report, SearchError
from search.request import Request
from search.study import Study
from trainers.shared_images import SharedImages, share

_LOOK_SECONDS = 0.3
_MOST_RESTARTS = 5  # without a row in between
_KILL_SECONDS = 20  # after the grace, for a worker that doesn't answer
USER_ERROR, TIME_UP, BROKEN = 2, 3, 4  # exit codes of a worker; 0: the search is over


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What a worker process is told, once, over its standard input."""

    request: Request
    budget: Budget
    storage: str
    study_id: str | None
    deadline: float | None
    grace_seconds: float
    cores: int  # to take for itself
    driver: int  # its process id
    images: SharedImages | None  # those of the request, if the machine can share them


class _Worker:
    """One process, started again when it dies."""

    def __init__(self, orders: Orders, environment: dict[str, str], log: IO[bytes]) -> None:
        self.orders, self.environment, self.log = orders, environment, log
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "search.worker_process"],
            stdin=subprocess.PIPE,
            stdout=self.log,
            stderr=self.log,
            env=self.environment,
            pass_fds=[] if self.orders.images is None else [self.orders.images.descriptor],
            start_new_session=True,  # Ctrl-C on the terminal reaches the driver, which passes it on once
        )
        assert self.process.stdin is not None
        try:
            with self.process.stdin as pipe:
                pickle.dump(self.orders, pipe)
        except BrokenPipeError:
            return  # it died at once; what it said is in its log, how it ended in its exit code

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace").strip()


def run_pool(
    request: Request,
    study: Study,
    budget: Budget,
    stop: Stop,
    *,
    workers: int,
    report: Report,
) -> str:
    """Search with `workers` processes until the study is over; returns why it ended. Raises `SearchError`."""
    lookout = Lookout(study, stop, report)
    restarts = signals = 0
    with _workers(request, study, budget, stop, workers) as running:
        while not _have_ended(running, stop):
            if lookout.look():
                restarts = 0
            if signals < stop.asked + stop.again:  # one a look: two at once may reach a process as one
                signals += 1
                for worker in running:
                    worker.process.send_signal(signal.SIGTERM)  # nothing happens to one that has ended
            restarts += _revive(running, stop, restarts, report)
            time.sleep(_LOOK_SECONDS)
        _revive(running, stop, restarts, report)
        if any(worker.process.returncode == TIME_UP for worker in running):
            stop.too_late = True
    lookout.look()
    if stop.told:
        return "the time is up" if stop.time_is_up else "stopped"
    return study.why_over(budget)


def _have_ended(running: list[_Worker], stop: Stop) -> bool:
    """Whether none works and none is to be started again: all may have been killed at once."""
    codes = [worker.process.poll() for worker in running]
    return all(code in (0, TIME_UP) or (code is not None and stop.told) for code in codes)


def _revive(running: list[_Worker], stop: Stop, restarts: int, report: Report) -> int:
    """Start killed workers again; how many. Raises `SearchError` for what starting again can't mend."""
    again = 0
    for worker in running:
        code = worker.process.poll()
        if code in (None, 0, TIME_UP):
            continue
        if code == USER_ERROR:
            raise SearchError(worker.said().removeprefix("error: "))
        if code == BROKEN:
            raise BrokenSearchError(worker.said())
        if stop.told:
            continue
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        if restarts + again >= _MOST_RESTARTS:
            raise SearchError(
                f"stopped: workers ended {_MOST_RESTARTS} times without finishing an evaluation, the last time {how}. "
                f"It said: {worker.said()[-2000:] or 'nothing'}"
            )
        report.say(f"worker {worker.process.pid} has ended ({how}) and is started again")
        worker.start()
        again += 1
    return again


@contextmanager
def _workers(request: Request, study: Study, budget: Budget, stop: Stop, number: int) -> Iterator[list[_Worker]]:
    """The processes; whatever happens in the block, none is left when it ends."""
    running: list[_Worker] = []
    images = share(study.setting.data)
    with tempfile.TemporaryDirectory(prefix="attnas-workers-") as folder:
        try:
            orders = Orders(
                request=request if images is None else replace(request, data="shared"),  # which the images replace
                budget=budget,
                storage=study.store.url,
                study_id=study.id,
                deadline=stop.deadline,
                grace_seconds=stop.grace_seconds,
                cores=cores_of_each(number, request.threads),
                driver=os.getpid(),
                images=images,
            )
            for index, environment in enumerate(environments(request, number)):
                log = (Path(folder) / f"{index}.log").open("w+b")
                running.append(_Worker(orders, environment, log))
            yield running
        finally:
            _end(running, stop.grace_seconds)
            if images is not None:
                os.close(images.descriptor)


def _end(running: list[_Worker], grace_seconds: float) -> None:
    for worker in running:
        if worker.process.poll() is None:
            worker.process.terminate()
    last_moment = time.monotonic() + grace_seconds + _KILL_SECONDS
    for worker in running:
        try:
            worker.process.wait(max(0.1, last_moment - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
        worker.log.close()


def environments(request: Request, number: int) -> list[dict[str, str]]:
    """The environment of each worker; accelerators are shared out in turn."""
    import torch

    devices = _devices(torch.cuda.device_count() if request.device in (None, "cuda") else 0)
    common = dict(os.environ) | {name: str(request.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    common["PYTHONPATH"] = os.pathsep.join(path for path in [str(Path.cwd()), *sys.path] if path)
    own = [{"CUDA_VISIBLE_DEVICES": devices[index % len(devices)]} if devices else {} for index in range(number)]
    return [common | mine for mine in own]


def _devices(count: int) -> list[str]:
    """What the accelerators are called for CUDA_VISIBLE_DEVICES, those only that this process may use."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:count] if named else [str(index) for index in range(count)]
