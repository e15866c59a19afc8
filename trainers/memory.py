"""The memory that trainings take: how much, and what the process keeps of it."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # numbers of mallopt(3)
_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def keep_freed_memory() -> None:
    """Let glibc keep what tensors have freed for the next: given back to the system and taken again, each 4 KiB cost a
    page fault, together 4 to 10 % of a step with fused blocks. `reset_peak_memory` gives back what is left over."""
    with contextlib.suppress(OSError, AttributeError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(_MMAP_THRESHOLD, 2**30)
        set_option(_TRIM_THRESHOLD, 2**31 - 1)


def reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(
            OSError, AttributeError
        ):  # glibc's: what an earlier training has left is not this one's
            ctypes.CDLL(None).malloc_trim(0)
        with contextlib.suppress(OSError):  # only some systems offer it: then the peak is that of the process so far
            _RESET.write_text("5")


def peak_memory_bytes(device: torch.device) -> int | None:
    """Largest memory since the reset: of the tensors on an accelerator, of the whole process on a CPU (Linux)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    found = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return None if found is None else int(found) * 1024
