"""Starts the contestants' processes, each run in a folder of its own, and ends them all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.engines.pretend import FOLDER, SECONDS, WORKERS
from benchmarks.engines.table import TABLE

ROOT = Path(__file__).parents[2]
_HOOKS = Path(__file__).with_name("hooks")
_LONGEST_SECONDS = 300.0


@dataclass
class Run:
    """One run of one contestant: its folder, and the processes it has started there."""

    folder: Path
    table: Path
    seconds_a_trial: float = 0.0
    meeting: int = 0  # workers that wait for each other
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    began: float = field(default_factory=time.time)

    def start(self, module: str, asked: dict[str, Any]) -> subprocess.Popen[bytes]:
        """A process of `benchmarks.engines.MODULE`, the leader of a session of its own."""
        paths = [str(_HOOKS), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "OMP_NUM_THREADS": "1",
            "RAY_TMPDIR": str(self.folder),
            "TMPDIR": str(self.folder),
            TABLE: str(self.table),
            FOLDER: str(self.folder),
            SECONDS: str(self.seconds_a_trial),
        }
        if self.meeting:
            environment[WORKERS] = str(self.meeting)
        command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.engines.{module}", json.dumps(asked)]
        with (self.folder / f"said-{len(self.processes)}").open("wb") as said:
            process = subprocess.Popen(
                command, stdout=said, stderr=said, env=environment, cwd=self.folder, start_new_session=True
            )
        self.processes.append(process)
        return process

    def wait(self, *, may_fail: bool = False) -> list[int]:
        """The exit codes of all processes; the last words of one that failed are raised unless it may."""
        end = time.monotonic() + _LONGEST_SECONDS
        codes = [process.wait(max(1.0, end - time.monotonic())) for process in self.processes]
        for number, code in enumerate(codes):
            if code != 0 and not may_fail:
                raise RuntimeError(f"{self.processes[number].args!r}: {self.said(number)[-3000:]}")
        return codes

    def said(self, number: int) -> str:
        return (self.folder / f"said-{number}").read_text(errors="replace")

    def kill_all(self) -> None:
        """SIGKILL every process that this run has started, and what those have started."""
        for pid in self.alive():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def alive(self) -> list[int]:
        """The pids of this run's processes and theirs, known by the folder in their environment."""
        mark = f"{FOLDER}={self.folder}".encode()
        found = []
        for place in Path("/proc").iterdir():
            with suppress(OSError):
                if place.name.isdecimal() and mark in (place / "environ").read_bytes().split(b"\0"):
                    found.append(int(place.name))
        return found


@contextmanager
def a_run(table: Path, *, seconds_a_trial: float = 0.0, meeting: int = 0) -> Iterator[Run]:
    """A run in a new folder; when the block ends no process and no file of it is left."""
    with tempfile.TemporaryDirectory(prefix="ab-", ignore_cleanup_errors=True) as folder:
        run = Run(Path(folder), table, seconds_a_trial, meeting)
        try:
            yield run
        finally:
            end = time.monotonic() + 20
            while run.alive() and time.monotonic() < end:
                run.kill_all()
                time.sleep(0.1)
            for process in run.processes:
                process.wait()
