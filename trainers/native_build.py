"""The program of `fused_passes.cpp`: compiled for this processor once, kept in the cache directory, loaded at once."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

from trainers.data import default_cache_dir
from trainers.fused_kernels import MOST_ROWS
from trainers.whole_files import whole

_SOURCE, _HEADER = (Path(__file__).with_name(name) for name in ("fused_passes.cpp", "fused_strips.h"))
_FLAGS = (
    f"-DMOST_ROWS={MOST_ROWS}",
    "-O3",
    "-march=native",
    "-std=c++17",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fopenmp",
    "-fPIC",
    "-shared",
)


class CompilerError(RuntimeError):
    """There is no C++ compiler here, or it can't compile the passes."""


@cache
def library() -> ctypes.CDLL:
    """Raises `CompilerError`; `OSError` where the program can't be kept."""
    compiler = _compiler()
    path = default_cache_dir() / "kernels" / f"{_hash(compiler)}.so"
    if not path.is_file():
        _compile(compiler, path)
    return ctypes.CDLL(str(path))


def _compiler() -> str:
    for name in filter(None, [os.environ.get("CXX"), "g++", "c++", "clang++"]):
        if found := shutil.which(name):
            return found
    raise CompilerError("no C++ compiler (CXX, g++, c++, clang++) was found, which fused blocks on a CPU need.")


def _hash(compiler: str) -> str:
    """Of all that the program depends on: homes are shared between machines that differ."""
    version = subprocess.run([compiler, "--version"], capture_output=True, check=False).stdout
    of = [_SOURCE.read_bytes(), _HEADER.read_bytes(), " ".join(_FLAGS).encode(), version, _processor()]
    return hashlib.sha256(b"\0".join(of)).hexdigest()[:24]


def _processor() -> bytes:
    about = Path("/proc/cpuinfo")
    lines = about.read_bytes().splitlines() if about.exists() else []
    flags = [line for line in lines if line.startswith((b"flags", b"Features", b"model name"))]
    return b"\n".join(sorted(set(flags))) or platform.processor().encode()


def _compile(compiler: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path, path.with_name(f"{path.name}.{os.getpid()}")) as part:
        command = [compiler, *_FLAGS, str(_SOURCE), "-o", str(part)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CompilerError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
