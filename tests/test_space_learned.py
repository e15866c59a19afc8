"""Learned frequencies: a relaxed choice per channel group, and what `settle` writes back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_space_oracles import random_maps, trained
from torch import nn
from torch.nn import functional as F

from search_space import AttentionDesign, build, settle
from search_space.bases import basis
from search_space.frequencies import frequency_list

GRID = [(u, v) for u in range(7) for v in range(7)]
CERTAIN = 1e4  # logits so far apart that softmax is exactly 0 and 1


@torch.no_grad()
def decide(layer: nn.Module, chosen: list[int], logit: float = CERTAIN) -> None:
    """One-hot logits: group g chooses frequency chosen[g]."""
    logits = layer.pooling.logits  # type: ignore[union-attr]
    logits.zero_()  # type: ignore[operator]
    for group, index in enumerate(chosen):
        logits[group, index] = logit  # type: ignore[operator]


def listed(chosen: list[int]) -> str:
    return "at" + ".".join(f"{GRID[i][0]}{GRID[i][1]}" for i in chosen)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 48), min_size=1, max_size=8), st.sampled_from([(7, 7), (8, 9), (4, 3), (1, 1)]))
def test_decided_logits_are_the_explicit_list_of_frequencies(chosen: list[int], size: tuple[int, int]) -> None:
    x = random_maps(13, *size)
    for scale in ("unit", "paper"):
        learned = build(AttentionDesign.parse(f"dct-learned{len(chosen)}/fc"), 13, dtype=torch.float64, scale=scale)
        decide(learned, chosen)
        fixed = build(AttentionDesign.parse(f"dct-{listed(chosen)}/fc"), 13, dtype=torch.float64, scale=scale)
        torch.testing.assert_close(learned.squeeze(x), fixed.squeeze(x), rtol=0, atol=1e-11)  # type: ignore[operator]


def test_undecided_logits_are_the_softmax_mixture_of_all_forty_nine_rows() -> None:
    """Oracle: sum over frequencies of p_f <row_f, x_c>, p the softmax of 49 logits, as a loop over groups."""
    layer = trained("dct-learned3/fc", 12)
    x = random_maps(12, 7, 8)
    rows = torch.from_numpy(basis(AttentionDesign.parse("dct-" + listed(list(range(32))) + "/fc"), 7, 8))
    rest = torch.from_numpy(basis(AttentionDesign.parse("dct-" + listed(list(range(32, 49))) + "/fc"), 7, 8))
    rows = torch.cat([rows, rest])
    shares = (49 * layer.pooling.logits).softmax(1)  # type: ignore[union-attr, operator]
    expected = torch.stack(
        [(x[:, c] * (shares[c // 4][:, None, None] * rows).sum(0)).sum((1, 2)) for c in range(12)], 1
    )
    torch.testing.assert_close(layer.squeeze(x)[..., 0], expected, rtol=0, atol=1e-11)  # type: ignore[operator]


def test_a_fresh_selection_prefers_no_frequency_and_its_logits_learn() -> None:
    layer = build(AttentionDesign.parse("dct-learned4/fc"), 16, dtype=torch.float64)
    logits = layer.pooling.logits  # type: ignore[union-attr]
    assert logits.shape == (4, 49) and bool((logits == 0).all())  # type: ignore[union-attr]
    layer(random_maps(16, 7, 7)).square().sum().backward()
    assert bool((logits.grad != 0).any())  # type: ignore[union-attr]


class Network(nn.Module):
    """A learned design, one without a choice, and a learned one, each behind a convolution."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolutions = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1).double() for _ in texts)
        self.attentions = nn.ModuleList(build(AttentionDesign.parse(text), 16, dtype=torch.float64) for text in texts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for convolution, attention in zip(self.convolutions, self.attentions, strict=True):
            x = attention(convolution(x))
        return x


LEARNED = ["dct-learned4/mlp-r4", "avg/conv1d", "dct-learned2/cfc@mid"]


def test_settle_writes_back_what_the_argmax_says_in_the_order_of_the_network() -> None:
    net = Network(LEARNED)
    decide(net.attentions[0], [3, 3, 48, 0], 0.01)
    decide(net.attentions[2], [13, 7], 0.01)
    settled = [str(design) for design in settle(net)]
    assert settled == ["dct-at03.03.66.00/mlp-r4", "avg/conv1d", "dct-at16.10/cfc@mid"]


def test_a_network_of_the_written_back_designs_gives_the_same_output_in_the_limit() -> None:
    net = Network(LEARNED)
    x = random_maps(16, 9, 7)
    written = None
    for logit in (0.02, 0.2, CERTAIN):
        decide(net.attentions[0], [3, 3, 48, 0], logit)
        decide(net.attentions[2], [13, 7], logit)
        texts = [str(design) for design in settle(net)]
        assert written in (None, texts)
        written = texts
        fixed = Network(texts)
        kept = {name: value for name, value in net.state_dict().items() if "logits" not in name}
        fixed.load_state_dict(kept)  # strict: nothing but the logits is gone
        difference = float((fixed.eval()(x) - net.eval()(x)).abs().max().detach())
    assert difference < 1e-9
    decide(net.attentions[0], [3, 3, 48, 0], 0.02)
    assert (fixed(x) - net(x)).abs().max() > 1e-6  # before the limit it is another network


@pytest.mark.parametrize(
    "texts", [["dct-learned4/mlp-r4@before-norm", "simam"], ["ema-g8", "dct-learned4/mlp-r4", "cbam-r4"]]
)
def test_settle_has_a_design_for_every_place_blocks_too(texts: list[str]) -> None:
    """A layered design may mix blocks and learned squeezes; what is written back must fit the same places."""
    settled = [str(design) for design in settle(Network(texts))]
    assert [text.partition("-at")[0] for text in settled] == [text.partition("-learned")[0] for text in texts]


@pytest.mark.parametrize("weight_decay", [0.0, 5e-4])
def test_a_frequency_that_alone_tells_the_classes_apart_is_learned(weight_decay: float) -> None:
    """Oracle: the data. Noise of mean 1 plus the DCT's (2, 1), whose sign is the class; nothing else differs."""
    torch.manual_seed(0)
    row = torch.from_numpy(np.outer(dct(2), dct(1))).float()
    attention, head = build(AttentionDesign.parse("dct-learned4/mlp-r4"), 16), nn.Linear(16, 2)
    weights = [*attention.parameters(), *head.parameters()]
    optimiser = torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=weight_decay)
    for _ in range(300):
        labels = torch.randint(0, 2, (64,))
        signs = (2 * labels - 1).float()[:, None, None, None]
        loss = F.cross_entropy(
            head(attention(1 + torch.randn(64, 16, 8, 8) / 2 + 2 * signs * row).mean((2, 3))), labels
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    [settled] = settle(attention)
    assert frequency_list(settled.selection).count((2, 1)) >= 2
    assert attention.pooling.probabilities().max() > 0.9


def dct(frequency: int) -> np.ndarray:
    """[8] cosine of the orthonormal DCT-II, times sqrt(8)."""
    return np.sqrt(2) * np.cos(np.pi * frequency * (np.arange(8) + 0.5) / 8)
