"""Laws that hold for every block of the table: sizes, precisions, layouts, gradients, starts, and closed-form costs."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from search_space import design as grammar
from search_space.blocks import BLOCKS, Block
from search_space.blocks.bridge import Bridge
from search_space.design import AttentionDesign
from search_space.errors import DesignError

CHANNELS = 16
TEXTS = [
    *("simam", "ema-g4", "cbam-r4", "cat-r4", "coordinate-r2", "triplet-k3", "triplet-k7"),
    *("sge-g4", "ba-r4", "wavenet-ae-r4"),
]
SIZES = [(1, 1), (1, 4), (3, 5), (8, 8)]
# what the mathematics forbids: (name, pixels, batch, training); None is any. SimAM is 0 / 0, a batch norm has one value
UNDEFINED = [("simam", 1, None, None), ("cbam", 1, 1, True), ("triplet", 1, 1, True), ("ba", None, 1, True)]


def block(text: str, channels: int = CHANNELS, gain: float = 1.0) -> Block:
    """As built; a bridge hears only the gated map here."""
    torch.manual_seed(0)
    design = AttentionDesign.parse(text)
    if design.squeeze == "ba":
        return Bridge(design, channels, (), gain=gain)
    return BLOCKS[design.squeeze](design, channels, gain=gain)


def trained(text: str) -> Block:
    """No weight at its start, so that nothing is heard by accident of a zero."""
    layer = block(text)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3 + 0.1)
    return layer


def maps(height: int, width: int, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.randn(batch, CHANNELS, height, width, generator=generator) + 0.5


def undefined(text: str, pixels: int, batch: int, training: bool) -> bool:
    case = (AttentionDesign.parse(text).squeeze, pixels, batch, training)
    return any(all(r is None or r == c for r, c in zip(rule, case, strict=True)) for rule in UNDEFINED)


def test_the_table_holds_every_block_of_the_grammar() -> None:
    assert set(BLOCKS) == set(grammar.BLOCKS) == {AttentionDesign.parse(text).squeeze for text in TEXTS}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("text", TEXTS)
def test_any_map_is_gated_or_refused_in_words(text: str, size: tuple[int, int], batch: int, training: bool) -> None:
    layer, x = trained(text).train(training), maps(*size, batch).requires_grad_()
    if undefined(text, size[0] * size[1], batch, training):
        with pytest.raises(DesignError, match=rf"^(map|batch): '{text} .*allowed: (2 pixels|two images) or more"):
            layer(x)
        return
    y = layer(x)
    y.square().sum().backward()
    assert y.shape == x.shape
    assert torch.isfinite(y).all() and torch.isfinite(x.grad).all()
    assert not torch.equal(y, x)


@pytest.mark.parametrize("value", [0.0, 3.0])
@pytest.mark.parametrize("text", TEXTS)
def test_a_constant_map_has_finite_gradients(text: str, value: float) -> None:
    """Deviations, ranges and details are all 0 there: the square root of a variance has no slope."""
    layer, x = trained(text), torch.full((2, CHANNELS, 4, 4), value, requires_grad=True)
    layer(x).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in layer.parameters())


@pytest.mark.parametrize("text", TEXTS)
def test_every_weight_learns(text: str) -> None:
    """In evaluation: in training a batch norm takes the bias before it away again."""
    layer = trained(text).eval()
    (layer(maps(5, 6).requires_grad_()) * maps(6, 5).transpose(2, 3)).sum().backward()
    assert [name for name, p in layer.named_parameters() if not p.grad.abs().max() > 1e-5] == []


@pytest.mark.parametrize("text", TEXTS)
def test_gradients_are_those_of_finite_differences(text: str) -> None:
    layer = trained(text).double().eval()
    x = maps(3, 4, 1).double().requires_grad_()
    assert torch.autograd.gradcheck(layer, (x,), fast_mode=True)


@pytest.mark.parametrize("text", TEXTS)
def test_images_of_a_batch_do_not_hear_each_other_in_evaluation(text: str) -> None:
    layer, x = trained(text).eval(), maps(5, 4, 3)
    torch.testing.assert_close(layer(x)[1:2], layer(x[1:2]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("text", TEXTS)
def test_half_precision_says_what_single_precision_says(text: str, dtype: torch.dtype) -> None:
    """Of a module in half precision and of one under autocast; 8 and 11 bits of mantissa."""
    x, layer = maps(6, 7), trained(text).eval()
    expected, tolerance = layer(x), 0.08 if dtype == torch.bfloat16 else 0.01
    half = copy.deepcopy(layer).to(dtype)(x.to(dtype))
    with torch.autocast("cpu", dtype=dtype):
        mixed = layer(x)
    assert (half.dtype, mixed.dtype) == (dtype, torch.float32)
    torch.testing.assert_close(half.float(), expected, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(mixed, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("text", ["simam", "sge-g4", "cat-r4", "wavenet-ae-r4"])
def test_half_precision_sums_do_not_overflow(text: str) -> None:
    """56 x 56 values around 60: their sum and the sum of their squares are beyond the largest half, 65,504."""
    x = (maps(56, 56, 1) * 20 + 60).half()
    expected = trained(text).eval()(x.float())
    torch.testing.assert_close(trained(text).half().eval()(x).float(), expected, atol=0.5, rtol=0.02)


@pytest.mark.parametrize("text", TEXTS)
def test_channels_last_maps_give_the_same_and_stay_channels_last(text: str) -> None:
    layer, x = trained(text).eval(), maps(6, 7)
    y = layer(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(y, layer(x))
    assert text.startswith("wavenet") or y.is_contiguous(memory_format=torch.channels_last)


class Operators(TorchDispatchMode):
    """Remembers the name of every operator that runs, backward ones too."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(function._schema.name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("text", TEXTS)
def test_no_operator_runs_that_is_nondeterministic_on_a_gpu(text: str) -> None:
    """By the list in torch.use_deterministic_algorithms' documentation; the mode must not refuse one either."""
    nondeterministic = ("adaptive", "pool", "_pad2d", "scatter", "index_", "gather", "cumsum", "upsample", "median")
    layer, x = trained(text), maps(5, 7).requires_grad_()
    torch.use_deterministic_algorithms(True)
    try:
        with Operators() as ran:
            layer(x).square().sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert ran.names and not [name for name in ran.names if any(word in name for word in nondeterministic)]


@pytest.mark.parametrize("text", ["simam", "cat-r4", "triplet-k7", "sge-g4", "ba-r4"])
def test_a_gate_rests_where_its_class_says(text: str) -> None:
    """On a zero map, as built; 1 / rest as the gain then opens it."""
    layer = block(text, gain=1 / block(text).rest)
    gate = layer.gate(torch.zeros(2, CHANNELS, 4, 4))
    torch.testing.assert_close(layer.gain * gate, torch.ones_like(gate))


@pytest.mark.parametrize("text", ["ema-g4", "cbam-r4", "coordinate-r2"])
def test_random_biases_move_a_resting_gate_only_a_little(text: str) -> None:
    gate = block(text).gate(torch.zeros(2, CHANNELS, 4, 4))
    assert gate.mean().item() == pytest.approx(block(text).rest, rel=0.2)


@pytest.mark.parametrize("text", TEXTS)
def test_the_gain_multiplies_what_comes_out(text: str) -> None:
    x = maps(5, 4)
    torch.testing.assert_close(block(text, gain=2.5)(x), 2.5 * block(text)(x))


@pytest.mark.parametrize("text", TEXTS)
def test_the_checkpoint_holds_weights_and_batch_statistics_only(text: str) -> None:
    layer = block(text)
    buffers = layer.state_dict().keys() - dict(layer.named_parameters()).keys()
    assert {name.rpartition(".")[2] for name in buffers} <= {"running_mean", "running_var", "num_batches_tracked"}
    other = trained(text)
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(other.eval()(maps(4, 4)), layer.eval()(maps(4, 4)))


@pytest.mark.parametrize("text", TEXTS)
def test_the_factory_sets_the_dtype_of_every_tensor(text: str) -> None:
    design = AttentionDesign.parse(text)
    sources = ((8,),) if text.startswith("ba") else ()
    layer = BLOCKS[design.squeeze](design, CHANNELS, *sources, device="meta", dtype=torch.float64)
    tensors = [t for name, t in layer.state_dict().items() if not name.endswith("num_batches_tracked")]
    assert {(t.device.type, t.dtype) for t in tensors} <= {("meta", torch.float64)}


# what is executed elementwise, and so not seen by fvcore, for 16 maps of 5 x 6
_ELEMENTS = CHANNELS * 5 * 6
UNSEEN = {
    "simam": _ELEMENTS,  # squares of the deviations
    "sge-g4": _ELEMENTS,  # the map times its averages
    "cat-r4": 10 * _ELEMENTS + 2 * _ELEMENTS,  # a separable blur of 5 + 5 taps; p log p over positions, over channels
    "wavenet-ae-r4": 2 * CHANNELS * 6 * 6,  # a half for each coefficient there and back; 5 rows are padded to 6
}


@pytest.mark.parametrize("text", TEXTS)
def test_multiply_accumulates_are_those_fvcore_counts_and_the_elementwise_products(text: str) -> None:
    """Oracle: fvcore's convolutions, linear layers and matrix products of one image, plus a hand count."""
    layer, design = trained(text).eval(), AttentionDesign.parse(text)
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    with torch.no_grad():
        found = FlopCountAnalysis(layer, (maps(5, 6, 1),)).unsupported_ops_warnings(False).by_operator()
    counted = sum(found[name] for name in ("conv", "linear", "matmul", "bmm", "addmm"))
    macs = (
        Bridge.macs(design, CHANNELS, 5, 6, ()) if text.startswith("ba") else type(layer).macs(design, CHANNELS, 5, 6)
    )
    assert macs == counted + UNSEEN.get(text, 0)
    assert set(found) - {"conv", "linear", "matmul", "bmm", "addmm"} <= {"batch_norm", "group_norm"}


@pytest.mark.parametrize("channels", [8, 24, 320])
@pytest.mark.parametrize("text", TEXTS)
def test_the_closed_form_counts_the_parameters(text: str, channels: int) -> None:
    layer, design = block(text, channels), AttentionDesign.parse(text)
    counted = sum(parameter.numel() for parameter in layer.parameters())
    closed = Bridge.params(design, channels, ()) if text.startswith("ba") else type(layer).params(design, channels)
    assert closed == counted
