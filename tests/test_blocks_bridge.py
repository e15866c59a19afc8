"""The bridge: what it hears of a residual block, in which order, and what it forgets."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from search_space.blocks.bridge import Bridge
from search_space.design import AttentionDesign
from search_space.errors import DesignError

DESIGN = AttentionDesign.parse("ba-r4")


class Residual(nn.Module):
    """A bottleneck whose earlier convolutions are heard after their ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.act1 = nn.Conv2d(16, 4, 1), nn.ReLU()
        self.conv2, self.act2 = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()
        self.conv3 = nn.Conv2d(4, 16, 1)
        self.attention = Bridge(DESIGN, 16, (4, 4))
        for act in (self.act1, self.act2):
            act.register_forward_hook(self.attention.hear)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attention(self.conv3(self.act2(self.conv2(self.act1(self.conv1(x))))))


def residual(seed: int = 0) -> Residual:
    torch.manual_seed(seed)
    return Residual()


def test_the_gate_is_the_equation_over_all_convolutions() -> None:
    """Oracle: h_i = BN(W_i GAP(u_i)), gate = sigmoid(W relu(h_1 + h_2 + h_3)) in NumPy, evaluation mode."""
    block = residual().eval()
    for tensor in block.attention.buffers():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    with torch.no_grad():
        x = torch.randn(3, 16, 5, 4)
        u1 = block.act1(block.conv1(x))
        u2 = block.act2(block.conv2(u1))
        u3 = block.conv3(u2)
        block.attention._heard.sources.clear()
        found = block(x)
    weights = {name: tensor.numpy() for name, tensor in block.attention.state_dict().items()}
    total = np.zeros((3, 4))
    for i, u in enumerate((u1, u2, u3)):
        h = u.numpy().mean((2, 3)) @ weights[f"bridges.{i}.0.weight"].T
        norm = [weights[f"bridges.{i}.1.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        total += (h - norm[0]) / np.sqrt(norm[1] + 1e-5) * norm[2] + norm[3]
    gate = 1 / (1 + np.exp(-np.maximum(total, 0) @ weights["expand.weight"].T))
    np.testing.assert_allclose(found.numpy(), x.numpy() + u3.numpy() * gate[..., None, None], atol=1e-5)


def test_every_source_reaches_the_gate_and_learns() -> None:
    block = residual()
    block(torch.randn(4, 16, 5, 4)).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in block.parameters())


def test_a_copied_or_pickled_block_hears_its_own_convolutions() -> None:
    block, x = residual().eval(), torch.randn(2, 16, 3, 3)
    expected = block(x)
    for twin in (copy.deepcopy(block), pickle.loads(pickle.dumps(block))):
        nn.init.zeros_(block.conv1.weight)  # the original's convolutions are none of the twin's business
        torch.testing.assert_close(twin(x), expected)
        assert twin.act1._forward_hooks.popitem()[1].__self__ is twin.attention
        block = twin


def test_nothing_of_a_forward_pass_stays_or_is_copied() -> None:
    block = residual()
    block(torch.randn(2, 16, 3, 3))
    assert block.attention._heard.sources == []
    block.act1(torch.randn(2, 4, 3, 3, requires_grad=True) * 1)  # heard, and never gated
    assert len(block.attention._heard.sources) == 1
    assert copy.deepcopy(block).attention._heard.sources == []  # a tensor of the graph could not be copied at all


def test_an_aborted_forward_is_forgotten_by_the_next() -> None:
    """Aborted after one and after both of two sources of the same width, which the width alone would not betray."""
    block, x = residual().eval(), torch.randn(2, 16, 3, 3)
    expected = block(x)
    block.act1(torch.full((2, 4, 3, 3), 9.0))
    torch.testing.assert_close(block(x), expected)
    block.act1(torch.full((2, 4, 3, 3), 9.0))
    block.act2(torch.full((2, 4, 3, 3), 9.0))
    torch.testing.assert_close(block(x), expected)


def test_a_source_out_of_order_is_refused_and_forgotten() -> None:
    bridge = Bridge(DESIGN, 16, (4, 8)).eval()
    with pytest.raises(RuntimeError, match=r"heard 8 channels as source 1; expected sources of \(4, 8\) channels"):
        bridge.hear(nn.Identity(), None, torch.zeros(2, 8, 3, 3))
    for channels in (4, 8):
        bridge.hear(nn.Identity(), None, torch.zeros(2, channels, 3, 3))
    with pytest.raises(RuntimeError, match="heard 8 channels as source 3"):
        bridge.hear(nn.Identity(), None, torch.zeros(2, 8, 3, 3))
    with pytest.raises(RuntimeError, match="heard 0 of 2 sources before the gated map"):
        bridge(torch.zeros(2, 16, 3, 3))


def test_a_batch_of_one_trains_nowhere_and_evaluates_everywhere() -> None:
    block, x = residual(), torch.randn(1, 16, 3, 3)
    with pytest.raises(DesignError, match="batch of one in training"):
        block(x)
    assert block.attention._heard.sources == []
    assert block.eval()(x).shape == x.shape


@pytest.mark.parametrize("sources", [(64,), (16, 16)])
def test_the_closed_forms_count_every_source(sources: tuple[int, ...]) -> None:
    """Oracles: numel, and fvcore's linear layers of the bridge with its sources already heard."""
    bridge = Bridge(DESIGN, 64, sources).eval()
    assert Bridge.params(DESIGN, 64, sources) == sum(parameter.numel() for parameter in bridge.parameters())
    with torch.no_grad():
        linears = [(module, torch.zeros(1, module.in_features)) for module in bridge.modules() if _linear(module)]
        counted = sum(FlopCountAnalysis(module, (z,)).total() for module, z in linears)
    assert Bridge.macs(DESIGN, 64, 7, 7, sources) == counted


def _linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)


def test_threads_may_share_a_bridged_network() -> None:
    """Oracle: one thread alone. Evaluation mode: every forward pass is a function of its map."""
    block = residual().eval()
    x = torch.randn(8, 16, 16, 16)
    with torch.no_grad():
        expected = [block(image) for image in x.split(1)]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda i: torch.no_grad()(block)(x[i : i + 1]), [i % 8 for i in range(200)]))
    assert all(torch.equal(y, expected[i % 8]) for i, y in enumerate(found))
