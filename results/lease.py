"""Who trains a row, whether that process still lives, and the thread that says so."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from results.row import Row

if TYPE_CHECKING:
    from results.store import Store

STALE_SECONDS = 120.0
"""A lease on another host dies of a heartbeat that is older: six beats missed."""
NOBODY = "nobody:0:0"
"""The owner of a running row that is free to claim again; with a heartbeat of 0 its lease is dead."""

_log = logging.getLogger(__name__)
_DEAD_STATES = "ZX"  # killed, and only waiting for its parent to read how it ended


def this_owner() -> str:
    """This process as "host:pid:starttime".

    `host` carries the pid namespace where the system has them ("name/4026531836"), so that two containers which share
    a host name do not judge each other's processes. `starttime` (clock ticks since boot, 0 where the system does not
    tell) keeps a recycled pid from being taken for this process.
    """
    return f"{_host()}:{os.getpid()}:{_process_stat(os.getpid())[1]}"


def owner_is_dead(owner: str) -> bool:
    """Whether the owner is certainly gone: only ever True for a process of this host.

    Of other hosts nothing is known: their leases die by an old heartbeat. Known limit: where the system tells no pid
    namespace, a container with this host's name and its own pids is taken for this host.
    """
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    pid, start = rest, owner.rpartition(":")[2]
    if host != _host() or not (pid.isdecimal() and start.isdecimal()):
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass  # it lives, as another user's
    state, now_start = _process_stat(int(pid))
    return state in _DEAD_STATES or (0 not in (int(start), now_start) and int(start) != now_start)


@contextmanager
def heartbeat(
    store: Store,
    identity: str,
    owner: str,
    every_seconds: float = 20.0,
    *,
    progress: Callable[[], float | None] | None = None,
) -> Iterator[None]:
    """Renew the lease on a claimed row from a daemon thread until the block is left.

    `progress` tells the epochs done so far; it is called in that thread.

    A database that does not answer is tried again at the next beat; a lease that has been lost ends the beating, for
    the result may still be finished. Both are logged.
    """
    stop = threading.Event()
    beat = partial(_beat, store, identity, owner, progress)
    thread = threading.Thread(
        target=_beat_until, args=(stop, beat, identity, every_seconds), name="heartbeat", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _beat(store: Store, identity: str, owner: str, progress: Callable[[], float | None] | None) -> bool:
    return store.beat(identity, owner, None if progress is None else progress())


def _beat_until(stop: threading.Event, beat: Callable[[], bool], identity: str, every_seconds: float) -> None:
    while not stop.wait(every_seconds):
        try:
            if not beat():
                _log.warning("the lease on %s is no longer ours", identity)
                return
        except SQLAlchemyError:
            _log.warning("no heartbeat for %s, trying again in %g seconds", identity, every_seconds, exc_info=True)
        except Exception:
            _log.exception("the heartbeat for %s has stopped", identity)
            return


def lease_is_dead(row: Row, *, stale_seconds: float = STALE_SECONDS) -> bool:
    """Whether a running row's process is gone: killed on this host, or silent for `stale_seconds` anywhere."""
    if row.status != "running":
        return False
    assert row.owner is not None and row.heartbeat is not None, "every running row was claimed"
    return time.time() - row.heartbeat > stale_seconds or owner_is_dead(row.owner)


def _host() -> str:
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name  # "pid:[4026531836]"
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}/{namespace.strip('pid:[]')}"


def _process_stat(pid: int) -> tuple[str, int]:
    """State letter and start time of a process, from /proc (proc(5)); ("?", 0) where that does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "?", 0
    after_name = text.rpartition(")")[2].split()  # the command name may hold spaces and brackets
    return after_name[0], int(after_name[19])
