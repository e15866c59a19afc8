"""Cores of this machine for one process alone, where processes do not know of each other."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

AUTO = "auto"
Workers = int | str | None
"""A number; `auto`: as many as are measured to be fastest; None: 1, or for Ray as many as the cluster holds."""


def usable_cores() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores_of_each(number: int, threads: int) -> int:
    """Of so many processes that share this machine: what there is, but a core for each thread at least."""
    return max(threads, usable_cores() // number)


def own_cores(number: int) -> set[int]:
    """Pin this process to `number` cores that no other such process of this machine has; none if too few are left.

    Which are taken is known by locks on files, which the system frees when a process dies, however it dies.
    """
    if not hasattr(os, "sched_setaffinity"):
        return set()
    folder = Path(tempfile.gettempdir(), f"attnas-cores-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    locks: dict[int, int] = {}  # they stay open as long as this process
    for core in sorted(os.sched_getaffinity(0)):
        lock = _lock(folder / str(core))
        if lock is not None:
            locks[core] = lock
        if len(locks) == number:
            os.sched_setaffinity(0, locks)
            return set(locks)
    for lock in locks.values():
        os.close(lock)
    return set()


def _lock(path: Path) -> int | None:
    import fcntl

    lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
