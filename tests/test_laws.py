"""Laws that every design obeys: presets and a sample of the space. Exemptions: the table of test_laws_subjects.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from test_laws_subjects import (
    CHANNELS,
    GATED,
    PRIME_CHANNELS,
    PRODUCTS,
    SUBJECTS,
    OneBlock,
    allowed_or_refused,
    determinism,
    exempt,
    fresh,
    maps,
    obeying,
    trained,
)
from torch import Tensor, nn

from search_space import PRESETS, DesignError, build
from search_space.blocks import Block

BATCH_STATISTICS = {"running_mean", "running_var", "num_batches_tracked"}


@pytest.fixture
def deterministic() -> Iterator[None]:
    with determinism():
        yield


def runs(layer: nn.Module, x: Tensor) -> None:
    """Forward and backward: the shape is kept, output and gradients are finite."""
    x = x.clone().requires_grad_()
    y = layer(x)
    y.square().sum().backward()
    assert y.shape == x.shape and y.dtype == x.dtype
    gradients = [x.grad, *(parameter.grad for parameter in layer.parameters())]
    assert bool(torch.isfinite(y).all())
    assert all(gradient is None or bool(torch.isfinite(gradient).all()) for gradient in gradients)


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 4), (13, 11)])
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_map_of_any_size_keeps_its_shape_in_training_and_evaluation(name: str, size: tuple[int, int]) -> None:
    runs(trained(name).train(), maps(*size))
    runs(trained(name).eval(), maps(*size))


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_map_may_be_one_pixel(name: str) -> None:
    for training in (True, False):
        with allowed_or_refused(name, "one pixel"):
            runs(trained(name).train(training), maps(1, 1))


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_batch_may_be_one_image_in_training(name: str) -> None:
    with allowed_or_refused(name, "one image in training"):
        runs(trained(name).train(), maps(batch=1))


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_batch_may_be_one_image_of_one_pixel_in_training(name: str) -> None:
    with allowed_or_refused(name, "one pixel of one image in training"):
        runs(trained(name).train(), maps(1, 1, batch=1))


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_batch_is_one_image_in_evaluation_and_hears_no_other(name: str) -> None:
    """Oracle: the same image in a batch of three."""
    layer, x = trained(name).eval(), maps(batch=3)
    runs(layer, x[:1])
    torch.testing.assert_close(layer(x[1:2]), layer(x)[1:2])


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_number_of_channels_may_be_prime(name: str) -> None:
    with allowed_or_refused(name, "prime channels"):
        runs(trained(name, PRIME_CHANNELS), maps(channels=PRIME_CHANNELS))


def heard(name: str) -> tuple[float, dict[str, float]]:
    """Largest gradient of the map through the gate, and of every parameter; in evaluation, because in training a
    batch norm takes away what a bias before it adds."""
    layer, x = trained(name).eval(), maps(batch=4).requires_grad_()
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    ((layer(x) - x) * weights).sum().backward()
    assert x.grad is not None
    missing = [key for key, parameter in layer.named_parameters() if parameter.grad is None and "earlier" not in key]
    assert not missing
    gradients = {key: p.grad.abs().max().item() for key, p in layer.named_parameters() if p.grad is not None}
    return x.grad.abs().max().item(), gradients


@pytest.mark.parametrize("name", obeying("gradients"))
def test_the_gradient_reaches_the_map_and_every_parameter(name: str) -> None:
    of_map, of_parameters = heard(name)
    assert of_map > 1e-6
    assert [key for key, gradient in of_parameters.items() if not gradient > 1e-6] == []


@pytest.mark.parametrize("name", [name for name in GATED if exempt(name, "gradients")])
def test_a_bias_before_a_softmax_is_the_only_parameter_that_no_gradient_reaches(name: str) -> None:
    of_map, of_parameters = heard(name)
    assert of_map > 1e-6
    assert [key for key, gradient in of_parameters.items() if not gradient > 1e-6] == ["pooling.mask.bias"]


def slope_at_zero(layer: nn.Module) -> Tensor:
    """The derivative of y = x gate(x) at x = 0 is gate(0), whatever the gate's own slope."""
    x = torch.zeros(2, CHANNELS, 8, 8, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    return x.grad


# of statistics alone, entropy and l2 are not 0 on a zero map: log HW, and the root of GCT's epsilon
SILENT = [name for name in obeying("identity start") if not {"entropy", "l2"} & {*SUBJECTS[name].statistics}]


@pytest.mark.parametrize("name", [*SILENT, "gct"])
def test_the_identity_start_passes_a_map_near_zero_as_it_is(name: str) -> None:
    slope = slope_at_zero(fresh(name, gate_start="identity"))
    torch.testing.assert_close(slope, torch.ones_like(slope))


@pytest.mark.parametrize("name", [name for name in GATED if exempt(name, "identity start")])
def test_random_biases_move_the_identity_start_only_a_little(name: str) -> None:
    """Oracle: without them the slope is 1; their published start keeps the mean gate within a fifth of it."""
    slope = slope_at_zero(fresh(name, gate_start="identity"))
    assert slope.mean().item() == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("name", PRODUCTS)
def test_the_identity_start_has_a_gate_of_one_on_a_zero_squeeze(name: str) -> None:
    layer = fresh(name, gate_start="identity")
    gate = layer.excite(torch.zeros(2, CHANNELS, SUBJECTS[name].numbers))
    adds = SUBJECTS[name].fusion == "add"
    torch.testing.assert_close(gate, torch.zeros_like(gate) if adds else torch.ones_like(gate))


IDENTITIES = [name for name in GATED if SUBJECTS[name].fusion == "add" or SUBJECTS[name].excitation == "gated"]


@pytest.mark.parametrize("name", IDENTITIES)
def test_what_is_added_or_gated_by_gct_starts_as_the_identity_of_any_map(name: str) -> None:
    """As published: GCNet's last layer and GCT's gamma and beta start at 0."""
    assert {"gc", "gct"} <= set(IDENTITIES)
    assert torch.equal(fresh(name)(maps()), maps())
    assert not torch.equal(trained(name)(maps()), maps())


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_map_is_squeezed_to_k_numbers_a_channel_and_scaled_by_what_they_excite(name: str) -> None:
    layer, x, design = trained(name).eval(), maps(), SUBJECTS[name]
    z = layer.squeeze(x)
    assert z.shape == (2, CHANNELS, design.numbers)
    gate = layer.excite(z)[:, :, None, None]
    assert gate.shape == (2, CHANNELS, 1, 1)
    assert torch.equal(layer(x), x + gate if design.fusion == "add" else x * gate)


@pytest.mark.parametrize("name", [name for name in obeying("gate times map") if SUBJECTS[name].is_block])
def test_a_block_is_its_gate_times_the_map(name: str) -> None:
    layer, x = trained(name).eval(), maps()
    y = layer(x)
    if isinstance(layer, OneBlock):
        layer.earlier(x)  # the bridge hears a map once
        layer = layer.bridge
    assert isinstance(layer, Block)
    assert torch.equal(y, x * layer.gate(x))


@pytest.mark.parametrize("name", [name for name in GATED if exempt(name, "gate times map")])
def test_a_gate_of_bands_scales_every_band(name: str) -> None:
    """Oracle: Haar's bands of the output are the gate times those of the input, at an even size."""
    from search_space.blocks.wavenet_ae import WaveNetAE, analysis

    layer, x = trained(name).eval(), maps(8, 6)
    assert isinstance(layer, WaveNetAE)
    bands = analysis(x)
    torch.testing.assert_close(analysis(layer(x)), bands * layer.band_gate(bands, x.dtype))


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("name", SUBJECTS)
def test_deterministic_algorithms_run_and_give_the_same_bits_twice(name: str) -> None:
    found = []
    for _ in range(2):
        layer, x = trained(name).train(), maps().requires_grad_()
        y = layer(x)
        y.square().sum().backward()
        found.append([y, x.grad, *(parameter.grad for parameter in layer.parameters() if parameter.grad is not None)])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_state_dict_holds_learned_weights_and_batch_statistics_only(name: str) -> None:
    layer = trained(name).train()
    for size in ((7, 5), (8, 8)):
        layer(maps(*size))  # two sizes later, still no basis kept
    others = layer.state_dict().keys() - dict(layer.named_parameters()).keys()
    assert {key.rpartition(".")[2] for key in others} <= BATCH_STATISTICS


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_state_dict_loads_strictly_into_a_layer_that_has_seen_another_image_size(name: str) -> None:
    layer, other = trained(name).train(), fresh(name).train()
    layer(maps(8, 8))
    other(maps(13, 11))
    other.load_state_dict(layer.state_dict(), strict=True)
    for size in ((8, 8), (13, 11)):
        assert torch.equal(layer.eval()(maps(*size)), other.eval()(maps(*size)))


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in ("none", "ba")])
@pytest.mark.parametrize("shape", [(2, 24, 8, 8), (2, 8, 8, 64), (2, 64, 8)])
def test_a_map_that_the_layer_was_not_built_for_is_refused(name: str, shape: tuple[int, ...]) -> None:
    """Some gates would take it, and gate another axis."""
    with pytest.raises(DesignError, match=r"\[B, 64, H, W\]"):
        build(PRESETS[name], 64)(torch.randn(shape))


@pytest.mark.parametrize(("design", "channels"), [("se", 64), (PRESETS["se"], 64.0), (PRESETS["eca"], 0)])
def test_build_refuses_what_is_no_design_and_no_width(design: object, channels: object) -> None:
    with pytest.raises(DesignError, match=r"design|channels"):
        build(design, channels)  # type: ignore[arg-type]
