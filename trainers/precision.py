"""Number formats, and what goes with them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from search_space import UserError

PRECISIONS = ("float32", "bfloat16")
_HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def check_precision(wanted: str, allowed: tuple[str, ...] = PRECISIONS) -> None:
    if wanted not in ("auto", *allowed):
        raise UserError(f"precision: {wanted!r} given; allowed: auto, {', '.join(allowed)}.")


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    return torch.autocast(device.type, _HALVES[precision]) if precision in _HALVES else nullcontext()


def memory_format(precision: str) -> torch.memory_format:
    """The layout that a network in this precision has where none was measured."""
    return torch.channels_last if precision in _HALVES else torch.contiguous_format
