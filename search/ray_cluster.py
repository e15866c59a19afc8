"""A Ray cluster to search on: one that runs, or one of this machine's own for as long as the search lasts. Quietly."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._private import worker as ray_worker
from ray.exceptions import RayError

from search.lookout import SearchError
from search.ray_bench import far_sqlite

_QUIET = {
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "600",
}
_TUNING = {
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # the rows are the state; Tune's own is thrown away
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
_ANSWER_SECONDS = 5
_OBJECT_STORE_BYTES = 200 * 2**20  # orders and data sets given by value are all that lies there


@contextmanager
def cluster(address: str | None, *, cpus: int) -> Iterator[None]:
    """A connection to the cluster at `address`, or a cluster of `cpus` on this machine; left as it was found.

    Raises:
        SearchError: there is no cluster at this address.
    """
    with _environment(), _hushed(), ExitStack() as stack:
        if not ray.is_initialized():
            stack.enter_context(_connected(address, cpus))
        yield


@contextmanager
def _connected(address: str | None, cpus: int) -> Iterator[None]:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    with ExitStack() as stack:
        if address is not None:
            _check_address(address)
        else:
            # Of its own, because sockets lie there: the path of one must be short, and nothing stays when it is gone
            folder = tempfile.mkdtemp(prefix="attnas-ray-", dir=os.environ.get("RAY_TMPDIR"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            options |= {"num_cpus": cpus, "include_dashboard": False, "_temp_dir": folder}
            options |= {"object_store_memory": _OBJECT_STORE_BYTES}
        try:
            with handlers_kept():
                ray.init(address=address or "local", **options)
        except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = "Ray can't start on this machine" if address is None else f"no Ray cluster at {address!r}"
            raise SearchError(
                f"{where}: {str(error).rstrip('.')}. `ray start --head` begins a cluster; --address takes auto or "
                "HOST:PORT."
            ) from error
        stack.callback(ray.shutdown)
        yield


def _check_address(address: str) -> None:
    """Where nobody listens Ray would try for minutes."""
    host, _, port = (os.environ.get("RAY_ADDRESS", "") if address == "auto" else address).rpartition(":")
    if address == "auto" and not port:
        return  # Ray looks among the processes of this machine, and says at once if there is none
    if not host or "/" in host or not port.isdecimal():
        raise SearchError(f"address: {address!r} given; allowed: auto, or HOST:PORT of the head of a Ray cluster.")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise SearchError(
            f"no Ray cluster at {host}:{port}: {error}. `ray start --head --port={port}` on {host} begins one."
        ) from error


def check_nodes(storage: str, *, cpus: float, devices: float) -> int:
    """How many evaluations of this size fit on the cluster at once. Raises `SearchError` if none does.

    A SQLite file serves the driver's machine only: more machines are refused with the reason.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    hosts = {str(node["NodeManagerHostname"]) for node in nodes} - {socket.gethostname()}
    if storage.startswith("sqlite") and hosts:
        raise SearchError(far_sqlite(", ".join(sorted(hosts))))
    fit = sum(_fit(node["Resources"], cpus, devices) for node in nodes)
    if fit == 0:
        share = f" and {devices:g} accelerators" if devices else ""
        has = "; ".join(f"{n['Resources'].get('CPU', 0):g} and {n['Resources'].get('GPU', 0):g}" for n in nodes)
        raise SearchError(
            f"no node of the Ray cluster has {cpus:g} CPUs{share} for one evaluation; CPUs and accelerators of its "
            f"nodes: {has}. Lower --threads or --devices-per-worker, or add nodes."
        )
    return fit


def _fit(resources: dict[str, float], cpus: float, devices: float) -> int:
    by_cpu = int(resources.get("CPU", 0) / cpus)
    if not devices:
        return by_cpu
    there = resources.get("GPU", 0)
    return min(by_cpu, int(there) * int(1 / devices + 1e-9) if devices < 1 else int(there / devices))


@contextmanager
def _environment() -> Iterator[None]:
    """No word of Ray reaches the user: what matters is in the rows and in our own messages."""
    # What this process can import, the actors of a cluster of its own can: a running one must have attnas installed.
    paths = {"PYTHONPATH": os.pathsep.join(path for path in [str(Path.cwd()), *sys.path] if path)}
    own = _QUIET | _TUNING | paths
    before = dict(os.environ)
    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune", "ray.train", "ray._private")]
    levels = [logger.level for logger in loggers]
    os.environ.update(own)
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for name in own:
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


@contextmanager
def _hushed() -> Iterator[None]:
    """Ray prints on standard output what happens to its processes; its own debugger silences it so."""
    enabled, ray_worker._worker_logs_enabled = ray_worker._worker_logs_enabled, False
    try:
        yield
    finally:
        ray_worker._worker_logs_enabled = enabled


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Ray takes signals for itself when it connects, Tune when it begins."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
