"""What a network costs: parameters, and the multiply-accumulates that papers call FLOPs."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from functools import lru_cache

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from search_space import AttentionDesign, Layered, Site, UserError
from search_space.blocks import Block
from search_space.blocks.bridge import Bridge
from search_space.module import Attention
from search_space.sites import added_macs, added_params, check
from search_space.squeeze import map_size
from trainers.backbones import backbone, sites

# papers call all of these FLOPs; ResNet-50 is 4.089 G under the first two, 4.112 G under the third
CONVENTIONS = {
    "layers+squeeze": "MACs of convolutions, linear layers and squeeze inner products, one image, eval mode",
    "layers": "MACs of convolutions and linear layers, one image, eval mode",
    "fvcore": "fvcore's own total: convolutions, linear layers, matrix products, norms and adaptive pooling, as it "
    "traces the network, one image, eval mode",
}
DEFAULT_CONVENTION = "layers+squeeze"
CONVENTION = CONVENTIONS[DEFAULT_CONVENTION]

# fvcore's names of what the convention counts, and of what it counts but the convention leaves out
_LAYERS = {"conv", "linear", "addmm"}
_COUNTED = _LAYERS | {"matmul", "mm", "bmm", "einsum"}
_LEFT_OUT = {"batch_norm", "group_norm", "layer_norm", "instance_norm", "adaptive_avg_pool2d"}
# known to hold no convolution and no product of matrices; anything else uncounted is an error, not a zero
_NO_MACS = {
    *("aten::add", "aten::add_", "aten::sub", "aten::mul", "aten::mul_", "aten::div", "aten::mean", "aten::sum"),
    *("aten::gelu", "aten::hardsigmoid", "aten::hardsigmoid_", "aten::expand_as", "aten::upsample_nearest2d"),
    *("aten::max_pool2d", "aten::avg_pool2d", "aten::pad", "aten::unfold", "aten::reshape_as", "aten::ceil"),
    *("aten::sigmoid", "aten::softmax", "aten::silu", "aten::silu_", "aten::hardtanh_", "aten::hardswish_"),
    *("aten::leaky_relu", "aten::leaky_relu_", "aten::sqrt", "aten::var"),
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

    def __init__(self, attention: Attention | Block) -> None:
        super().__init__()
        self.design: AttentionDesign = attention.design
        self.sources = attention.sources if isinstance(attention, Bridge) else ()
        self.sites: list[Site] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sites.append(Site(*map_size(x), self.sources))
        return x


def cost(net: nn.Module, image_size: int = 224, convention: str = DEFAULT_CONVENTION) -> Cost:
    """Cost of a network of `backbone`, or of any network, under one of `CONVENTIONS`. The network is left untouched.

    By default fvcore counts it with the gates as identity, and each gate adds its closed form. `layers` and `fvcore`
    are what fvcore says of the network with its gates. Raises `UncountedError`.
    """
    if convention not in CONVENTIONS:
        raise UncountedError(f"MAC convention {convention!r} does not exist; allowed: {', '.join(CONVENTIONS)}.")
    params = sum(parameter.numel() for parameter in net.parameters())
    counted = copy.deepcopy(net).eval()
    for module in counted.modules():
        if hasattr(module, "fused_attn"):  # timm's: products of matrices as one operator, which fvcore can't read
            module.fused_attn = False  # type: ignore[assignment]
    gates = _open_gates(counted) if convention == DEFAULT_CONVENTION else []
    weight = next(counted.parameters())
    example = torch.zeros(1, 3, image_size, image_size, device=weight.device, dtype=weight.dtype)
    macs = _count(counted, example, convention)
    macs += sum(added_macs(gate.design, gate.sites) for gate in gates)
    return Cost(params, macs, CONVENTIONS[convention])


def _open_gates(net: nn.Module) -> list[_Gate]:
    """Every attention of the network replaced by an identity that remembers its maps."""
    gates: list[_Gate] = []
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if isinstance(child, (Attention, Block)):
                gates.append(_Gate(child))
                setattr(parent, name, gates[-1])
    return gates


def _count(net: nn.Module, example: Tensor, convention: str) -> int:
    analysis = FlopCountAnalysis(net, (example,)).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    with torch.no_grad():
        found = analysis.by_operator()
    if convention == "fvcore":  # what it leaves out is part of its convention
        return int(sum(found.values()))
    if convention == "layers":
        return int(sum(number for operator, number in found.items() if operator in _LAYERS))
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


def design_cost(design: AttentionDesign | Layered, name: str, image_size: int, num_classes: int) -> Cost:
    """The same as `cost(backbone(name, design, ...), image_size)` without building the network.

    Raises `BackboneError`, `DesignError`, `UncountedError`.
    """
    places = sites(name, image_size, design)  # first, because it says what a network can't take
    check(design, places)
    plain = plain_cost(name, image_size, num_classes)
    return Cost(plain.params + added_params(design, places), plain.macs + added_macs(design, places))
