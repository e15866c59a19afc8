"""What leaves Python says what it says here: torch.compile, torch.export and ONNX, in float32.

Three designs by default, all of them with `make test-all` (marker `all_presets`): a compilation takes seconds.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout

import onnxruntime
import pytest
import torch
from test_laws_subjects import maps, trained
from torch import Tensor, nn
from torch._inductor import config as inductor

from search_space import NONE, PRESETS
from trainers import backbone

ABSOLUTE = 1e-5  # of outputs near 1: some tens of float32 roundings
QUICK = ["eca", "fca-ts", "sge"]
# kinds of the space that no preset has
GROUP_ENERGIES = "haar-d2-all-energy/mlp-r16"
KINDS = ["haar-d1-all-each/conv1d", "sym4-d2-details-energy-each/mlp-r8", GROUP_ENERGIES, "entropy/cfc"]
OTHERS = [name for name, design in PRESETS.items() if design != NONE and name not in QUICK] + KINDS
NAMES = [*QUICK, *(pytest.param(name, marks=pytest.mark.all_presets) for name in OTHERS)]
# dynamo tells of hooks that remember what they heard; the bridge's forget it in the same forward pass
HEARING = "ignore:While compiling, we found certain side effects:UserWarning"

needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="torch.compile on a CPU needs a C++ compiler"
)


@pytest.fixture(autouse=True)
def fresh_dynamo() -> Iterator[None]:
    torch._dynamo.reset()
    with inductor.patch(compile_threads=1):  # no worker processes that outlive a test
        yield


def same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=ABSOLUTE, rtol=0)


def outcome(layer: nn.Module, parameters: list[nn.Parameter]) -> list[Tensor]:
    """Output, and gradients of the map and of all parameters."""
    x = maps(9, 8).requires_grad_()
    y = layer(x)
    reached = torch.autograd.grad(y.square().mean(), [x, *parameters], allow_unused=True)
    return [y, *(gradient for gradient in reached if gradient is not None)]


@needs_compiler
@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_layer_has_the_outputs_and_gradients_of_the_layer(name: str) -> None:
    """In one graph, in evaluation and in training."""
    layer = trained(name)
    parameters, compiled = list(layer.parameters()), torch.compile(layer, fullgraph=True)
    for training in (False, True):
        layer.train(training)
        found, expected = outcome(compiled, parameters), outcome(layer, parameters)
        if not training:
            same(found[0], expected[0])
        # a batch norm over two images magnifies roundings
        torch.testing.assert_close(found, expected, atol=ABSOLUTE, rtol=1e-4)


def exported(net: nn.Module, x: Tensor, *, strict: bool = False) -> torch.export.ExportedProgram:
    """At a fixed image size, for any batch."""
    batch = torch.export.Dim("batch", min=1)
    return torch.export.export(net.eval(), (x,), dynamic_shapes=({0: batch},), strict=strict)


def in_onnxruntime(net: nn.Module, example: Tensor, x: Tensor) -> Tensor:
    """What ONNX Runtime says of `x`, having never seen Python; exported with `example`."""
    batch = torch.export.Dim("batch")
    with redirect_stdout(io.StringIO()):  # the exporter reports its steps
        program = torch.onnx.export(net.eval(), (example,), dynamic_shapes=({0: batch},), dynamo=True, verbose=False)
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])


@pytest.mark.filterwarnings(HEARING)
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_an_exported_layer_takes_any_batch(name: str, strict: bool) -> None:
    layer = trained(name)
    program = exported(layer, maps(9, 8, batch=2), strict=strict).module()
    for batch in (1, 3):
        same(program(maps(9, 8, batch)), layer(maps(9, 8, batch)))


@pytest.mark.parametrize("name", NAMES)
def test_onnx_runtime_says_what_the_layer_says_of_another_batch(name: str) -> None:
    layer = trained(name)
    same(in_onnxruntime(layer, maps(9, 8, batch=2), maps(9, 8, batch=3)), layer(maps(9, 8, batch=3)).detach())


def network(name: str) -> nn.Module:
    """A ResNet-8 that takes part in full: no gate at its start, batch statistics of a training step."""
    torch.manual_seed(0)
    net = backbone("resnet8", PRESETS[name], num_classes=10)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
        net.train()(images(4))
    return net.eval()


def images(batch: int) -> Tensor:
    return torch.randn(batch, 3, 16, 16, generator=torch.Generator().manual_seed(batch))


@pytest.mark.parametrize("name", ["fca-ts", "ba"])
def test_a_network_exports_and_onnx_runtime_says_what_it_says(name: str) -> None:
    net = network(name)
    expected = net(images(3)).detach()
    same(exported(net, images(2)).module()(images(3)), expected)
    same(in_onnxruntime(net, images(2), images(3)), expected)
    assert expected.std() > 0.01  # not what a dead network says of every image


@pytest.mark.parametrize("name", ["eca", "fca-ts"])
def test_a_network_with_several_attentions_compiles(name: str) -> None:
    """In one graph, without a compiler behind it: what is proved is that the graph can be made."""
    net = network(name)
    same(torch.compile(net, fullgraph=True, backend="aot_eager")(images(2)), net(images(2)))


@pytest.mark.parametrize("name", ["fca-ts", "wavenet-c", "fca-nas", GROUP_ENERGIES])
def test_a_compiled_layer_takes_maps_of_other_sizes(name: str) -> None:
    layer = trained(name)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for size in (8, 10, 12):
        same(compiled(maps(size, size)), layer(maps(size, size)))
