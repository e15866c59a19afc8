"""The fixed tensors of a squeeze: recomputed for whatever size arrives, kept, and in no state dict."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from search_space import bases
from search_space.design import AttentionDesign

Function = TypeVar("Function", bound=Callable[..., Any])


def _constant(make: Function) -> Function:
    """Made once for each call and kept; compile and export keep the results as constants. An export runs on fake
    tensors, which no later call may be given: while compiling nothing is kept.

    The mark is what `torch.compiler.assume_constant_result` sets. That one imports the compiler for it, a second for
    every process, of which most compile nothing.
    """
    kept = lru_cache(maxsize=256)(make)

    @wraps(make)
    def constant(*of: Any) -> Any:
        return (make if torch.compiler.is_compiling() else kept)(*of)

    constant._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return cast(Function, constant)


def basis_rows(
    design: AttentionDesign,
    channels: int,
    height: int,
    width: int,
    dtype: torch.dtype,
    device: torch.device,
    layout: torch.memory_format,
) -> Tensor:
    """[K, H, W] if every channel takes every row (or learns which, or there is one), else [1, C, H, W]: each channel's
    own row."""
    return _rows(design, channels, height, width, dtype, device, layout)[0]


def entries_of_channels(design: AttentionDesign, channels: int, device: torch.device) -> Tensor:
    """[C] which of the K entries each channel takes."""
    return _entries(design, channels, device)[0]


@_constant
def half_rows(
    design: AttentionDesign, channels: int, height: int, width: int, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """The K rows as [2K, HW] in bfloat16, each the sum of two: what it is, rounded, then the rest. And [2K, C], 1 for
    those of each channel; None if every channel takes every row."""
    with torch.inference_mode(False):
        rows = torch.from_numpy(bases.basis(design, height, width)).flatten(1)
        high = rows.bfloat16()
        halves = torch.cat([high, (rows - high).bfloat16()]).to(device)
        if design.each or len(rows) == 1:
            return halves, None
        entry = torch.from_numpy(bases.entry_of_channel(design, channels, len(rows)))
        return halves, nn.functional.one_hot(entry, len(rows)).T.repeat(2, 1).to(device, torch.bfloat16)


@_constant
def analysis_matrices(
    wavelet: str, depth: int, pixels: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, ...]:
    """`bases.analysis` as tensors."""
    with torch.inference_mode(False):
        matrices = bases.analysis(wavelet, depth, pixels)
        return tuple(torch.from_numpy(matrix).to(device=device, dtype=dtype) for matrix in matrices)


# tuples, because Dynamo takes one bare tensor of a function only
@_constant
def _rows(
    design: AttentionDesign,
    channels: int,
    height: int,
    width: int,
    dtype: torch.dtype,
    device: torch.device,
    layout: torch.memory_format,
) -> tuple[Tensor]:
    with torch.inference_mode(False):
        rows = torch.from_numpy(bases.basis(design, height, width, channels if design.squeeze == "ortho" else 1))
        if len(rows) > 1 and not (design.each or design.learned):
            rows = rows[torch.from_numpy(bases.entry_of_channel(design, channels, len(rows)))].unsqueeze(0)
            rows = rows.contiguous(memory_format=layout)
        return (rows.to(device=device, dtype=dtype),)


@_constant
def _entries(design: AttentionDesign, channels: int, device: torch.device) -> tuple[Tensor]:
    with torch.inference_mode(False):  # kept for a training that may come after
        return (torch.from_numpy(bases.entry_of_channel(design, channels, design.entries)).to(device),)
