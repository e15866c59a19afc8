"""The processes of a campaign: those that carry its mark in their environment, and what these have started."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

MARK = "ATTNAS_CHAOS"
AGENTS = re.compile(r"^ray::(DashboardAgent|RuntimeEnvAgent)")
"""Ray's own, which hold nothing, but try for 60 s to report the death of their node to a head that is dead too."""
AGENTS_SECONDS = 75.0

_KINDS = {
    "worker": re.compile(r"search\.worker_process"),
    "actor": re.compile(r"^ray::(Evaluator|\w*Trainable)"),
    "raylet": re.compile(r"/raylet/raylet "),
    "gcs": re.compile(r"/gcs_server "),
}


@dataclass(frozen=True)
class Process:
    pid: int
    start: str  # in clock ticks since boot: a pid is given again, the two together are not


@dataclass
class Processes:
    """Look often: of a process that was never seen with its parent alive, and that hid its environment, we'd not know.

    (A process may write its title over its environment, as Ray's do.)
    """

    folder: Path
    seen: set[Process] = field(default_factory=set)

    def look(self) -> dict[Process, str]:
        """The command line of each that is alive."""
        mark = f"{MARK}={self.folder}".encode()
        table = dict(filter(None, map(_read, Path("/proc").glob("[0-9]*"))))
        ours = {process for process, (_, environment, _) in table.items() if mark in environment}
        ours |= self.seen & table.keys()
        children: dict[int, list[Process]] = {}
        for process, (parent, _, _) in table.items():
            children.setdefault(parent, []).append(process)
        grown = list(ours)
        while grown:
            new = [child for child in children.get(grown.pop().pid, []) if child not in ours]
            ours.update(new)
            grown += new
        self.seen |= ours
        return {process: table[process][2] for process in ours}

    def of_kind(self, kind: str) -> list[int]:
        """The pids of a kind of victim, sorted."""
        return sorted(process.pid for process, command in self.look().items() if _KINDS[kind].search(command))

    def end(self) -> None:
        """Kill what is left."""
        for process in self.look():
            kill(process.pid)


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _read(path: Path) -> tuple[Process, tuple[int, list[bytes], str]] | None:
    """Parent, environment and command line; None of a process that has gone or has ended, and of this one."""
    if path.name == str(os.getpid()):
        return None
    try:
        stat = (path / "stat").read_text(errors="replace").rpartition(")")[2].split()
        environment = (path / "environ").read_bytes().split(b"\0")
        command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None
    return None if stat[0] in "ZX" else (Process(int(path.name), stat[19]), (int(stat[1]), environment, command))
