"""A disk that is full when an evaluation ends: its row waits for room and is written, the training is not repeated."""

import logging
import subprocess
from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa
from pool_runs import Pretending, begun, pretence

from results import open_store
from results import retry as retry_module
from search.budget import Budget
from search.launch import run


@contextmanager
def small_file_system(folder):
    """2 MiB of memory as a file system of its own."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "attnas-test", folder], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"NOT TESTED ON A REAL FULL DISK: this user may not mount: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


class Disk:
    """A disk that `fill` leaves no room on, and `free` again some."""

    def __init__(self, folder):
        self.ballast = folder / "ballast"

    def fill(self, store):
        with self.ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(b"0" * 4096)

    def free(self, store):
        self.ballast.unlink()


class Pages:
    """The same refusal of SQLite's, by a limit on the pages of its file."""

    def fill(self, store):
        self._limit(store, 1)  # SQLite takes what there is, if it is more

    def free(self, store):
        self._limit(store, 1_000_000)

    def _limit(self, store, pages):
        def set_limit(connection, *_):
            connection.execute(f"PRAGMA max_page_count = {pages}")

        sa.event.listen(store.engine, "connect", set_limit)
        store.engine.dispose()


@pytest.mark.parametrize("kind", ["disk", "pages"])
def test_a_row_that_finds_the_disk_full_waits_says_so_and_is_written_when_there_is_room(
    kind, blobs, tmp_path, monkeypatch, caplog
):
    """Oracle: the file system, or SQLite itself, says that it is full; the log of trainings counts them."""
    place = tmp_path / "small"
    with small_file_system(place) if kind == "disk" else _folder(place), open_store(f"sqlite:///{place}/a.db") as store:
        disk = Disk(place) if kind == "disk" else Pages()
        waits = []

        def sleep(seconds, until):
            waits.append(seconds)
            assert store.rows(status="complete") == done
            if len(waits) == 3:
                disk.free(store)

        monkeypatch.setattr(retry_module, "_sleep", sleep)
        request = pretence(blobs, tmp_path)
        run(request, Budget(trials=2), store)
        done = store.rows(status="complete")
        real = Pretending.train

        def full(self, *words, **options):
            outcome = real(self, *words, **options)
            disk.fill(store)
            return replace(outcome, settled="a row that needs more room than its claim " * 2000)

        monkeypatch.setattr(Pretending, "train", full)
        with caplog.at_level(logging.WARNING):
            rows = run(request, Budget(trials=3), store)
        assert waits == [0.2, 0.5, 1.0]
        assert len(rows) == len(begun(tmp_path)) == 3 and {row.status for row in rows} == {"complete"}
        said = [record.getMessage() for record in caplog.records if record.name == "results.retry"]
        assert len(said) == 3 and all("full" in text for text in said)


@contextmanager
def _folder(folder):
    folder.mkdir()
    yield
