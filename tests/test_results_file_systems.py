"""`results.file_systems`: the oracle is tables of mounts as machines show them, written out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_results_row import a_row

from results import StorageError, engine, open_store
from results.file_systems import NETWORK_TYPES, network_file_system

MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
/dev/sdb1 /home/me/scratch xfs rw 0 0
//files/share /mnt/my\\040share cifs rw 0 0
systemd-1 /data autofs rw,fd=35 0 0
mds@fsid:/ /data ceph rw 0 0
nfs:/old /local nfs rw 0 0
/dev/sdc1 /local btrfs rw 0 0
me@host:/ /mnt/remote fuse.sshfs rw 0 0
me /mnt/archive fuse.archivemount rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/a.db", None),
        ("/home/me/a.db", "nfs4"),
        ("/home", "nfs4"),
        ("/homes/a.db", None),  # no prefix by letters
        ("/home/me/scratch/a.db", None),  # a disk of this machine under a network directory
        ("/home/me/scratch/../a.db", "nfs4"),
        ("/mnt/my share/a.db", "cifs"),  # proc(5) writes a space as \\040
        ("/data/new/a.db", "ceph"),  # the automounter's own line comes first
        ("/local/a.db", None),  # the later mount hides the earlier
        ("/mnt/remote/a.db", "fuse.sshfs"),
        ("/mnt/archive/a.db", None),  # FUSE, and local
    ],
)
def test_a_path_lies_on_the_longest_mount_above_it(path: str, kind: str | None) -> None:
    assert network_file_system(path, MOUNTS) == kind


def test_a_link_is_followed_to_where_the_file_lies(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert network_file_system(tmp_path / "link" / "a.db", f"s:/x {tmp_path}/real nfs rw 0 0\n") == "nfs"
    assert network_file_system(tmp_path / "a.db", f"s:/x {tmp_path}/real nfs rw 0 0\n") is None


def test_a_relative_path_is_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert network_file_system("a.db", f"s:/x {tmp_path} lustre rw 0 0\n") == "lustre"


def test_a_shared_folder_is_refused_and_the_disk_of_a_sandbox_of_the_same_type_is_not() -> None:
    assert network_file_system("/mnt/c/a.db", "/dev/sda / ext4 rw 0 0\nC: /mnt/c 9p rw 0 0\n") == "9p"
    assert network_file_system("/data/a.db", "none / 9p rw 0 0\n") is None


def test_nothing_is_known_where_the_system_has_no_table_of_mounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("results.file_systems._MOUNTS", Path("/nowhere/mounts"))
    assert network_file_system("/home") is None


@pytest.mark.skipif(not Path("/proc/self/mounts").exists(), reason="this system has no table of mounts")
def test_the_table_of_this_machine_is_read_without_being_given() -> None:
    assert network_file_system("/proc/self/mounts") is None
    assert network_file_system("/home", "") is None and "proc" not in NETWORK_TYPES


def test_a_storage_on_a_network_file_system_may_be_read_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with open_store(url) as store:
        store.finish(a_row())
    before = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.setattr(engine, "network_file_system", lambda path: network_file_system(path, f"s:/ {tmp_path} nfs4 r"))
    for name in ("a.db", "new.db"):
        with pytest.raises(StorageError) as caught:
            open_store(f"sqlite:///{tmp_path}/{name}")
        said = str(caught.value)
        assert "network file system (nfs4)" in said and "PostgreSQL" in said and "disk of this machine" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    with open_store(url, read_only=True) as store:
        assert len(store.rows()) == 1
    with open_store("sqlite://") as store:
        assert store.rows() == []
