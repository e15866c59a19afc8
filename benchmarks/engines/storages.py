"""Storages for one run: where ours and the peers write, and what can be read from there afterwards."""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
from optuna.trial import TrialState

from benchmarks.engines.peer_optuna import open_storage
from benchmarks.engines.processes import ROOT
from results import open_store

_numbers = itertools.count()


@contextmanager
def postgresql() -> Iterator[str | None]:
    """The URL of a server's database, up to its number: `.../bench`; None where there is no PostgreSQL.

    The tests' server, but one that waits for the disk as a user's does.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    from postgres import Server, find_binaries

    class Durable(Server):
        def start(self) -> None:
            options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}'"
            self._run("pg_ctl", "start", "--wait", "--silent", f"--log={self.folder}/log", f"--options={options}")

    binaries = find_binaries()
    if binaries is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="ab-postgres-", ignore_cleanup_errors=True) as folder:
        server = Durable(binaries, Path(folder))
        server.start()
        try:
            _servers.append(server)
            yield "postgresql"
        finally:
            _servers.remove(server)
            with suppress(AssertionError):
                server.stop()


_servers: list = []


def new_storage(kind: str, folder: Path) -> str:
    """The URL of an empty storage of this kind: sqlite, journal or postgresql."""
    if kind == "postgresql":
        server = _servers[-1]
        return server.url(server.new_database())
    name = f"storage{next(_numbers)}"
    return f"journal:{folder}/{name}.log" if kind == "journal" else f"sqlite:///{folder}/{name}.db"


def moments_of_ours(url: str) -> list[tuple[float, float]]:
    """Unix times of claim and end of every evaluation that has ended."""
    with open_store(url, read_only=True) as store:
        rows = [row for row in store.rows() if row.status != "running"]
    return [(row.started or 0.0, row.finished or 0.0) for row in rows]


def running_of_ours(url: str) -> int:
    with open_store(url, read_only=True) as store:
        return len(store.rows(status="running"))


def trials_of(url: str) -> list[optuna.trial.FrozenTrial]:
    """Of the one study in an Optuna storage."""
    storage = open_storage(url)
    assert storage is not None
    (study,) = storage.get_all_studies()
    return storage.get_all_trials(study._study_id)


def moments_of_optuna(url: str) -> list[tuple[float, float]]:
    ended = [trial for trial in trials_of(url) if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    return [(trial.datetime_start.timestamp(), trial.datetime_complete.timestamp()) for trial in ended]  # type: ignore[union-attr]
