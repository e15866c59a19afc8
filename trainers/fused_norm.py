"""Batch norm, gate, shortcut and ReLU of a residual block in two readings of its map, and two for the gradient."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from search_space.module import Attention
from search_space.pooling import wide
from trainers.fused_kernels import (
    MOST_ROWS,
    Heard,
    Norm,
    Run,
    finish,
    gather,
    listen,
    normalise,
    normalise_backward,
    plainly,
    spread,
)


def norm_gate_add(
    y: Tensor,
    norm: nn.Module,
    gate: nn.Module | None = None,
    skip: Tensor | None = None,
    *,
    relu: bool = True,
    run: Run = plainly,
) -> Tensor:
    """relu(gate(norm(y)) + skip) for maps [B, C, H, W], differentiable once; `norm` learns its statistics as it would.

    A squeeze that is told by sums over pixels commutes with the normalisation, <b, s y + t> = s <b, y> + t sum b, so
    the pass that finds batch norm's statistics hears it as well, and the gate becomes part of what a pixel is
    multiplied by. `folds` and `normalises` say which layers can be given.
    """
    assert isinstance(norm, nn.BatchNorm2d)
    state = _state(norm, y)
    if gate is None:
        out, mean, variance = _Plain.apply(y, skip, norm.weight, norm.bias, state, relu, run)
    else:
        assert isinstance(gate, Attention)
        out, mean, variance = _gated(y, norm, state, gate, skip, relu, run)
    if norm.training:
        _learn(norm, mean, variance, y.numel() // y.shape[1])
    return out


def folds(gate: nn.Module | None) -> bool:
    """Whether `norm_gate_add` can take the gate in."""
    if not isinstance(gate, Attention):
        return gate is None
    return gate.pooling.of_moments() and not (gate.design.each and gate.design.numbers > MOST_ROWS)


def normalises(norm: nn.Module) -> bool:
    """Whether it is a batch norm that `norm_gate_add` knows."""
    return type(norm) is nn.BatchNorm2d and norm.affine and norm.track_running_stats and norm.momentum is not None


def _state(norm: nn.BatchNorm2d, y: Tensor) -> Norm:
    assert norm.running_mean is not None and norm.running_var is not None
    if norm.training and y.numel() == y.shape[1]:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {y.size()}")  # PyTorch
    shift = norm.running_mean.to(wide(y.dtype), copy=True)  # it moves on before the backward pass
    known = None if norm.training else (torch.zeros_like(shift), norm.running_var.to(shift.dtype))
    return Norm(norm.weight.detach(), norm.bias.detach(), shift, norm.eps, known)


@torch.no_grad()
def _learn(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, number: int) -> None:
    """Here, for nothing that a program changes in place is as quick as these."""
    assert norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None
    norm.running_mean.add_(mean, alpha=norm.momentum)  # the mean is that of y - running mean
    norm.running_var.lerp_((variance * (number / (number - 1))).to(norm.running_var.dtype), norm.momentum)
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)


class _Plain(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, y: Tensor, skip: Tensor | None, weight: Tensor, bias: Tensor, norm: Norm, relu: bool, run: Run
    ) -> tuple[Tensor, Tensor, Tensor]:
        y, skip = _bare(y), _bare(skip)
        heard, out = run(normalise, y, norm, skip, relu)
        ctx.save_for_backward(y, out if relu else None)
        ctx.norm, ctx.heard, ctx.run, ctx.skip_dtype = norm, heard, run, None if skip is None else skip.dtype
        ctx.mark_non_differentiable(heard.mean, heard.variance)
        return out, heard.mean, heard.variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> Any:
        y, out = map(_bare, ctx.saved_tensors)
        keep = out is not None and ctx.skip_dtype is not None
        (of_y, of_weight, of_bias, *_), kept = ctx.run(normalise_backward, grad, out, y, ctx.norm, ctx.heard, keep)
        return of_y, _of_skip(ctx, kept[0] if keep else grad), of_weight, of_bias, None, None, None


@dataclass
class _Gated:
    """What the two halves of a gated block share; between them autograd differentiates the gate like any other."""

    norm: Norm
    rows: list[Tensor]
    run: Run
    heard: Heard = field(init=False)
    for_spread: tuple[Any, ...] = ()
    """Of the backward pass, from `_Finish`, which always comes first: the gate is made of what `_Listen` tells."""


def _gated(
    y: Tensor, norm: nn.BatchNorm2d, state: Norm, layer: Attention, skip: Tensor | None, relu: bool, run: Run
) -> tuple[Tensor, Tensor, Tensor]:
    shared = _Gated(state, layer.pooling.rows(y), run)
    mean, square, *products = _Listen.apply(y, norm.weight, norm.bias, shared)
    with torch.autocast(y.device.type, enabled=False):
        height, width = y.shape[2:]
        z = layer.pooling.from_moments(mean, square, products, height * width)
        gate = layer.excite(layer.scaled(z, height, width)).to(mean.dtype)
    out = _Finish.apply(gate, y.detach(), skip, layer.adds, relu, shared)
    return out, shared.heard.mean, shared.heard.variance


class _Listen(torch.autograd.Function):
    """What a map tells; backward, the gradient of the map."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, weight: Tensor, bias: Tensor, shared: _Gated) -> tuple[Tensor, ...]:
        shared.heard, told = shared.run(listen, _bare(y), shared.norm, shared.rows)
        ctx.save_for_backward(y)
        ctx.shared = shared
        return tuple(told)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *of_told: Tensor) -> Any:
        shared: _Gated = ctx.shared
        [y] = map(_bare, ctx.saved_tensors)
        passed, mask, *small = shared.for_spread
        shared.for_spread = ()
        norm, heard, rows = shared.norm, shared.heard, shared.rows
        of_y, of_weight, of_bias, *_ = shared.run(spread, passed, mask, y, norm, heard, *small, list(of_told), rows)
        return of_y, of_weight, of_bias, None


class _Finish(torch.autograd.Function):
    """The block's result; backward, the gradients of gate and shortcut. That of the map is `_Listen`'s."""

    @staticmethod
    def forward(
        ctx: Any, gate: Tensor, y: Tensor, skip: Tensor | None, adds: bool, relu: bool, shared: _Gated
    ) -> Tensor:
        gate, skip = _bare(gate), _bare(skip)
        out: Tensor = shared.run(finish, y, shared.norm, shared.heard, skip, gate, adds, relu)[0]
        ctx.save_for_backward(y, out if relu else None)
        ctx.shared, ctx.gate, ctx.adds, ctx.skip_dtype = shared, gate, adds, None if skip is None else skip.dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        shared: _Gated = ctx.shared
        y, out = map(_bare, ctx.saved_tensors)
        keep = out is not None and ctx.skip_dtype is not None
        of_offset, of_scale, *kept = shared.run(gather, grad, out, y, shared.norm, keep)
        of_gate = of_offset if ctx.adds else shared.heard.scale * of_scale + shared.heard.offset * of_offset
        passed, mask = (kept[0], None) if keep else (grad, out)
        shared.for_spread = (passed, mask, (of_offset, of_scale), ctx.gate, ctx.adds)
        return of_gate, None, _of_skip(ctx, passed), None, None, None


def _bare(x: Any) -> Any:
    """Without its history, which TorchDynamo would look at."""
    return None if x is None else x.detach()


def _of_skip(ctx: Any, passed: Tensor) -> Tensor | None:
    return None if ctx.skip_dtype is None else passed.to(ctx.skip_dtype)
