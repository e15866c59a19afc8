"""What a row says of where it was measured: machine, versions, commit."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from functools import lru_cache
from pathlib import Path

import torch

from search_space.errors import UserError

_LIBRARIES = ("torch", "timm", "numpy", "PyWavelets", "fvcore", "optuna")


def pick_device(name: str | None = None) -> torch.device:
    """The named device, else the accelerator if there is one, else the CPU."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()  # a device can be well named and not be there
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"device: {name!r} given; allowed: cpu, or an accelerator of this machine ({first}).") from None
    return device


def hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu_model()}, {torch.get_num_threads()} threads"  # which may have been set since the last call


@lru_cache(maxsize=1)
def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@lru_cache(maxsize=1)
def commit() -> str | None:
    """Commit of the checkout this code runs from, `+` if files differ from it; None where there is no checkout."""
    tracked = _git("ls-files", "--error-unmatch", Path(__file__).name)  # not some other checkout that we lie in
    head = _git("rev-parse", "--short=12", "HEAD")
    if not (tracked and head):
        return None
    return head + ("+" if _git("status", "--porcelain", "--", ":/*.py", ":/*.cpp", ":/*.h") else "")


def _git(*words: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
