"""The passes over large maps that a fused block makes, as plain functions, and the same compiled by TorchInductor.

Batch norm's statistics and every number that a linear squeeze, an energy or a standard deviation hears are sums over
the pixels, so one reading of the convolution's output y gives them all (`listen`). What batch norm, gate, shortcut and
ReLU do to a pixel is one multiply-add (`finish`). Backward, one reading gives the sums that the small numbers need
(`gather`) and one writes the gradient of y (`spread`). Without a gate nothing comes between, and the two of each way
are one program (`normalise`, `normalise_backward`).

Maps are [B, C, H, W] in any layout; weights and statistics [C]; numbers of an image [B, C]; rows [1, C, H, W] or
[1, 1, H, W]. Sums are in float32, or float64 for float64 maps. They are of y - shift, shift near each channel's mean,
so that no square loses digits; so is the mean of `Norm`.

Small numbers that a large pass uses are given back, if nobody wants them: TorchInductor keeps what is given back, and
would compute the rest anew for every pixel. On a CPU `fused_native` has the same passes in C++: they take less time,
and nothing to load.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from search_space.pooling import wide

MOST_ROWS = 16
"""Each inner product is a multiply-add a pixel; of more than that a reading of their own costs less."""

_MAP = (..., None, None)
_CHANNELS = (slice(None), None, None)


class Norm(NamedTuple):
    """A batch norm as it is now: what it multiplies and adds, and by what statistics.

    `known` mean (of y - shift) and variance are those of a layer in eval mode; else they are found in the batch.
    """

    weight: Tensor
    bias: Tensor
    shift: Tensor
    eps: float
    known: tuple[Tensor, Tensor] | None


class Heard(NamedTuple):
    """What a map tells about itself."""

    mean: Tensor  # [C], of y - shift
    variance: Tensor  # [C], biased
    scale: Tensor  # [C]: batch norm is scale (y - shift) + offset
    offset: Tensor
    sums: Tensor  # [B, C], of y - shift over the pixels
    squares: Tensor
    products: list[Tensor]  # with each row


def listen(y: Tensor, norm: Norm, rows: list[Tensor]) -> tuple[Heard, list[Tensor]]:
    """What y tells; and of the normalised map, for each image: mean, mean square, inner product with each row."""
    values = _shifted(y, norm)
    sums, squares = values.sum((2, 3)), (values * values).sum((2, 3))
    products = [(values * row).sum((2, 3)) for row in rows]
    number, pixels = _numbers(y)
    if norm.known is None:
        mean = sums.sum(0) / number
        variance = (squares.sum(0) / number - mean.square()).clamp_min(0)
    else:
        mean, variance = norm.known
    scale = norm.weight * (variance + norm.eps).rsqrt()
    offset = norm.bias - scale * mean
    means = scale * sums / pixels
    squared = scale.square() * squares / pixels + offset * (2 * means + offset)
    told = [scale * product + offset * row.sum((0, 2, 3)) for product, row in zip(products, rows, strict=True)]
    return Heard(mean, variance, scale, offset, sums, squares, products), [means + offset, squared, *told]


def finish(
    y: Tensor, norm: Norm, heard: Heard, skip: Tensor | None, gate: Tensor | None, adds: bool, relu: bool
) -> tuple[Tensor, ...]:
    """relu(norm(y) gate + skip), or relu(norm(y) + gate + skip) if it `adds`; like y. And numbers without a use."""
    if gate is None:
        values = _shifted(y, norm) * heard.scale[_CHANNELS] + heard.offset[_CHANNELS]
        numbers: tuple[Tensor, ...] = ()
    else:
        factor, offset = (heard.scale, heard.offset + gate) if adds else (heard.scale * gate, heard.offset * gate)
        values = _shifted(y, norm) * factor.expand_as(gate)[_MAP] + offset[_MAP]
        numbers = (factor, offset)
    if skip is not None:
        values = values + skip
    return (values.relu() if relu else values).to(y.dtype), *numbers


def gather(grad: Tensor, out: Tensor | None, y: Tensor, norm: Norm, keep: bool) -> list[Tensor]:
    """Of the gradient that passes the ReLU of `out`: its sum over the pixels and that of its product with y - shift;
    if `keep`, then itself."""
    passed = _passed(grad, out)
    sums = [passed.sum((2, 3)), (passed * _shifted(y, norm)).sum((2, 3))]
    return [*sums, passed.to(grad.dtype)] if keep else sums


def spread(
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
) -> tuple[Tensor, ...]:
    """Gradients of y, weight and bias, from that of the result, its `sums` by `gather`, and those of what was told.
    And numbers without a use."""
    number, pixels = _numbers(y)
    scale, offset = heard.scale, heard.offset
    factor, (of_offset, of_scale) = scale.expand_as(sums[0]), sums
    if gate is not None and not adds:
        factor, of_offset, of_scale = scale * gate, of_offset * gate, of_scale * gate
    of_sum, of_square, of_products = torch.zeros_like(sums[0]), torch.zeros_like(sums[0]), []
    if of_told:
        of_mean, of_squared = of_told[0] / pixels, of_told[1] / pixels
        of_scale = of_scale + of_mean * heard.sums + 2 * of_squared * (scale * heard.squares + offset * heard.sums)
        of_offset = of_offset + of_told[0] + 2 * of_squared * (scale * heard.sums + offset * pixels)
        of_sum = scale * of_mean + 2 * scale * offset * of_squared
        of_square = 2 * scale.square() * of_squared
        for of_product, product, row in zip(of_told[2:], heard.products, rows, strict=True):
            of_scale = of_scale + of_product * product
            of_offset = of_offset + of_product * row.sum((0, 2, 3))
            of_products.append(scale * of_product)
    root = (heard.variance + norm.eps).rsqrt()
    of_bias = of_offset.sum(0)
    of_weight = root * (of_scale.sum(0) - heard.mean * of_bias)
    if norm.known is None:  # the statistics are the batch's own
        of_variance = -norm.weight * of_weight * root.square() / number
        of_sum = of_sum - scale * of_bias / number - heard.mean * of_variance
        of_square = of_square + of_variance
    values = _passed(grad, out) * factor[_MAP] + _shifted(y, norm) * of_square[_MAP] + of_sum[_MAP]
    for gradient, row in zip(of_products, rows, strict=True):
        values = values + gradient[_MAP] * row
    found = values.to(y.dtype), of_weight.to(norm.weight.dtype), of_bias.to(norm.bias.dtype)
    return *found, factor, of_sum, of_square, *of_products


def normalise(y: Tensor, norm: Norm, skip: Tensor | None, relu: bool) -> tuple[Heard, Tensor]:
    """`listen` and `finish` without a gate."""
    heard, _ = listen(y, norm, [])
    return heard, finish(y, norm, heard, skip, None, False, relu)[0]


def normalise_backward(
    grad: Tensor, out: Tensor | None, y: Tensor, norm: Norm, heard: Heard, keep: bool
) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    """`gather` and `spread` without a gate; and if `keep` what passes the ReLU."""
    of_offset, of_scale, *kept = gather(grad, out, y, norm, keep)
    return spread(grad, out, y, norm, heard, (of_offset, of_scale), None, False, [], []), kept


def _numbers(y: Tensor) -> tuple[int, int]:
    """Values of a channel in the batch, and in one image."""
    return y.shape[0] * y.shape[2] * y.shape[3], y.shape[2] * y.shape[3]


def _shifted(y: Tensor, norm: Norm) -> Tensor:
    return y.to(wide(y.dtype)) - norm.shift[_CHANNELS]


def _passed(grad: Tensor, out: Tensor | None) -> Tensor:
    values = grad.to(wide(grad.dtype))
    return values if out is None else torch.where(out > 0, values, 0.0)


Run = Callable[..., Any]
"""`run(kernel, *arguments)` gives what `kernel(*arguments)` gives."""


def plainly(kernel: Callable[..., Any], *arguments: Any) -> Any:
    return kernel(*arguments)


def compiled(kernel: types.FunctionType, *arguments: Any) -> Any:
    """One program for each size of the first map: Triton on CUDA."""
    first: Tensor = arguments[0]
    return _program(kernel, first.shape, first.dtype, len(arguments[-1]) if isinstance(arguments[-1], list) else 0)(
        *arguments
    )


@cache
def _program(kernel: types.FunctionType, *form: Any) -> Callable[..., Any]:
    # a code object of its own: Dynamo looks through all programs of one at every call, and gives up after eight
    code = kernel.__code__.replace(co_name=f"{kernel.__name__}_{_program.cache_info().currsize}")
    twin = types.FunctionType(code, kernel.__globals__, code.co_name)
    return torch.compile(twin, dynamic=False, fullgraph=True)
