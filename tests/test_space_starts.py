"""How a fresh gate starts, and what the published scale changes: a factor in the first weights."""

from __future__ import annotations

from math import exp, sqrt

import pytest
import torch
from test_space_modules import CHANNELS, GATED, for_all, maps, trained
from test_space_oracles import random_maps
from torch import nn

from search_space import PRESETS, AttentionDesign, Space, build

PRODUCTS = {name: design for name, design in PRESETS.items() if not (design.is_block or design.squeeze == "none")}
# 1 / gate on a zero squeeze: sigmoid(0), sigmoid(1/2) of pfca, sigmoid(1) of affine-g, 1 where there is no sigmoid
GAINS = {"pfca": 1 + exp(-0.5), "gated": 1.0, "gaussian": 1.0}


def gain_of(design: AttentionDesign) -> float:
    if design.groups:
        return 1 + exp(-1)
    return 1.0 if design.fusion == "add" else GAINS.get(str(design.excitation), 2.0)


def gate_on_silence(design: AttentionDesign, gate_start: str) -> torch.Tensor:
    layer = build(design, CHANNELS, gate_start=gate_start, dtype=torch.float64).eval()
    gate: torch.Tensor = layer.excite(  # type: ignore[operator]
        torch.zeros(2, CHANNELS, design.numbers, dtype=torch.float64)
    )
    return gate


def test_the_identity_start_gives_back_the_map_on_a_zero_squeeze() -> None:
    def holds(design: AttentionDesign) -> bool:
        gate = gate_on_silence(design, "identity")
        rest = 0.0 if design.fusion == "add" else 1.0
        return torch.allclose(gate, torch.full_like(gate, rest), rtol=1e-14, atol=0)

    for_all(GATED, holds)


def test_the_published_start_is_the_gates_value_on_a_zero_squeeze() -> None:
    def holds(design: AttentionDesign) -> bool:
        gate = gate_on_silence(design, "paper")
        rest = 0.0 if design.fusion == "add" else 1 / gain_of(design)
        return torch.allclose(gate, torch.full_like(gate, rest), rtol=1e-14, atol=0)

    for_all(GATED, holds)


def test_the_identity_start_is_the_published_gate_divided_by_its_rest() -> None:
    """Oracle: 1 / sigmoid(0) = 2, 1 / sigmoid(a) = 1 + exp(-a), and what has no sigmoid is not multiplied."""
    x = maps(7, 8, dtype=torch.float64)

    def holds(design: AttentionDesign) -> bool:
        paper, identity = (trained(design, gate_start=start, dtype=torch.float64) for start in ("paper", "identity"))
        return torch.allclose(identity(x), gain_of(design) * paper(x), rtol=1e-12)

    for_all(GATED, holds)


def test_a_hard_lct_rests_at_four_sixths() -> None:
    """Oracle: hard sigmoid (v + 3) / 6 at b = 1; 4/6 has no exact inverse, so to rounding."""
    gate = gate_on_silence(AttentionDesign.parse("avg/affine-g4-hard"), "paper")
    torch.testing.assert_close(gate, torch.full_like(gate, 4 / 6))
    gate = gate_on_silence(AttentionDesign.parse("avg/affine-g4-hard"), "identity")
    torch.testing.assert_close(gate, torch.ones_like(gate))


@pytest.mark.parametrize(
    "text", ["context/mlp-r16-ln-bias-add", "l2/gated", "avg/mlp-r4-add", "avg+max/mlp-r4-shared-add"]
)
@pytest.mark.parametrize("gate_start", ["paper", "identity"])
def test_published_identity_starts_are_exact(text: str, gate_start: str) -> None:
    """attention.md 1.3: GC's last layer starts at 0; 1.25: alpha = 1, gamma = beta = 0."""
    x = random_maps(32, 7, 8)
    for training in (True, False):
        layer = build(AttentionDesign.parse(text), 32, gate_start=gate_start, dtype=torch.float64).train(training)
        assert torch.equal(layer(x), x)


@pytest.mark.parametrize("text", ["avg+std/cfc", "avg+blurmax+relentropy/mlp-r16-mixed", "avg/affine"])
def test_published_zero_starts_have_a_gate_of_one_half_whatever_the_map(text: str) -> None:
    """attention.md 1.20 (SRM: zero-init cfc), 1.8 (CAT: colla-factors 0)."""
    layer = build(AttentionDesign.parse(text), 32, dtype=torch.float64)
    x = random_maps(32, 7, 8)
    torch.testing.assert_close(layer(x), x / 2, rtol=0, atol=1e-12)


@pytest.mark.parametrize("gate_start", ["paper", "identity"])
def test_lct_starts_at_sigmoid_of_one_or_at_the_identity(gate_start: str) -> None:
    """w = 0, b = 1 (attention.md 1.27)."""
    x = random_maps(32, 7, 8)
    layer = build(PRESETS["lct"], 32, gate_start=gate_start, dtype=torch.float64)
    torch.testing.assert_close(layer(x), x / (1 + exp(-1)) if gate_start == "paper" else x, rtol=1e-14, atol=0)


def fresh_gates() -> list[str]:
    """Every excitation word of the default space that has weights, and others the grammar can say."""
    several = {gate for gate in Space().excitation if "shared" in gate or "mixed" in gate}
    words = {f"avg+max/{gate}" for gate in several}
    words |= {f"avg/{gate}" for gate in {*Space().excitation} - several - {"pfca", "gaussian"}}
    words |= {
        f"avg+max/mlp{word}" for word in ("-mixed-add", "-shared-ln-bias-add", "-mixed-bias-hard", "-shared-hard")
    }
    words |= {"avg/cfc-hard", "avg/affine-hard", "avg/conv1d-bias-hard", "avg/mlp-ln", "dct-learned4/mlp-add"}
    return sorted(word.replace("/mlp", "/mlp-r4") for word in words)


@pytest.mark.parametrize("text", fresh_gates())
def test_a_fresh_gate_can_learn(text: str) -> None:
    """One step along the gradient must be able to lead on: a parameter, and after it every one, has a gradient."""
    torch.manual_seed(0)
    layer = build(AttentionDesign.parse(text), 16, dtype=torch.float64)
    x = random_maps(16, 6, 6, images=8)
    target = torch.linspace(0, 2, 16, dtype=torch.float64)[:, None, None] * x
    parameters = [p for name, p in layer.named_parameters() if name != "pooling.mask.bias"]
    for _ in range(4):
        layer.zero_grad()
        (layer(x) - target).square().mean().backward()
        with torch.no_grad():
            for parameter in parameters:
                assert parameter.grad is not None
                parameter.sub_(0.1 * parameter.grad)
    assert all(bool((p.grad != 0).any()) for p in parameters), "a start that no gradient leads away from"  # type: ignore[union-attr]


# what the published form multiplies the numbers of an H x W map by: orthonormal rows, and GCT's sum of squares
SCALED = {"fca-lf", "fca-ts", "fca-nas", "wavenet-c", "ortho", "gct"}


def first_weights(layer: nn.Module) -> nn.Parameter:
    """The first weights that meet the squeezed numbers."""
    return next(parameter for name, parameter in layer.named_parameters() if name.startswith("excitation"))


@pytest.mark.parametrize("name", [name for name in PRODUCTS if name not in ("pfca", "gaussian-gct")])
def test_the_published_scale_of_a_preset_is_a_factor_in_its_first_weights(name: str) -> None:
    """Oracle: published numbers are sqrt(HW) times ours, or ours; sqrt(HW) smaller weights give the same output."""
    design = PRODUCTS[name]
    for height, width in ((7, 8), (16, 16), (3, 5)):
        x = maps(height, width, dtype=torch.float64)
        unit, paper = (trained(design, scale=scale, dtype=torch.float64) for scale in ("unit", "paper"))
        factor = sqrt(height * width) if name in SCALED else 1.0
        torch.testing.assert_close(paper.squeeze(x), factor * unit.squeeze(x), rtol=1e-12, atol=1e-12)  # type: ignore[operator]
        with torch.no_grad():
            first_weights(paper).div_(factor)
        torch.testing.assert_close(unit(x), paper(x), rtol=1e-11, atol=1e-12)


def test_the_published_scale_is_that_factor_over_the_default_space() -> None:
    x = maps(7, 8, dtype=torch.float64)
    without = ("pfca", "gaussian")

    def holds(design: AttentionDesign) -> bool:
        unit, paper = (trained(design, scale=scale, dtype=torch.float64) for scale in ("unit", "paper"))
        linear = design.squeeze in ("dct", "wavelet", "recursive", "ortho") and design.statistic == "mean"
        if linear or design.squeeze == "l2":
            with torch.no_grad():
                first_weights(paper).div_(sqrt(7 * 8))
        return torch.allclose(unit(x), paper(x), rtol=1e-11)

    for_all([design for design in GATED if design.excitation not in without and not design.groups], holds)


@pytest.mark.parametrize("name", ["simam", "cbam", "coordinate", "triplet", "cat", "wavenet-ae"])
def test_blocks_have_their_published_scale_only(name: str) -> None:
    x = maps(7, 8, dtype=torch.float64)
    layers = []
    for scale in ("unit", "paper"):
        torch.manual_seed(0)
        layers.append(build(PRESETS[name], CHANNELS, scale=scale, dtype=torch.float64).eval())
    assert torch.equal(layers[0](x), layers[1](x))
