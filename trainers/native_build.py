"""The program of `fused_passes.cpp`: compiled for this processor once, kept in the cache directory, loaded at once."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import uuid
from functools import cache
from pathlib import Path

from trainers.data import default_cache_dir
from trainers.fused_kernels import MOST_ROWS
from trainers.whole_files import whole

_SOURCE, _HEADER = (Path(__file__).with_name(name) for name in ("fused_passes.cpp", "fused_strips.h"))
_FLAGS = (
    f"-DMOST_ROWS={MOST_ROWS}",
    *("-O3", "-march=native", "-std=c++17", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared"),
)
_LONGEST = 300.0  # seconds; some six are usual

_log = logging.getLogger(__name__)


class CompilerError(RuntimeError):
    """There is no C++ compiler here, or it can't compile the passes."""


@cache
def problem() -> str | None:
    """Why the program can't be had here, which is also logged as a warning, once a process; None where it can."""
    try:
        library()
    except (CompilerError, OSError) as error:
        _log.warning("fused blocks can't be had here: %s", error)
        return str(error)
    return None


@cache
def library() -> ctypes.CDLL:
    """Raises `CompilerError`; `OSError` where the program can't be kept, or not be loaded from where it is kept."""
    path = default_cache_dir() / "kernels" / f"{_hash()}.so"
    if path.is_file():
        try:
            return ctypes.CDLL(str(path))
        except OSError:  # cut short, by a full disk or a lost machine
            path.unlink()
    _compile(path)
    return ctypes.CDLL(str(path))


def _hash() -> str:
    """Of what the program depends on but the compiler, which need not be there any more: homes are shared between
    machines that differ."""
    of = [_SOURCE.read_bytes(), _HEADER.read_bytes(), " ".join(_FLAGS).encode(), _processor()]
    return hashlib.sha256(b"\0".join(of)).hexdigest()[:24]


def _processor() -> bytes:
    about = Path("/proc/cpuinfo")
    lines = about.read_bytes().splitlines() if about.exists() else []
    flags = [line for line in lines if line.startswith((b"flags", b"Features", b"model name"))]
    return b"\n".join(sorted(set(flags))) or f"{platform.machine()} {platform.processor()}".encode()


def _compile(path: Path) -> None:
    compiler = _compiler()
    # a clang brings an OpenMP runtime of its own, which ends a process that has PyTorch's; without one it is one thread
    parallel = [] if "clang" in _said([*compiler, "--version"]) else ["-fopenmp"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path, path.with_name(f"{path.name}.{uuid.uuid4().hex}")) as part:
        _said([*compiler, *_FLAGS, *parallel, str(_SOURCE), "-o", str(part)])


def _compiler() -> list[str]:
    """A command, which CXX may give with options."""
    for command in filter(None, [os.environ.get("CXX"), "g++", "c++", "clang++"]):
        words = shlex.split(command)
        if shutil.which(words[0]):
            return words
    raise CompilerError("no C++ compiler (CXX, g++, c++, clang++) was found.")


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_LONGEST)
    except subprocess.CalledProcessError as error:
        raise CompilerError(f"{shlex.join(command)} failed: {error.stderr.strip()[-500:]}") from error
    except subprocess.TimeoutExpired as error:
        raise CompilerError(f"{shlex.join(command)} took more than {_LONGEST:g} s.") from error
    return done.stdout
