"""Whether a file lies on another machine, where the locks and shared memory that SQLite needs cannot be relied on."""

from __future__ import annotations

import re
from pathlib import Path

NETWORK_TYPES = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "smb2",
        "afs",
        "ncpfs",
        "9p",  # folders that a host shares with its virtual machines, WSL's drives of Windows among them
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "glusterfs",
        "pvfs2",
        "orangefs",
        "ocfs2",
        "gfs2",
        "panfs",
        "wekafs",
        "fuse.sshfs",
        "fuse.ceph",
        "fuse.ceph-fuse",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.gcsfuse",
        "fuse.rclone",
        "fuse.davfs",
        "davfs",
        "fuse.cvmfs2",
        "fuse.juicefs",
        "fuse.lizardfs",
        "fuse.moosefs",
        "fuse.mfs",
    }
)
"""Types as Linux names them in its table of mounts (proc(5), and mount(8) for the FUSE helpers)."""

_MOUNTS = Path("/proc/self/mounts")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def network_file_system(path: Path | str, mounts_text: str | None = None) -> str | None:
    """The type of the network file system that `path` lies on, or would; None if it is a local one.

    `mounts_text` is a table of mounts in the form of /proc/self/mounts; by default it is read there, and where the
    system has none nothing is known and the answer is None.
    """
    if mounts_text is None:
        try:
            mounts_text = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return None
    resolved = Path(path).resolve()
    here = [(len(point.parts), kind) for point, kind in _mounts(mounts_text) if resolved.is_relative_to(point)]
    # of two mounts on one point the later one hides the earlier
    depth, kind = max(reversed(here), key=lambda found: found[0], default=(0, ""))
    if (depth, kind) == (1, "9p"):
        return None  # the disk of a gVisor sandbox, which says so of its root
    return kind if kind in NETWORK_TYPES else None


def _mounts(text: str) -> list[tuple[Path, str]]:
    lines = [line.split(" ") for line in text.splitlines() if line.count(" ") >= 2]
    return [(Path(_ESCAPED.sub(lambda code: chr(int(code[1], 8)), fields[1])), fields[2]) for fields in lines]
