"""The passes of `fused_kernels` as `fused_passes.cpp` carries them out on a CPU."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from trainers import fused_kernels as plain
from trainers.fused_kernels import MOST_ROWS, Heard, Norm, Run, compiled
from trainers.native_build import library

Map = TypeVar("Map", Tensor, Tensor | None)


class _Maps(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int) for name in ("bfloat16", "channels_last", "threads")),
        *((name, ctypes.c_int64) for name in ("images", "channels", "pixels")),
    )


class _Norm(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "shift")),
        ("eps", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("known_mean", "known_variance")),
    )


class _Heard(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in Heard._fields[:6]),
        ("products", ctypes.POINTER(ctypes.c_void_p)),
    )


def is_native(device: torch.device) -> bool:
    """Whether the passes there are the C++ program's, one for all networks; else each network's are compiled."""
    return device.type == "cpu"


def passes_on(device: torch.device) -> Run:
    """The fastest there."""
    return native if is_native(device) else compiled


def passes_by(device: torch.device) -> str:
    """What `passes_on` are made by, as a row tells it."""
    return "C++" if is_native(device) else "TorchInductor"


def native(kernel: Callable[..., Any], *arguments: Any) -> Any:
    """What `kernel(*arguments)` gives, for float32 and bfloat16 maps on a CPU with float32 numbers; others run plainly.

    Numbers without a use are not given back, and `finish` always has a gate. Raises what `native_build.library` does.
    """
    if not _known(arguments):
        return kernel(*arguments)
    return _NATIVE[kernel](*arguments)


def _known(arguments: Sequence[Any]) -> bool:
    """Whether these are maps and numbers of the kinds that the program knows."""
    norm = next(one for one in arguments if isinstance(one, Norm))
    maps = [one for one in arguments if isinstance(one, Tensor) and one.ndim == 4]
    rows = arguments[-1] if isinstance(arguments[-1], list) else []
    first = maps[0]
    return (
        first.device.type == "cpu"
        and len(rows) <= MOST_ROWS
        and all(one.dtype == first.dtype and one.shape == first.shape for one in maps)
        and first.dtype in (torch.float32, torch.bfloat16)
        and all(one.dtype == torch.float32 and one.shape == first.shape[1:2] for one in norm[:3])
    )


def _listen(y: Tensor, norm: Norm, rows: list[Tensor]) -> tuple[Heard, list[Tensor]]:
    y, maps = _maps(y)
    rows = _rows(rows, y)
    heard, told = _room(y, len(rows)), [_numbers(y) for _ in range(2 + len(rows))]
    mean, squared, *others = told
    library().attnas_listen(
        *(maps, _at(y), _norm(norm), len(rows), int(_own(rows)), _pointers(rows)),
        *(_heard(heard), _at(mean), _at(squared), _pointers(others)),
    )
    return heard, told


def _finish(
    y: Tensor, norm: Norm, heard: Heard, skip: Tensor | None, gate: Tensor, adds: bool, relu: bool
) -> tuple[Tensor]:
    y, maps = _maps(y)
    skip, gate, out = _like(skip, y), _of_images(gate, y), torch.empty_like(y)
    library().attnas_finish(
        maps, _at(y), _norm(norm), _heard(heard), _at(skip), _at(gate), int(adds), int(relu), _at(out)
    )
    return (out,)


def _gather(grad: Tensor, out: Tensor | None, y: Tensor, norm: Norm, keep: bool) -> list[Tensor]:
    y, maps = _maps(y)
    grad, out = _like(grad, y), _like(out, y)
    sums = [_numbers(y), _numbers(y)]
    kept = [torch.empty_like(y)] if keep else []
    library().attnas_gather(
        maps, _at(grad), _at(out), _at(y), _norm(norm), _at(kept[0]) if keep else None, *map(_at, sums)
    )
    return [*sums, *kept]


def _spread(
    grad: Tensor,
    out: Tensor | None,
    y: Tensor,
    norm: Norm,
    heard: Heard,
    sums: tuple[Tensor, Tensor],
    gate: Tensor | None,
    adds: bool,
    of_told: list[Tensor],
    rows: list[Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    y, maps = _maps(y)
    grad, out = _like(grad, y), _like(out, y)
    gate = None if gate is None else _of_images(gate, y)
    of_offset, of_scale, *of_told = (_of_images(one, y) for one in (*sums, *of_told))
    rows = _rows(rows, y)
    found = torch.empty_like(y), torch.empty_like(norm.weight), torch.empty_like(norm.bias)
    library().attnas_spread(
        *(maps, _at(grad), _at(out), _at(y), _norm(norm), _heard(heard)),
        *(_at(of_offset), _at(of_scale), _at(gate), int(adds)),
        *(_pointers(of_told) if of_told else None, len(rows), int(_own(rows)), _pointers(rows), *map(_at, found)),
    )
    return found


def _normalise(y: Tensor, norm: Norm, skip: Tensor | None, relu: bool) -> tuple[Heard, Tensor]:
    y, maps = _maps(y)
    skip, out, heard = _like(skip, y), torch.empty_like(y), _room(y, 0)
    library().attnas_normalise(maps, _at(y), _norm(norm), _heard(heard), _at(skip), int(relu), _at(out))
    return heard, out


def _normalise_backward(
    grad: Tensor, out: Tensor | None, y: Tensor, norm: Norm, heard: Heard, keep: bool
) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    of_offset, of_scale, *kept = _gather(grad, out, y, norm, keep)
    passed, mask = (kept[0], None) if keep else (grad, out)
    return _spread(passed, mask, y, norm, heard, (of_offset, of_scale), None, False, [], []), kept


_NATIVE: dict[Callable[..., Any], Callable[..., Any]] = {
    plain.listen: _listen,
    plain.finish: _finish,
    plain.gather: _gather,
    plain.spread: _spread,
    plain.normalise: _normalise,
    plain.normalise_backward: _normalise_backward,
}


def _maps(y: Tensor) -> tuple[Tensor, Any]:
    """y as the program can read it, and how it lies."""
    last = y.is_contiguous(memory_format=torch.channels_last)
    y = y if last else y.contiguous()
    B, C, H, W = y.shape
    return y, ctypes.byref(_Maps(y.dtype == torch.bfloat16, last, torch.get_num_threads(), B, C, H * W))


def _like(x: Map, y: Tensor) -> Map:
    """x as y lies."""
    if x is None or x.stride() == y.stride():
        return x
    last = y.is_contiguous(memory_format=torch.channels_last)
    return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def _room(y: Tensor, rows: int) -> Heard:
    mean, variance, scale, offset = y.new_empty(4, y.shape[1], dtype=torch.float32).unbind()
    return Heard(mean, variance, scale, offset, _numbers(y), _numbers(y), [_numbers(y) for _ in range(rows)])


def _numbers(y: Tensor) -> Tensor:
    return y.new_empty(y.shape[:2], dtype=torch.float32)


def _of_images(numbers: Tensor, y: Tensor) -> Tensor:
    """[B, C], as the program reads them."""
    assert numbers.shape == y.shape[:2], (numbers.shape, y.shape)
    return numbers.to(torch.float32).contiguous()


def _norm(norm: Norm) -> Any:
    known = (None, None) if norm.known is None else map(_at, norm.known)
    return ctypes.byref(_Norm(*map(_at, norm[:3]), norm.eps, *known))


def _heard(heard: Heard) -> Any:
    return ctypes.byref(_Heard(*map(_at, heard[:6]), _pointers(heard.products)))


def _rows(rows: list[Tensor], y: Tensor) -> list[Tensor]:
    """As y lies; the program reads them through pointers, so they have to be held until it returns."""
    return [_like(row, y) if _own(rows) else row.contiguous() for row in rows]


def _own(rows: list[Tensor]) -> bool:
    """Whether each channel has its own."""
    return bool(rows) and rows[0].shape[1] > 1


def _pointers(tensors: Sequence[Tensor | None]) -> Any:
    return (ctypes.c_void_p * max(1, len(tensors)))(*map(_at, tensors))


def _at(tensor: Tensor | None) -> Any:
    return None if tensor is None else ctypes.c_void_p(tensor.data_ptr())
