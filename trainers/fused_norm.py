"""Batch norm, gate, shortcut and ReLU of a residual block in two readings of its map, and two for the gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from search_space.module import Attention
from search_space.pooling import wide
from trainers.fused_kernels import (
    MOST_ROWS,
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
        weights = list(gate.parameters())
        out, mean, variance = _Gated.apply(y, skip, norm.weight, norm.bias, state, relu, run, gate, *weights)
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


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        skip: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        norm: Norm,
        relu: bool,
        run: Run,
        layer: Attention,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        y, skip = _bare(y), _bare(skip)
        rows = layer.pooling.rows(y)
        heard, told = run(listen, y, norm, rows)
        # the numbers are few, so autograd finds their gradient, whatever the gate is made of
        with torch.enable_grad(), torch.autocast(y.device.type, enabled=False):
            height, width = y.shape[2:]
            mean, square, *products = (number.requires_grad_() for number in told)
            z = layer.pooling.from_moments(mean, square, products, height * width)
            gate = layer.excite(layer.scaled(z, height, width)).to(mean.dtype)
        out, *_ = run(finish, y, norm, heard, skip, gate.detach(), layer.adds, relu)
        ctx.save_for_backward(y, out if relu else None)
        ctx.norm, ctx.heard, ctx.run, ctx.skip_dtype = norm, heard, run, None if skip is None else skip.dtype
        ctx.small = (told, gate, layer.adds, weights, rows)
        ctx.mark_non_differentiable(heard.mean, heard.variance)
        return out, heard.mean, heard.variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> Any:
        y, out = map(_bare, ctx.saved_tensors)
        told, gate, adds, weights, rows = ctx.small
        norm, heard, run = ctx.norm, ctx.heard, ctx.run
        keep = out is not None and ctx.skip_dtype is not None
        of_offset, of_scale, *kept = run(gather, grad, out, y, norm, keep)
        of_gate = of_offset if adds else heard.scale * of_scale + heard.offset * of_offset
        wanted = [weight for weight in weights if weight.requires_grad]
        found = torch.autograd.grad(
            gate, (*told, *wanted), of_gate, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        of_told, of_weights = list(found[: len(told)]), iter(found[len(told) :])
        passed, mask = (kept[0], None) if keep else (grad, out)
        of_y, of_weight, of_bias, *_ = run(
            spread, passed, mask, y, norm, heard, (of_offset, of_scale), gate.detach(), adds, of_told, rows
        )
        of_layer = [next(of_weights) if weight.requires_grad else None for weight in weights]
        return of_y, _of_skip(ctx, passed), of_weight, of_bias, None, None, None, None, *of_layer


def _bare(x: Any) -> Any:
    """Without its history, which TorchDynamo would look at."""
    return None if x is None else x.detach()


def _of_skip(ctx: Any, passed: Tensor) -> Tensor | None:
    return None if ctx.skip_dtype is None else passed.to(ctx.skip_dtype)
