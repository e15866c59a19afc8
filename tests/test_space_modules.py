"""Laws that hold for the module of every design: all presets and the whole default space."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from math import sqrt
from typing import Any

import pytest
import torch
from test_space_oracles import one_thread  # noqa: F401
from torch import Tensor, nn

from search_space import NONE, PRESETS, AttentionDesign, Site, Space, build
from search_space.sites import added_params

pytestmark = pytest.mark.usefixtures("one_thread")

CHANNELS = 16
EXCITATION_WEIGHTS = {
    "mlp": {"excitation.reduce.weight", "excitation.expand.weight"},
    "conv1d": {"excitation.conv.weight"},
    "affine": {"excitation.weight", "excitation.bias"},
    "pfca": set(),
}
# spellings next to each other by squeeze: bases are made once
DESIGNS = sorted({*PRESETS.values(), *Space().designs()}, key=str)
GATED = [design for design in DESIGNS if design != NONE]
SOME = GATED[::23]  # for what depends on the build, not on the operator


def maps(height: int, width: int, batch: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.randn(batch, CHANNELS, height, width, generator=generator, dtype=torch.float64).to(dtype) + 0.5


def trained(design: AttentionDesign, channels: int = CHANNELS, **options: Any) -> nn.Module:
    """The module with positive weights: no gate is constant, and a map or its negative passes the MLP's ReLU."""
    layer = build(design, channels, **options)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) * 0.3)
    return layer


def for_all(designs: list[AttentionDesign], holds: Callable[[AttentionDesign], bool]) -> None:
    """Names every design that breaks the law, not only the first."""
    broken = [str(design) for design in designs if not holds(design)]
    assert not broken, f"{len(broken)} of {len(designs)} designs: {broken[:10]}"


def test_every_preset_and_all_of_the_default_space_are_under_test() -> None:
    assert set(PRESETS.values()) <= set(DESIGNS)
    assert len(DESIGNS) == Space().count()["valid"]  # the presets are in the space


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 9), (7, 7)])
def test_shape_and_dtype_are_kept_and_values_finite_in_training_with_a_batch_of_one(size: tuple[int, int]) -> None:
    x = maps(*size, batch=1)

    def holds(design: AttentionDesign) -> bool:
        y = build(design, CHANNELS).train()(x)
        return y.shape == x.shape and y.dtype == x.dtype and bool(torch.isfinite(y).all())

    for_all(DESIGNS, holds)


def test_the_published_gate_lies_between_zero_and_one_and_multiplies_the_map() -> None:
    x = maps(7, 8)

    def holds(design: AttentionDesign) -> bool:
        layer = trained(design)
        gate = layer.excite(layer.squeeze(x))  # type: ignore[operator]
        inside = bool(((gate > 0) & (gate < 1)).all()) and gate.shape == x.shape[:2]
        return inside and torch.equal(layer(x), x * gate[:, :, None, None])

    for_all(GATED, holds)


def test_none_is_the_identity() -> None:
    x = maps(5, 9)
    assert torch.equal(build(NONE, CHANNELS)(x), x)
    assert list(build(NONE, CHANNELS).parameters()) == []


def test_gradients_reach_the_map_and_every_parameter() -> None:
    x = torch.cat([maps(7, 8), -maps(7, 8)])

    def holds(design: AttentionDesign) -> bool:
        layer = trained(design)
        leaf = x.clone().requires_grad_()
        layer(leaf).square().sum().backward()
        gradients = [leaf.grad, *(parameter.grad for parameter in layer.parameters())]
        return all(g is not None and bool(torch.isfinite(g).all()) and bool(g.abs().max() > 0) for g in gradients)

    for_all(GATED, holds)


def test_gradients_pass_through_the_gate_and_not_only_beside_it() -> None:
    """Oracle: the gradient of the gate alone is not zero; a detached squeeze would leave only the product's."""
    x = torch.cat([maps(7, 8), -maps(7, 8)])

    def holds(design: AttentionDesign) -> bool:
        layer = trained(design)
        leaf = x.clone().requires_grad_()
        layer.excite(layer.squeeze(leaf)).square().sum().backward()  # type: ignore[operator]
        return leaf.grad is not None and bool(leaf.grad.abs().max() > 0)

    for_all(GATED, holds)


def test_bfloat16_runs_and_stays_near_float32() -> None:
    """Oracle: float32 of the same rounded map and weights; a gate moves by a few of bfloat16's 8 bits."""
    x = maps(7, 8, dtype=torch.bfloat16)

    def holds(design: AttentionDesign) -> bool:
        half = trained(design).bfloat16()
        full = copy.deepcopy(half).float()
        y = half(x)
        exact = full(x.float())
        return y.dtype == torch.bfloat16 and bool(((y.float() - exact).abs() <= 0.03 * (x.float().abs() + 0.1)).all())

    for_all(GATED, holds)


def test_channels_last_maps_give_the_numbers_of_contiguous_ones() -> None:
    x = maps(6, 9)
    last = x.contiguous(memory_format=torch.channels_last)

    def holds(design: AttentionDesign) -> bool:
        layer = trained(design)
        y = layer(last)
        return torch.allclose(layer(x), y, rtol=1e-4, atol=1e-5)

    for_all(GATED, holds)


def test_a_non_contiguous_map_gives_the_numbers_of_its_copy() -> None:
    x = maps(9, 6).transpose(2, 3)[:, :, ::2, 1:]
    for_all(SOME, lambda design: torch.allclose(trained(design)(x), trained(design)(x.contiguous()), atol=1e-5))


def test_the_identity_start_has_a_gate_of_one_on_a_zero_squeeze() -> None:
    def holds(design: AttentionDesign) -> bool:
        layer = build(design, CHANNELS, gate_start="identity", dtype=torch.float64)
        gate = layer.excite(torch.zeros(2, CHANNELS, design.numbers, dtype=torch.float64))  # type: ignore[operator]
        exact = design.excitation != "pfca"  # its gate starts at sigmoid(1/2), which no float divides exactly
        return bool((gate == 1).all()) if exact else torch.allclose(gate, torch.ones_like(gate), rtol=1e-14)

    for_all(GATED, holds)


def test_the_identity_start_is_the_published_gate_divided_by_its_rest() -> None:
    """Oracle: 1 / sigmoid(0) = 2, and 1 / sigmoid(1/2) = 1 + exp(-1/2) for pfca."""
    x = maps(7, 8, dtype=torch.float64)

    def holds(design: AttentionDesign) -> bool:
        paper, identity = (trained(design, gate_start=start, dtype=torch.float64) for start in ("paper", "identity"))
        gain = 1.6065306597126334 if design.excitation == "pfca" else 2.0
        return torch.allclose(identity(x), gain * paper(x), rtol=1e-12)

    for_all(GATED, holds)


def test_the_published_scale_is_a_factor_in_the_first_weights_and_nothing_else() -> None:
    """Oracle: rows are sqrt(HW) longer, so first weights sqrt(HW) smaller give the same output; energies don't care."""
    x = maps(7, 8, dtype=torch.float64)

    def holds(design: AttentionDesign) -> bool:
        unit, paper = (trained(design, scale=scale, dtype=torch.float64) for scale in ("unit", "paper"))
        if design.squeeze in ("dct", "wavelet") and design.statistic == "mean":
            with torch.no_grad():
                next(paper.parameters()).div_(sqrt(7 * 8))
        return torch.allclose(unit(x), paper(x), rtol=1e-11)

    for_all([design for design in GATED if design.excitation != "pfca"], holds)


def test_the_state_dict_holds_the_excitations_weights_only() -> None:
    for_all(GATED, lambda d: set(build(d, CHANNELS).state_dict()) == EXCITATION_WEIGHTS[str(d.excitation)])
    layer = trained(AttentionDesign.parse("dct-top16/mlp-r4"))
    for size in ((7, 7), (32, 32)):
        layer(maps(*size))  # bases of two sizes later, still no buffer
    assert set(layer.state_dict()) == EXCITATION_WEIGHTS["mlp"]


@pytest.mark.parametrize("channels", [16, 50, 256])
def test_the_number_of_parameters_is_the_closed_form(channels: int) -> None:
    site = Site(channels, 8, 8)
    designs = DESIGNS if channels == 16 else SOME
    for_all(designs, lambda d: sum(p.numel() for p in build(d, channels).parameters()) == added_params(d, [site]))


def copies(layer: nn.Module) -> Iterator[nn.Module]:
    yield copy.deepcopy(layer)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    fresh = build(layer.design, layer.channels)  # type: ignore[arg-type]
    fresh.load_state_dict(torch.load(file, weights_only=True))
    yield fresh


def test_copies_and_reloaded_weights_give_the_same_output() -> None:
    x = maps(7, 8)

    def holds(design: AttentionDesign) -> bool:
        layer = trained(design)
        return all(torch.equal(layer(x), other(x)) for other in copies(layer))

    for_all(SOME, holds)


def test_a_deep_copy_shares_no_weights() -> None:
    layer = trained(AttentionDesign.parse("avg/mlp-r4"))
    other = copy.deepcopy(layer)
    with torch.no_grad():
        next(other.parameters()).zero_()
    assert next(layer.parameters()).abs().max() > 0


def test_float64_and_the_asked_dtype_are_kept() -> None:
    for design in SOME:
        layer = build(design, CHANNELS, dtype=torch.float64)
        assert all(parameter.dtype == torch.float64 for parameter in layer.parameters())
        assert layer(maps(5, 9, dtype=torch.float64)).dtype == torch.float64


def test_each_image_of_a_batch_is_gated_by_itself() -> None:
    x = maps(7, 8, batch=3, dtype=torch.float64)
    for design in SOME:
        layer = trained(design, dtype=torch.float64)
        one_by_one = torch.cat([layer(image[None]) for image in x])
        torch.testing.assert_close(layer(x), one_by_one, rtol=0, atol=1e-12, msg=str(design))


def test_the_printed_module_names_its_design() -> None:
    layer = build(AttentionDesign.parse("dct-top16/mlp-r4"), CHANNELS, scale="paper")
    assert "dct-top16/mlp-r4, channels=16, scale=paper, gate_start=paper" in repr(layer)
