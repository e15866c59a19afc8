"""Which number format trains fastest on this machine: found by a short measurement, never assumed."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space import UserError
from trainers.backbones import backbone

PRECISIONS = ("float32", "bfloat16")
_HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_WORTH = 1.15  # bfloat16 must win by more than a noisy machine varies


def pick_precision(wanted: str, device: torch.device) -> str:
    """`float32` (plain), or `bfloat16` (autocast with channels_last); `auto` measures both once in a process."""
    check_precision(wanted)
    return _faster(device) if wanted == "auto" else wanted


def check_precision(wanted: str, allowed: tuple[str, ...] = PRECISIONS) -> None:
    if wanted not in ("auto", *allowed):
        raise UserError(f"precision: {wanted!r} given; allowed: auto, {', '.join(allowed)}.")


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    return torch.autocast(device.type, _HALVES[precision]) if precision in _HALVES else nullcontext()


def memory_format(precision: str) -> torch.memory_format:
    return torch.channels_last if precision in _HALVES else torch.contiguous_format


@lru_cache(maxsize=4)
def _faster(device: torch.device) -> str:
    """Best of a few alternating ResNet-8 steps each: other processes only ever add time."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        steps = {precision: _Step(precision, device) for precision in PRECISIONS}
        for step in steps.values():
            step.seconds()  # first calls choose kernels
        best = {precision: min(steps[precision].seconds() for _ in range(5)) for precision in PRECISIONS}
    return "bfloat16" if best["float32"] > _WORTH * best["bfloat16"] else "float32"


class _Step:
    def __init__(self, precision: str, device: torch.device) -> None:
        self.precision, self.device = precision, device
        layout = memory_format(precision)
        self.net: nn.Module = backbone("resnet8", num_classes=100).to(device, memory_format=layout)  # type: ignore[call-overload]
        self.images: Tensor = torch.randn(128, 3, 32, 32, device=device).contiguous(memory_format=layout)
        self.labels = torch.zeros(128, dtype=torch.long, device=device)

    def seconds(self) -> float:
        self.net.zero_grad(set_to_none=True)
        start = time.perf_counter()
        with autocast(self.precision, self.device):
            loss = F.cross_entropy(self.net(self.images).float(), self.labels)
        loss.backward()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - start
