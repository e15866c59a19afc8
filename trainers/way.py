"""One way to carry out a training: number format, layout of maps, fused blocks, a recorded step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from trainers.precision import memory_format

_LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True, slots=True)
class Way:
    """`layout`: contiguous | channels_last. `captured`: a step is recorded once, and replayed as one CUDA graph."""

    precision: str
    layout: str
    fused: bool = False
    captured: bool = False

    def __str__(self) -> str:
        words = [self.precision, self.layout, "fused" * self.fused, "captured" * self.captured]
        return " ".join(filter(None, words))

    @property
    def memory_format(self) -> torch.memory_format:
        return _LAYOUTS[self.layout]


def default_way(precision: str) -> Way:
    layout = memory_format(precision)
    return Way(precision, next(name for name, one in _LAYOUTS.items() if one is layout))


def layouts_of(precision: str) -> Sequence[str]:
    return tuple(_LAYOUTS) if precision == "float32" else ("channels_last",)  # half maps in rows were never faster


def plainness(way: Way) -> tuple[bool, bool, bool]:
    """To sort by: the plainest way comes first."""
    return way.captured, way.fused, way != default_way(way.precision)
