"""Trainings that only pretend, for actors to be given, and a Ray cluster of two nodes of which one may be killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from unmeasured import Unmeasured

from search.objective import Setting
from search.request import Request
from trainers.outcome import Outcome

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Pretending(Unmeasured):
    """A training is a line in a file, then some sleep; the first `kills` kill their process, the `hangs`-th hangs.

    None ends before trainings have begun on `nodes` nodes, or for a minute: on a busy machine they start seconds apart.
    """

    log: Path = Path()
    seconds: float = 0.0
    kills: int = 0
    hangs: int = 0
    nodes: int = 1

    def train(self, design, seed, *, until=None, checkpoint=None, on_epoch=None, on_step=None):
        import ray

        here = ray.get_runtime_context().get_node_id() if ray.is_initialized() else "-"
        with self.log.open("a") as log:
            log.write(f"{os.getpid()} {here} {design} {until} {shared(self.data.train.images)}\n")
            log.flush()
            number = self.log.read_bytes()[: log.tell()].count(b"\n")  # another may have written since
        if number <= self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600 if number == self.hangs else self.seconds)
        end = time.monotonic() + 60
        while len({line[1] for line in lines(self.log)}) < self.nodes and time.monotonic() < end:
            time.sleep(0.05)
        status = "complete" if until in (None, self.recipe.epochs) else "stopped"
        facts = {"precision": "float32", "hardware": "none", "versions": {}, "commit": None, "split": "validation"}
        return Outcome(status=status, accuracy=len(str(design)) / 100, loss=1.0, **facts)


@dataclass(frozen=True, kw_only=True)
class Pretence(Request):
    """A request whose trainings pretend."""

    log: Path = field(default=Path())
    seconds: float = 0.0
    kills: int = 0
    hangs: int = 0
    nodes: int = 1

    def setting(self) -> Setting:
        real = super().setting()
        how = {name: getattr(self, name) for name in ("log", "seconds", "kills", "hangs", "nodes")}
        return Pretending(real.data, self.backbone, self.recipe, device="cpu", **how)


def shared(tensor: torch.Tensor) -> bool:
    """Whether it lies in the memory that Ray's processes of a machine share, as the system says."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, _, *name = line.split(maxsplit=5)
        first, end = (int(address, 16) for address in place.split("-"))
        if first <= tensor.data_ptr() < end:
            return "plasma" in name[-1]
    return False


def lines(log: Path) -> list[list[str]]:
    """What trainings have begun: process, node, design, epochs, and whether the images lie in Ray's memory."""
    return [line.split(" ") for line in log.read_text().splitlines()] if log.exists() else []


@dataclass
class Cluster:
    """A head and a second node, each with a CPU, an address and a folder of its own."""

    address: str
    head: subprocess.Popen
    second: subprocess.Popen

    def kill_second(self) -> None:
        """SIGKILL its raylet: the node is gone, and with it what runs there."""
        for pid in children(self.second.pid):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "raylet":
                os.kill(pid, signal.SIGKILL)


@contextmanager
def two_nodes() -> Iterator[Cluster]:
    """Started and, at the end, stopped as processes of this one's own. RAY_AUTH_TOKEN is of the environment."""
    port = free_port()
    folders = [tempfile.mkdtemp(prefix="attnas-node-") for _ in range(2)]
    address = f"127.0.0.1:{port}"
    head = _start(folders[0], "127.0.0.1", "--head", f"--port={port}", "--include-dashboard=false")
    second = None
    try:
        _wait_for(lambda: _listens(port), Path(folders[0], "said"), head)
        second = _start(folders[1], "127.0.0.2", f"--address={address}")
        _wait_for(lambda: "raylet" in _commands(second.pid), Path(folders[1], "said"), second)
        yield Cluster(address, head, second)
    finally:
        for process in filter(None, (second, head)):
            _end(process)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _start(folder: str, ip: str, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options, "--block", "--num-cpus=1"]
    command += [f"--node-ip-address={ip}", "--disable-usage-stats", "--object-store-memory=80000000"]
    command += ["--min-worker-port=0", "--max-worker-port=0"]
    command += [f"--temp-dir={folder}"]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    # a node that is gone is noticed in seconds rather than half a minute
    environment = os.environ | {"PYTHONPATH": paths, "RAY_health_check_period_ms": "500"}
    with Path(folder, "said").open("w") as said:
        return subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)


def _end(process: subprocess.Popen) -> None:
    """Kill what it started; it sees that, and ends; in this order, because nobody else would take note of its dead."""
    for pid in descendants(process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _wait_for(condition, said: Path, process: subprocess.Popen, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < end, f"not started: {said.read_text()}"
        time.sleep(0.1)


def _commands(pid: int) -> set[str]:
    return {Path(f"/proc/{child}/comm").read_text().strip() for child in children(pid)}


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descendants(pid: int) -> list[int]:
    found = []
    with suppress(FileNotFoundError):
        for child in children(pid):
            found += [child, *descendants(child)]
    return found
