"""Laws that hold for the module of every design: presets, and of the default space every squeeze under every gate."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from search_space import NONE, PRESETS, AttentionDesign, Site, Space, build
from search_space.sites import added_params

CHANNELS = 32
EXCITATION_WEIGHTS = {
    "mlp": {"reduce.weight", "expand.weight"},
    "conv1d": {"conv.weight"},
    "affine": {"weight", "bias"},
    "fc": {"full.weight"},
    "cfc": {"weight", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked"},
    "pfca": set(),
    "gated": {"alpha", "beta", "gamma"},
    "gaussian": set(),
}


def representatives() -> list[AttentionDesign]:
    """One design for each squeeze (family, `-each`, band statistic) and excitation word, all presets but blocks."""
    found: dict[tuple[object, ...], AttentionDesign] = {}
    for design in Space().distinct():
        squeeze = "learned" if design.learned else design.squeeze
        gate = "-".join(word for word in str(design).partition("/")[2].split("-") if word[:1] not in ("r", "k"))
        kind = (squeeze, design.each, design.statistic, gate)
        found.setdefault(kind, design)
        if design.selection in ("top16", "all") and design.depth in (None, 3):  # the widest of its kind
            found[kind] = design
    presets = [design for design in PRESETS.values() if not design.is_block]
    return sorted({*presets, *found.values()}, key=str)  # spellings of a squeeze side by side: bases are made once


DESIGNS = representatives()
GATED = [design for design in DESIGNS if design != NONE]
SOME = GATED[::11]  # for what depends on the build, not on the operator


def maps(height: int, width: int, batch: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.randn(batch, CHANNELS, height, width, generator=generator, dtype=torch.float64).to(dtype) + 0.5


def trained(design: AttentionDesign, channels: int = CHANNELS, **options: Any) -> nn.Module:
    """In eval mode, with positive weights: no gate is constant, and a map or its negative passes the MLP's ReLU."""
    layer = build(design, channels, **options)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            size = 0.02 if design.activation == "hard" else 0.3  # a hard sigmoid is constant beyond 3
            parameter.copy_(torch.rand(parameter.shape, generator=generator) * size)
    return layer.eval()


def for_all(designs: list[AttentionDesign], holds: Callable[[AttentionDesign], bool]) -> None:
    """Names every design that breaks the law, not only the first."""
    broken = [str(design) for design in designs if not holds(design)]
    assert not broken, f"{len(broken)} of {len(designs)} designs: {broken[:10]}"


def test_every_squeeze_and_every_excitation_of_the_default_space_is_under_test() -> None:
    """4 x 22 designs and more: each of 16 squeeze words, twice where `-each` or energies double it, 14 gate words."""
    assert {design.squeeze for design in DESIGNS} == {design.squeeze for design in Space().designs()}
    assert {design.excitation for design in GATED} == set(EXCITATION_WEIGHTS)
    assert {design for design in PRESETS.values() if not design.is_block} <= set(DESIGNS)
    assert 200 < len(DESIGNS) < 400


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 9), (7, 7)])
def test_shape_and_dtype_are_kept_and_values_finite_in_training_with_one_image(size: tuple[int, int]) -> None:
    """Two images for cfc, whose batch norm needs them (test_space_reference)."""

    def holds(design: AttentionDesign) -> bool:
        x = maps(*size, batch=2 if design.excitation == "cfc" else 1)
        y = build(design, CHANNELS).train()(x)
        return y.shape == x.shape and y.dtype == x.dtype and bool(torch.isfinite(y).all())

    for_all(DESIGNS, holds)


LIMITS = {"gated": (0, 2), "gaussian": (0, 1)}  # 1 + tanh, exp(-z^2); a sigmoid's is (0, 1), a hard one's includes both


def test_the_published_gate_lies_between_its_limits_and_multiplies_the_map_or_is_added() -> None:
    x = maps(7, 8)

    def holds(design: AttentionDesign) -> bool:
        layer = trained(design)
        gate = layer.excite(layer.squeeze(x))  # type: ignore[operator]
        if design.fusion == "add":
            return torch.equal(layer(x), x + gate[:, :, None, None])
        low, high = LIMITS.get(str(design.excitation), (0, 1))
        inside = bool(((gate >= low) & (gate <= high)).all()) and gate.shape == x.shape[:2]
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
        heard = [parameter for name, parameter in layer.named_parameters() if name != "pooling.mask.bias"]
        gradients = [leaf.grad, *(parameter.grad for parameter in heard)]  # a bias moves no softmax
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
        added = (exact - x.float()).abs() if design.fusion == "add" else 0
        near = (y.float() - exact).abs() <= 0.03 * (x.float().abs() + added + 0.1)
        return y.dtype == torch.bfloat16 and bool(near.all())

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


def names(design: AttentionDesign) -> set[str]:
    """What its state dict should hold, from the words of its text."""
    words = {f"excitation.{name}" for name in EXCITATION_WEIGHTS[str(design.excitation)]}
    if design.bias:
        layers = {"mlp": ("reduce", "expand"), "conv1d": ("conv",), "fc": ("full",)}[str(design.excitation)]
        words |= {f"excitation.{layer}.bias" for layer in layers}
    words |= {"excitation.norm.weight", "excitation.norm.bias"} if design.norm else set()
    words |= {"excitation.mix"} if design.sharing == "mixed" else set()
    words |= {"pooling.mask.weight", "pooling.mask.bias"} if design.squeeze == "context" else set()
    return words | ({"pooling.logits"} if design.learned else set())


def test_the_state_dict_holds_learned_weights_and_statistics_only() -> None:
    for_all(GATED, lambda design: set(build(design, CHANNELS).state_dict()) == names(design))
    layer = trained(AttentionDesign.parse("dct-top16/mlp-r4"))
    for size in ((7, 7), (32, 32)):
        layer(maps(*size))  # bases of two sizes later, still no buffer
    assert set(layer.state_dict()) == {"excitation.reduce.weight", "excitation.expand.weight"}


@pytest.mark.parametrize("channels", [32, 50, 256])
def test_the_number_of_parameters_is_the_closed_form(channels: int) -> None:
    site = Site(channels, 8, 8)
    for_all(
        DESIGNS if channels < 256 else SOME,
        lambda d: sum(p.numel() for p in build(d, channels).parameters()) == added_params(d, [site]),
    )


def copies(layer: nn.Module) -> Iterator[nn.Module]:
    yield copy.deepcopy(layer)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    fresh = build(layer.design, layer.channels)  # type: ignore[arg-type]
    fresh.load_state_dict(torch.load(file, weights_only=True))
    yield fresh.eval()


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
    assert "dct-top16/mlp-r4, channels=32, scale=paper, gate_start=paper" in repr(layer)
