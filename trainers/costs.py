"""What a network costs: parameters, and the multiply-accumulates that papers call FLOPs."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from functools import lru_cache

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from search_space import AttentionDesign, Site, UserError
from search_space.module import Attention
from search_space.sites import added_macs, added_params
from trainers.backbones import backbone, sites

CONVENTION = "MACs of convolutions, linear layers and squeeze inner products, one image, eval mode"

# fvcore's names of what the convention counts, and of what it counts but the convention leaves out
_COUNTED = {"conv", "linear", "addmm", "matmul", "mm", "bmm", "einsum"}
_LEFT_OUT = {"batch_norm", "group_norm", "layer_norm", "instance_norm", "adaptive_avg_pool2d"}
# known to hold no convolution and no product of matrices; anything else uncounted is an error, not a zero
_NO_MACS = {
    *("aten::add", "aten::add_", "aten::sub", "aten::mul", "aten::mul_", "aten::div", "aten::mean", "aten::sum"),
    *("aten::max_pool2d", "aten::avg_pool2d", "aten::pad", "aten::sigmoid", "aten::silu_", "aten::hardtanh_"),
}


class UncountedError(UserError):
    """The network does work that the count would miss."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Parameters (buffers excluded) and multiply-accumulates of one image, with what was counted."""

    params: int
    macs: int
    convention: str = CONVENTION


class _Gate(nn.Module):
    """Stands for an attention while the rest is counted, and remembers every map it was applied to."""

    def __init__(self, design: AttentionDesign) -> None:
        super().__init__()
        self.design = design
        self.sites: list[Site] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sites.append(Site(*(int(n) for n in x.shape[1:])))
        return x


def cost(net: nn.Module, image_size: int = 224) -> Cost:
    """Cost of a network of `backbone`, or of any network: fvcore counts it with the gates as identity, and each gate
    adds its closed form. The network itself is left untouched. Raises `UncountedError`."""
    params = sum(parameter.numel() for parameter in net.parameters())
    counted = copy.deepcopy(net).eval()
    gates: list[_Gate] = []
    for parent in list(counted.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Attention):
                gates.append(_Gate(child.design))
                setattr(parent, name, gates[-1])
    example = torch.zeros(1, 3, image_size, image_size, device=next(counted.parameters()).device)
    macs = _count(counted, example)
    return Cost(params, macs + sum(added_macs(gate.design, gate.sites) for gate in gates))


def _count(net: nn.Module, example: Tensor) -> int:
    analysis = FlopCountAnalysis(net, (example,)).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    with torch.no_grad():
        found = analysis.by_operator()
    missed = set(analysis.unsupported_ops()) - _NO_MACS | found.keys() - _COUNTED - _LEFT_OUT
    if missed:
        raise UncountedError(
            f"MACs: this network uses operators that are not counted: {', '.join(sorted(missed))}. "
            "Allowed: what fvcore counts (convolutions, linear layers, matrix products), pooling, norms, elementwise."
        )
    return int(sum(number for operator, number in found.items() if operator in _COUNTED))


@lru_cache(maxsize=64)
def plain_cost(name: str, image_size: int, num_classes: int) -> Cost:
    """Cost of the backbone without attention; counted once."""
    return cost(backbone(name, num_classes=num_classes), image_size)


def design_cost(design: AttentionDesign, name: str, image_size: int, num_classes: int) -> Cost:
    """The same as `cost(backbone(name, design, ...), image_size)` without building the network."""
    plain, places = plain_cost(name, image_size, num_classes), sites(name, image_size)
    return Cost(plain.params + added_params(design, places), plain.macs + added_macs(design, places))
