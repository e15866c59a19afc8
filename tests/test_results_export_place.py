"""Where an export comes: whole and under its name, or not at all; and what is there is not deleted.

Oracles: the files that were there, and are.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from results import Store, exchange_place, exchange_write
from results.exchange import ExchangeError
from results.exchange_read import Directory
from results.exchange_write import export
from results.lease import this_owner


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_directory_that_is_not_empty_is_refused_and_an_export_is_replaced_by_force(
    theirs: Store, exported: Path
) -> None:
    before = contents(exported)
    with pytest.raises(ExchangeError, match="is not empty"):
        export(theirs, exported)
    assert contents(exported) == before
    export(theirs, exported, where="seed == 0", force=True)
    assert [row.seed for row in Directory(exported).rows()] == [0]
    (exported / "thesis.tex").write_text("years of work")
    with pytest.raises(ExchangeError, match=r"'thesis\.tex'.*--force would delete it"):
        export(theirs, exported, force=True)
    assert (exported / "thesis.tex").exists()


def test_force_replaces_nothing_but_a_whole_export(theirs: Store, exported: Path) -> None:
    (exported / "SHA256SUMS").unlink()
    before = contents(exported)
    with pytest.raises(ExchangeError, match="is no export, and --force would delete"):
        export(theirs, exported, force=True)
    assert contents(exported) == before


def test_what_comes_into_the_directory_while_rows_are_written_is_not_deleted(theirs: Store, tmp_path: Path) -> None:
    export(theirs, tmp_path / "out")

    def work(*_: int) -> None:
        (tmp_path / "out" / "thesis.tex").write_text("years of work")

    with pytest.raises(ExchangeError, match=r"thesis\.tex"):
        export(theirs, tmp_path / "out", force=True, on_row=work)
    assert (tmp_path / "out" / "thesis.tex").exists() and (tmp_path / "out" / "rows.jsonl").exists()


def test_an_export_that_is_cut_off_between_its_renames_leaves_the_old_one(
    theirs: Store, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, rename = contents(exported), Path.rename

    def cut(self: Path, target: Path) -> Path:
        if self.name == "export":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", cut)
    with pytest.raises(KeyboardInterrupt):
        export(theirs, exported, where="seed == 0", force=True)
    assert contents(exported) == before


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Leave, as `.out-killed00`, what kill -9 leaves of the export that is made there; its process is dead."""
    host, _, _ = this_owner().rpartition(":")[0].rpartition(":")
    monkeypatch.setattr(exchange_place, "this_owner", lambda: f"{host}:999999:1")
    return lambda made: shutil.copytree(made.parent, made.parent.with_name(".out-killed00")) and None


def test_what_a_killed_export_left_is_put_away_by_the_next_and_nothing_else(
    theirs: Store, tmp_path: Path, killed: Callable[[Path], None]
) -> None:
    target = tmp_path / "out"
    others = {tmp_path / ".out-alive000": this_owner(), tmp_path / ".out-none0000": ""}
    others[tmp_path / ".out-b-killed00"] = exchange_place.this_owner()  # of an export that is called out-b
    for path, owner in others.items():
        path.mkdir()
        (path / "owner").write_text(owner)
    with exchange_place.beside(target) as made:
        killed(made)
    assert (tmp_path / ".out-killed00" / "export").is_dir()
    export(theirs, target)
    assert set(tmp_path.glob(".out-*")) == set(others) and Directory(target)


def test_an_export_that_was_killed_while_it_replaced_another_brings_that_back(
    theirs: Store, exported: Path, killed: Callable[[Path], None]
) -> None:
    before = contents(exported)
    with exchange_place.beside(exported) as made:
        exported.rename(made.with_name("old"))
        killed(made)
    assert not exported.exists()
    with pytest.raises(ExchangeError, match="not empty"):
        export(theirs, exported)
    assert contents(exported) == before and not list(exported.parent.glob(".out-*"))


@pytest.mark.parametrize("place", [".", ".."])
def test_the_folder_one_is_in_is_not_replaced(
    theirs: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ExchangeError, match="the folder you are in"):
        export(theirs, Path(place))


@pytest.mark.parametrize("target", ["file", "link", "nowhere/out"])
def test_what_can_be_no_directory_is_refused(theirs: Store, tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ExchangeError, match="is no directory"):
        export(theirs, tmp_path / target, force=True)


@pytest.mark.parametrize("there", [False, True])
def test_an_export_that_fails_leaves_everything_as_it_was(
    theirs: Store, tmp_path: Path, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        export(theirs, tmp_path / "out")
    before = {path: path.read_bytes() for path in tmp_path.rglob("out/*")}

    def full(*_: Any, **__: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exchange_write, "citation", full)
    with pytest.raises(OSError, match="No space"):
        export(theirs, tmp_path / "out", force=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("out/*")} == before
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["out"] * there
