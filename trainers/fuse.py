"""Networks whose residual blocks run fused: the same modules and weights, other passes over memory."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from trainers.fused_kernels import Run
from trainers.fused_norm import folds, norm_gate_add, normalises
from trainers.parts import class_name


def fuse(net: nn.Module, run: Run) -> int:
    """Let every block of the network that can run fused do so, in place; returns how many.

    While gradients are recorded they run by `run`; otherwise as before. Modules, weights and their names stay.
    """
    number = 0
    for module in list(net.modules()):
        own: Any = type(module)
        fused = _FUSED.get(class_name(module))
        if fused is not None and fused.can(module):
            module.__class__ = _class_of(own, fused)
            setattr(module, "run", run)  # noqa: B010  of the class that it has now
            number += 1
    return number


@lru_cache(maxsize=32)
def _class_of(plain: Any, fused: Any) -> Any:
    return type(f"Fused{plain.__name__}", (fused, plain), {})


class _Fused(nn.Module):
    """What a block is besides its own class."""

    run: Run
    conv1: nn.Module
    conv2: nn.Module
    bn1: nn.Module
    bn2: nn.Module
    se: nn.Module | None
    downsample: nn.Module | None

    def _as_before(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(x)
        return out

    def _finish_fused(self, y: Tensor, norm: nn.Module, gate: nn.Module | None, skip: Tensor | None) -> Tensor:
        if folds(gate):
            return norm_gate_add(y, norm, gate, skip, run=self.run)
        assert gate is not None
        gated = gate(norm_gate_add(y, norm, relu=False, run=self.run))
        return (gated if skip is None else gated + skip).relu()


class _FusedBasicBlock(_Fused):
    @staticmethod
    def can(block: nn.Module) -> bool:
        return _plain(block, ("bn1", "bn2"), ("act1", "act2"))

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return self._as_before(x)
        y = self.conv2(norm_gate_add(self.conv1(x), self.bn1, run=self.run))
        return self._finish_fused(y, self.bn2, self.se, x if self.downsample is None else self.downsample(x))


class _FusedBottleneck(_Fused):
    conv3: nn.Module
    bn3: nn.Module

    @staticmethod
    def can(block: nn.Module) -> bool:
        return _plain(block, ("bn1", "bn2", "bn3"), ("act1", "act2", "act3"))

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return self._as_before(x)
        y = norm_gate_add(self.conv1(x), self.bn1, run=self.run)
        y = self.conv3(norm_gate_add(self.conv2(y), self.bn2, run=self.run))
        return self._finish_fused(y, self.bn3, self.se, x if self.downsample is None else self.downsample(x))


class _FusedSequential(_Fused):
    """Stems and shortcuts: every batch norm, with the ReLU behind it."""

    @staticmethod
    def can(row: nn.Module) -> bool:
        return any(normalises(child) and not _hooked(child) for child in row.children())

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return self._as_before(x)
        modules = list(self.children())
        while modules:
            module = modules.pop(0)
            if isinstance(module, nn.BatchNorm2d) and normalises(module) and not _hooked(module):
                relu = bool(modules) and type(modules[0]) is nn.ReLU and not _hooked(modules[0])
                x = norm_gate_add(x, module, relu=relu, run=self.run)
                modules = modules[relu:]
            else:
                x = module(x)
        return x


_FUSED: dict[str, Any] = {
    "trainers.cifar_resnet.BasicBlock": _FusedBasicBlock,
    "trainers.cifar_resnet.Bottleneck": _FusedBottleneck,
    "timm.models.resnet.BasicBlock": _FusedBasicBlock,
    "timm.models.resnet.Bottleneck": _FusedBottleneck,
    "torch.nn.modules.container.Sequential": _FusedSequential,
}


def _plain(block: nn.Module, norms: tuple[str, ...], activations: tuple[str, ...]) -> bool:
    """Whether nothing but convolutions, batch norms and ReLUs is in the block, and nobody listens to those we pass by
    (as the bridge of `ba` does)."""
    passed_by = [getattr(block, name) for name in (*norms, *activations)]
    between = [getattr(block, name, None) for name in ("drop_block", "aa", "drop_path")]  # ours have none
    return (
        all(normalises(getattr(block, name)) for name in norms)
        and all(type(getattr(block, name)) is nn.ReLU for name in activations)
        and all(module is None or type(module) is nn.Identity for module in between)
        and not any(map(_hooked, passed_by))
    )


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)
