"""Where compiled programs lie: with what was measured of this machine, for a way that is known to be fast counts on
them. PyTorch's own place is the folder for temporary files, which a restart empties and Slurm gives to each job anew.
"""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from pathlib import Path

from trainers.data import default_cache_dir

_NAMED = "TORCHINDUCTOR_CACHE_DIR"
_ARCHITECTURE = ("vendor_id", "cpu family", "model", "flags", "CPU ", "Features")  # of x86 and of ARM, in Linux's words


def keep_programs() -> None:
    """From now on in this process, unless the environment names a folder. Where ours can't be made, PyTorch's stays."""
    from torch._inductor import codecache
    from torch._inductor.runtime.runtime_utils import default_cache_dir as pytorchs

    named = os.environ.get(_NAMED)  # by PyTorch itself, once any part of it has asked
    folder = default_cache_dir() / "inductor" / _processor() if named in (None, "", pytorchs()) else Path(named)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    os.environ[_NAMED] = str(folder.absolute())
    # PyTorch 2.13 leaves precompiled headers in the temporary folder and makes them there, in ten seconds, even where
    # each program is kept
    if hasattr(codecache, "_HEADER_DIR"):
        codecache._HEADER_DIR = str(folder.absolute() / "precompiled_headers")


@cache
def _processor() -> str:
    """What programs are compiled for: machines that share a home may differ, and all compile for themselves."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        first = [platform.node()]
    said = [line for line in first if line.startswith(_ARCHITECTURE)]
    return hashlib.sha256("\n".join(said or first).encode()).hexdigest()[:16]
