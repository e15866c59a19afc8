"""Networks whose residual blocks run fused: the same modules and weights, other passes over memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainers.fused_kernels import Run
from trainers.fused_norm import folds, norm_gate_add, normalises
from trainers.timm_import import prepare

prepare()
from timm.models.resnet import BasicBlock, Bottleneck  # noqa: E402


def fuse(net: nn.Module, run: Run) -> int:
    """Let every block of the network that can run fused do so, in place; returns how many.

    While gradients are recorded they run by `run`; otherwise as before. Modules, weights and their names stay.
    """
    number = 0
    for module in list(net.modules()):
        fused = _FUSED.get(type(module))
        if fused is not None and fused.can(module):
            module.__class__ = fused
            setattr(module, "run", run)  # noqa: B010  of the class that it has now
            number += 1
    return number


class _Fused(nn.Module):
    run: Run

    def _finish(self, y: Tensor, norm: nn.Module, gate: nn.Module | None, skip: Tensor | None) -> Tensor:
        if folds(gate):
            return norm_gate_add(y, norm, gate, skip, run=self.run)
        assert gate is not None
        gated = gate(norm_gate_add(y, norm, relu=False, run=self.run))
        return (gated if skip is None else gated + skip).relu()


class FusedBasicBlock(BasicBlock, _Fused):
    @staticmethod
    def can(block: nn.Module) -> bool:
        return _plain(block, ("bn1", "bn2"), ("act1", "act2"))

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return super().forward(x)
        y = self.conv2(norm_gate_add(self.conv1(x), self.bn1, run=self.run))
        return self._finish(y, self.bn2, self.se, x if self.downsample is None else self.downsample(x))


class FusedBottleneck(Bottleneck, _Fused):
    @staticmethod
    def can(block: nn.Module) -> bool:
        return _plain(block, ("bn1", "bn2", "bn3"), ("act1", "act2", "act3"))

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return super().forward(x)
        y = norm_gate_add(self.conv1(x), self.bn1, run=self.run)
        y = self.conv3(norm_gate_add(self.conv2(y), self.bn2, run=self.run))
        return self._finish(y, self.bn3, self.se, x if self.downsample is None else self.downsample(x))


class FusedSequential(nn.Sequential, _Fused):
    """Stems and shortcuts: every batch norm, with the ReLU behind it."""

    @staticmethod
    def can(row: nn.Module) -> bool:
        return any(normalises(child) and not _hooked(child) for child in row.children())

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return super().forward(x)
        modules = list(self)
        while modules:
            module = modules.pop(0)
            if isinstance(module, nn.BatchNorm2d) and normalises(module) and not _hooked(module):
                relu = bool(modules) and type(modules[0]) is nn.ReLU and not _hooked(modules[0])
                x = norm_gate_add(x, module, relu=relu, run=self.run)
                modules = modules[relu:]
            else:
                x = module(x)
        return x


_FUSED: dict[type[nn.Module], Any] = {
    BasicBlock: FusedBasicBlock,
    Bottleneck: FusedBottleneck,
    nn.Sequential: FusedSequential,
}


def _plain(block: nn.Module, norms: tuple[str, ...], activations: tuple[str, ...]) -> bool:
    """Whether nothing but convolutions, batch norms and ReLUs is in the block, and nobody listens to those we pass by
    (as the bridge of `ba` does)."""
    passed_by = [getattr(block, name) for name in (*norms, *activations)]
    between = [getattr(block, name) for name in ("drop_block", "aa", "drop_path")]
    return (
        all(normalises(getattr(block, name)) for name in norms)
        and all(type(getattr(block, name)) is nn.ReLU for name in activations)
        and all(module is None or type(module) is nn.Identity for module in between)
        and not any(map(_hooked, passed_by))
    )


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)
