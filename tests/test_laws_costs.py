"""Every design costs what its closed form says: parameters and multiply-accumulates of one layer, presets and sample.

Networks: test_costs.py.
"""

from __future__ import annotations

import logging

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from test_laws_subjects import CHANNELS, GATED, SUBJECTS, OneBlock, fresh, maps, trained
from torch import nn

from search_space import AttentionDesign, Site
from search_space.sites import added_layer_macs, added_macs, added_params

SIDE = 8
PIXELS = SIDE * SIDE
SOURCES = (CHANNELS // 4,)
LAYERS = ("conv", "linear", "addmm", "matmul", "mm", "bmm")

# what is executed elementwise, which fvcore doesn't see: multiply-accumulates an element of the map
STATISTICS = {"avg": 0, "max": 0, "std": 1, "skew": 2, "l2": 1, "energy": 1, "entropy": 1, "relentropy": 1}
STATISTICS["blurmax"] = 5 + 5  # a separable blur of five taps
BLOCKS = {
    "simam": 1,
    "sge": 1,
    "cat": 10 + 2,
    "wavenet-ae": 2,
    "ema": 0,
    "cbam": 0,
    "coordinate": 0,
    "triplet": 0,
    "ba": 0,
}


def band_energies(depth: int) -> int:
    """A level of side n: dense products of n x n matrices from both sides; the squares of all levels are HW."""
    return sum(2 * (SIDE >> level) ** 3 for level in range(depth)) + PIXELS


def unseen_squeeze(design: AttentionDesign) -> int:
    """Multiply-accumulates a channel."""
    if design.statistics:
        return PIXELS * sum(STATISTICS[name] for name in design.statistics)
    if design.squeeze == "context" or design.each:
        return 0  # products of matrices
    return PIXELS  # an inner product with the channel's own row


def unseen_excitation(design: AttentionDesign) -> int:
    """Multiply-accumulates a channel: K weights of a channel's own, or K that are learned for all."""
    return design.numbers if design.excitation in ("affine", "cfc") or design.sharing == "mixed" else 0


def layer_macs(layer: nn.Module, *inputs: torch.Tensor) -> int:
    """Oracle: fvcore's convolutions, linear layers and matrix products."""
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    with torch.no_grad():
        found = FlopCountAnalysis(layer, inputs).unsupported_ops_warnings(False).by_operator()
    return int(sum(found[operator] for operator in LAYERS))


def site(design: AttentionDesign, channels: int = CHANNELS) -> list[Site]:
    return [Site(channels, SIDE, SIDE, (channels // 4,) if design.squeeze == "ba" else ())]


@pytest.mark.parametrize("channels", [64, 320])
@pytest.mark.parametrize("name", SUBJECTS)
def test_the_closed_form_counts_the_parameters(name: str, channels: int) -> None:
    """Oracle: numel; of the block around `ba`, without its convolution."""
    layer, design = fresh(name, channels), SUBJECTS[name]
    layer = layer.bridge if isinstance(layer, OneBlock) else layer
    assert added_params(design, site(design, channels)) == sum(p.numel() for p in layer.parameters())


@pytest.mark.parametrize("name", GATED)
def test_the_closed_form_counts_the_multiply_accumulates(name: str) -> None:
    """Oracle: fvcore where it counts right, and a hand count of what is executed elementwise."""
    layer, design = trained(name).eval(), SUBJECTS[name]
    found = added_macs(design, site(design))
    if design.is_block:
        earlier = CHANNELS * SOURCES[0] * PIXELS if design.squeeze == "ba" else 0
        unseen = CHANNELS * PIXELS * BLOCKS[design.squeeze]
        assert found == layer_macs(layer, maps(SIDE, SIDE, 1)) - earlier + unseen
        return
    excitation = layer_macs(layer.excitation, torch.randn(1, CHANNELS, design.numbers))
    excitation += CHANNELS * unseen_excitation(design)
    assert added_layer_macs(design, site(design)) == excitation
    if design.statistic == "energy":  # fvcore counts a product of a matrix and a batch for one channel only
        squeeze = CHANNELS * band_energies(design.depth or 0)
    else:
        squeeze = layer_macs(layer.pooling, maps(SIDE, SIDE, 1)) + CHANNELS * unseen_squeeze(design)
    assert found - excitation == squeeze


def test_every_kind_of_squeeze_and_excitation_is_counted_here() -> None:
    kinds = {design.squeeze for design in SUBJECTS.values()} | {design.statistic for design in SUBJECTS.values()}
    assert {"dct", "wavelet", "energy", "context", "recursive", "ortho", "avg+std", "ba"} <= kinds
    assert any(design.each for design in SUBJECTS.values())
