"""The fixed tensors of a squeeze: recomputed for whatever size arrives, kept, and in no state dict."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from search_space import bases
from search_space.design import AttentionDesign

Function = TypeVar("Function", bound=Callable[..., Any])


def _constant(function: Function) -> Function:
    """What `torch.compiler.assume_constant_result` does: compile and export keep the results as constants. That one
    imports the compiler to set this mark, a second for every process, of which most compile nothing."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


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
    return _constant_rows(design, channels, height, width, dtype, device, layout)[0]


@_constant
def half_rows(
    design: AttentionDesign, channels: int, height: int, width: int, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """The K rows as [2K, HW] in bfloat16, each the sum of two: what it is, rounded, then the rest. And [2K, C], 1 for
    those of each channel; None if every channel takes every row."""
    make = _made_half_rows if torch.compiler.is_compiling() else _kept_half_rows
    return make(design, channels, height, width, device)


def entries_of_channels(design: AttentionDesign, channels: int, device: torch.device) -> Tensor:
    """[C] which of the K entries each channel takes."""
    return _constant_entries(design, channels, device)[0]


@_constant
def analysis_matrices(
    wavelet: str, depth: int, pixels: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, ...]:
    """`bases.analysis` as tensors."""
    make = _made_matrices if torch.compiler.is_compiling() else _kept_matrices
    return make(wavelet, depth, pixels, dtype, device)


# tuples, because Dynamo takes one bare tensor of a function only
@_constant
def _constant_rows(*of: Any) -> tuple[Tensor]:
    return ((_made_rows if torch.compiler.is_compiling() else _kept_rows)(*of),)


@_constant
def _constant_entries(*of: Any) -> tuple[Tensor]:
    return ((_made_entries if torch.compiler.is_compiling() else _kept_entries)(*of),)


def _made_entries(design: AttentionDesign, channels: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # kept for a training that may come after
        return torch.from_numpy(bases.entry_of_channel(design, channels, design.entries)).to(device)


def _made_rows(
    design: AttentionDesign,
    channels: int,
    height: int,
    width: int,
    dtype: torch.dtype,
    device: torch.device,
    layout: torch.memory_format,
) -> Tensor:
    with torch.inference_mode(False):
        rows = torch.from_numpy(bases.basis(design, height, width, channels if design.squeeze == "ortho" else 1))
        if len(rows) > 1 and not (design.each or design.learned):
            rows = rows[torch.from_numpy(bases.entry_of_channel(design, channels, len(rows)))].unsqueeze(0)
            rows = rows.contiguous(memory_format=layout)
        return rows.to(device=device, dtype=dtype)


def _made_half_rows(
    design: AttentionDesign, channels: int, height: int, width: int, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    with torch.inference_mode(False):
        rows = torch.from_numpy(bases.basis(design, height, width)).flatten(1)
        high = rows.bfloat16()
        halves = torch.cat([high, (rows - high).bfloat16()]).to(device)
        if design.each or len(rows) == 1:
            return halves, None
        entry = torch.from_numpy(bases.entry_of_channel(design, channels, len(rows)))
        return halves, nn.functional.one_hot(entry, len(rows)).T.repeat(2, 1).to(device, torch.bfloat16)


def _made_matrices(
    wavelet: str, depth: int, pixels: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, ...]:
    with torch.inference_mode(False):
        matrices = bases.analysis(wavelet, depth, pixels)
        return tuple(torch.from_numpy(matrix).to(device=device, dtype=dtype) for matrix in matrices)


# an export runs on fake tensors, which no later call may be given: hence the way around the cache while compiling
_kept_entries = lru_cache(maxsize=256)(_made_entries)
_kept_rows = lru_cache(maxsize=256)(_made_rows)
_kept_half_rows = lru_cache(maxsize=256)(_made_half_rows)
_kept_matrices = lru_cache(maxsize=256)(_made_matrices)
