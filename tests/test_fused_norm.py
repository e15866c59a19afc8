"""A fused block gives what its modules give. The oracle is the chain of modules themselves, in float64."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from timm.models.resnet import BasicBlock
from torch import Tensor, nn

from search_space import NONE, PRESETS, AttentionDesign, Space, build
from search_space.bases import is_linear
from search_space.module import Attention
from search_space.squeeze import squeeze_only
from trainers.backbones import backbone
from trainers.cifar_resnet import CifarResNet
from trainers.fuse import fuse
from trainers.fused_kernels import MOST_ROWS, compiled, plainly
from trainers.fused_native import native
from trainers.fused_norm import folds, norm_gate_add, normalises
from trainers.small_shapes import Shape

C = 32


def squeezes() -> list[AttentionDesign]:
    """Of the default space one design for every squeeze that a fused block can take in."""
    found = {squeeze_only(design): design for design in Space().distinct() if not design.is_block and design != NONE}
    return [design for design in found.values() if folds(build(design, 64))]


FOLDED = squeezes()
GATES = ["mlp-r4", "mlp-r4-bias-add", "conv1d-k3", "affine", "fc-bias-hard", "pfca", "gated", "gaussian"]


def layers(design: AttentionDesign, *, train: bool, **options: Any) -> tuple[nn.BatchNorm2d, Attention]:
    """In float64, with weights and statistics that are no special case."""
    generator = torch.Generator().manual_seed(1)
    norm, gate = nn.BatchNorm2d(C, dtype=torch.float64), build(design, C, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in (*norm.parameters(), *gate.parameters()):
            parameter.copy_(torch.rand(parameter.shape, generator=generator, dtype=torch.float64) - 0.3)
        norm.running_mean.copy_(torch.rand(C, generator=generator))
        norm.running_var.copy_(torch.rand(C, generator=generator) + 0.5)
    assert isinstance(gate, Attention)
    return norm.train(train), gate.train(train)


def maps(*shape: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(sum(shape))
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) + 0.4 for _ in range(3)]


def both_ways(norm: nn.BatchNorm2d, gate: Attention | None, y: Tensor, skip: Tensor | None, weights: Tensor) -> None:
    """Asserts that values, gradients and statistics are those of the modules in a row."""
    found = []
    for is_fused in (False, True):
        one, other = copy.deepcopy(norm), copy.deepcopy(gate)
        inputs = [None if x is None else x.clone().requires_grad_() for x in (y, skip)]
        if is_fused:
            out = norm_gate_add(inputs[0], one, other, inputs[1])
        else:
            normalised = one(inputs[0])
            gated = normalised if other is None else other(normalised)
            out = (gated if inputs[1] is None else gated + inputs[1]).relu()
        (out * weights).sum().backward()
        leaves = [x for x in (*inputs, *one.parameters(), *(other.parameters() if other else ())) if x is not None]
        found.append([out.detach(), *(leaf.grad for leaf in leaves), *one.buffers()])
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("design", FOLDED, ids=str)
@pytest.mark.parametrize(("shape", "train"), [((3, C, 7, 5), True), ((1, C, 9, 8), True), ((2, C, 7, 7), False)])
def test_every_squeeze_that_sums_over_pixels_tell_commutes_with_the_normalisation(design, shape, train):
    """Odd sizes, a batch of one, eval mode."""
    norm, gate = layers(design, train=train)
    y, skip, weights = maps(*shape)
    both_ways(norm, gate, y, skip, weights)


def test_every_linear_squeeze_of_the_space_is_folded():
    linear = {squeeze_only(d) for d in Space().distinct() if d != NONE and not d.is_block and is_linear(d)}
    few = {design for design in linear if not (design.each and design.numbers > MOST_ROWS)}
    assert few <= {squeeze_only(design) for design in FOLDED} and len(few) > 60


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("squeeze", ["avg", "dct-low2-each"])
@pytest.mark.parametrize("options", [{}, {"scale": "paper", "gate_start": "identity"}], ids=["unit", "paper"])
def test_every_gate_is_taken_in_whatever_it_is_made_of(squeeze, gate, options):
    if squeeze != "avg" and gate in ("conv1d-k3", "affine", "pfca", "gated", "gaussian"):
        squeeze = "dct-low2"
    norm, layer = layers(AttentionDesign.parse(f"{squeeze}/{gate}"), train=True, **options)
    both_ways(norm, layer, *maps(3, C, 5, 4))


def test_a_gate_with_a_batch_norm_of_its_own_learns_its_statistics_once():
    norm, gate = layers(PRESETS["srm"], train=True)
    y, skip, _ = maps(4, C, 5, 5)
    plain, fused = (copy.deepcopy((norm, gate)) for _ in range(2))
    plain[1](plain[0](y))
    norm_gate_add(y, *fused, skip)
    for theirs, ours in zip(plain[1].buffers(), fused[1].buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("text", [None, "avg+std/mlp-r4", "haar-d2-all-each/mlp-r4"])
def test_gradients_are_those_of_finite_differences(text, relu, train, skip):
    generator = torch.Generator().manual_seed(3)
    channels = 4
    norm = nn.BatchNorm2d(channels, dtype=torch.float64).train(train)
    gate = None if text is None else build(AttentionDesign.parse(text), channels, dtype=torch.float64)
    y = torch.randn(2, channels, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    add = torch.randn(2, channels, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True) if skip else None
    weights = [*norm.parameters(), *([] if gate is None else gate.parameters())]
    with torch.no_grad():
        for weight in weights:
            weight.copy_(torch.rand(weight.shape, generator=generator, dtype=torch.float64) + 0.2)

    def run(*_: Tensor | None) -> Tensor:
        frozen = copy.deepcopy(norm)  # its statistics must not move between two differences
        frozen._parameters.update(norm._parameters)
        return norm_gate_add(y, frozen, gate, add, relu=relu)

    assert torch.autograd.gradcheck(run, (y, *([add] if skip else []), *weights))


@pytest.mark.parametrize("run", [plainly, native])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=["NHWC", "NCHW"])
@pytest.mark.parametrize("text", ["none", "avg/mlp-r4", "dct-low2-each/mlp-r4", "energy/mlp-r4"])
def test_in_bfloat16_it_is_as_near_to_the_exact_block_as_the_modules_are(text, layout, run):
    """The modules round in between, the fused block at its end: its error may be 1.25 times theirs, and half a unit in
    the last place (2^-9) of the largest value."""
    design = AttentionDesign.parse(text)
    norm, gate = nn.BatchNorm2d(C), build(design, C)
    generator = torch.Generator().manual_seed(5)
    y, skip, weights = (torch.randn(8, C, 9, 9, generator=generator).bfloat16().to(memory_format=layout) for _ in "123")

    def trained(dtype: torch.dtype, *, is_fused: bool) -> list[Tensor]:
        one, other = copy.deepcopy((norm, gate))
        if dtype == torch.float64:
            one, other = one.double(), other.double()
        x, add = (tensor.to(dtype, copy=True).requires_grad_() for tensor in (y, skip))
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            if is_fused:
                out = norm_gate_add(x, one, other if isinstance(other, Attention) else None, add, run=run)
            else:
                out = (other(one(x)) + add).relu()
        out.backward(weights.to(dtype))
        assert out.dtype == dtype and out.is_contiguous(memory_format=layout)
        return [out.double(), x.grad.double(), *(p.grad.double() for p in (*one.parameters(), *other.parameters()))]

    exact = trained(torch.float64, is_fused=False)
    ours, theirs = trained(torch.bfloat16, is_fused=True), trained(torch.bfloat16, is_fused=False)
    for true, fused, plain in zip(exact, ours, theirs, strict=True):
        allowed = 1.25 * (plain - true).abs().max() + 2**-9 * true.abs().max()
        assert (fused - true).abs().max() <= allowed


@pytest.mark.parametrize("run", [plainly, native])
def test_squares_lose_no_digits_where_the_mean_is_large(run):
    """float32, channels at a thousand standard deviations from zero, after statistics were learned."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(16, C, 8, 8, generator=generator) + 1000
    norm = nn.BatchNorm2d(C)
    norm.running_mean.fill_(999.0)
    exact = copy.deepcopy(norm).double()(y.double()).float()
    torch.testing.assert_close(norm_gate_add(y, norm, relu=False, run=run), exact, rtol=1e-3, atol=2e-3)


def bottlenecks(num_classes: int) -> nn.Module:
    return CifarResNet(Shape(depths=(1, 2), widths=(8, 16), is_bottleneck=True), num_classes)


@pytest.mark.parametrize("name", ["resnet8", "test_fused_norm:bottlenecks"])
@pytest.mark.parametrize(
    "text", ["none", "avg/mlp-r2", "max/mlp-r2", "avg/mlp-r2-add", "avg/affine@mid", "simam", "ba-r4", "seresnet"]
)
def test_a_fused_network_is_the_same_network(name, text):
    """What a fused block can't take in runs as it did, `ba`'s bridge hears all it heard."""
    if text == "seresnet":
        name, text = ("resnet18" if name == "resnet8" else "seresnet18"), "avg/mlp-r2"
    torch.manual_seed(0)
    plain = backbone(name, AttentionDesign.parse(text), num_classes=3).double()
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    fused = copy.deepcopy(plain)
    number = fuse(fused, plainly)
    assert number > 0 and list(fused.state_dict()) == list(plain.state_dict())
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64) if "resnet18" not in name else torch.randn(2, 3, 64, 64).double()
    grads = []
    for net in (plain, fused):
        out = net(x)
        out.square().sum().backward()
        grads.append([out, *(p.grad for p in net.parameters()), *net.buffers()])
    for theirs, ours in zip(*grads, strict=True):
        assert (ours - theirs).abs().max() <= 1e-9 * (1 + theirs.abs().max())
    with torch.inference_mode():
        torch.testing.assert_close(fused.eval()(x), plain.eval()(x))


def test_every_batch_norm_of_a_proxy_network_runs_fused():
    net = backbone("resnet20", AttentionDesign.parse("avg/mlp-r4"), num_classes=3)
    fuse(net, plainly)
    seen = []

    def run(kernel: Any, *arguments: Any) -> Any:
        seen.append(kernel.__name__)
        return kernel(*arguments)

    for module in net.modules():
        if hasattr(module, "run"):
            module.run = run
    net(torch.randn(2, 3, 32, 32))
    norms = sum(normalises(module) for module in net.modules())
    assert seen.count("normalise") + seen.count("listen") == norms == 21 and seen.count("listen") == 9


def test_the_compiled_passes_give_what_the_plain_ones_give():
    """One residual block: a batch norm with ReLU alone, one with a gate and a shortcut."""
    torch.manual_seed(0)
    block = BasicBlock(8, 8, attn_layer=AttentionDesign.parse("dct-low2-each/mlp-r2").layer)
    x = torch.randn(4, 8, 8, 8)
    found = []
    for run in (plainly, native, compiled):
        one = copy.deepcopy(block)
        assert fuse(one, run) == 1
        out = one(x)
        out.square().sum().backward()
        found.append([out, *(p.grad for p in one.parameters()), *one.buffers()])
    for plain, *others in zip(*found, strict=True):
        for ours in others:
            torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5 * max(1, plain.abs().max().item()))


def test_one_value_a_channel_is_refused_as_pytorch_refuses_it():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        norm_gate_add(torch.randn(1, C, 1, 1), nn.BatchNorm2d(C))
