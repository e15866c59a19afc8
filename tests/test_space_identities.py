"""The key against brute force: two keys are two functions, over the whole default space and one of other spellings.

A design's function is its gate over all weights. So two designs of one excitation (reduction, kernel) are one function
if what the first weights can reach from their squeezed numbers is the same set, at every site:

- span: any mixture of the numbers of one channel, channel by channel (mlp, fc, cfc, gated; with biases a constant too);
- kernel: any mixture of the numbers of one channel, the same in all channels (conv1d);
- sum: the numbers in any order, up to one sign a channel (mlp-shared, mlp-mixed);
- compared: deviations from the mean over all channels, up to a common sign, which is squared (pfca, gaussian);
- standardised: deviations within channel groups, up to a sign a channel (affine-g).

The set is recorded as what is left of fixed probes after projection on it, from squeezed values of fixed random maps:
more maps than numbers, so equal projections mean equal sets. No rule of `canonical` is used. That designs of one key
are one function is proved a second time, by carried-over weights, in test_space_carried_weights.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from test_space_oracles import random_maps

from search_space import AttentionDesign, Space, build

# 18 channels in 3 groups of 6, 4 bands over them: the groups of affine-g straddle bands
SITES = ((16, 16, 16), (18, 7, 9), (32, 8, 8))
MAPS = 20  # more than the 16 numbers a channel that a design squeezes at most, plus one
KINDS = {
    "mlp": "span",
    "mlp-bias": "span+1",
    "mlp-ln-bias-add": "span+1",
    "mlp-shared": "sum",
    "mlp-shared-bias": "sum",
    "mlp-mixed": "sum",
    "conv1d": "kernel",
    "conv1d-bias": "kernel+1",
    "affine": "span+1",
    "affine-g64": "standardised",
    "cfc": "span+1",
    "fc": "span",
    "fc-bias-hard": "span+1",
    "pfca": "compared",
    "gated": "span",
    "gaussian": "compared",
}
OTHER_SPELLINGS = Space(
    squeeze=("avg+std", "std+avg", "skew+avg+max", "avg+max+skew", "std", "avg", "recursive", "dct", "wavelet"),
    excitation=("mlp", "mlp-shared", "conv1d", "affine-g64", "fc", "cfc", "gated", "gaussian"),
    reduction=(4,),
    kernel=("adaptive",),
    frequencies=(
        *("low1", "top1", "bottom1", "low2", "top2", "top3", "low3", "at00", "at00.00.00", "at00.01", "at01.00"),
        *("at00.00.01.01", "at00.01.00.01", "at00.00.01", "at00.01.60", "at60.01.00", "at00.01.01.60", "at66"),
    ),
    depth=(1, 2),
    bands=("coarse1", "coarse2", "coarse3", "coarse4", "details", "all"),
)
SPACES = {"default": Space(), "other spellings": OTHER_SPELLINGS}
Array = NDArray[np.float64]
Found = dict[str, dict[int, list[AttentionDesign]]]


@cache
def squeezed(squeeze: str, site: tuple[int, int, int]) -> Array:
    """[MAPS, C, K]. The gate has no part in it; fc takes any number of numbers."""
    torch.manual_seed(0)  # context has weights
    layer = build(AttentionDesign.parse(f"{squeeze}/fc"), site[0], dtype=torch.float64)
    with torch.no_grad():
        values: Array = layer.squeeze(random_maps(*site, images=MAPS)).numpy()  # type: ignore[operator]
    return values


def projected_probe(columns: Array) -> Array:
    """[..., N, K] -> [..., N]: projection of one fixed vector on the span of the K columns."""
    probe = np.cos(np.arange(columns.shape[-2]) ** 2.0)
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    left = left * (sizes > 1e-9 * sizes.max(-1, keepdims=True))[..., None, :]
    return (left @ (np.swapaxes(left, -1, -2) @ probe)[..., None])[..., 0]


def with_constant(columns: Array) -> Array:
    return np.concatenate([columns, np.ones((*columns.shape[:-1], 1))], -1)


def summed(values: Array) -> Array:
    """sum_k relu(P z_k) for a fixed P, after the sign and size of each channel are set by what no order changes."""
    power = (values**3).sum((0, 2))
    values = values * np.sign(power)[:, None] / np.abs(values).max((0, 2))[:, None]
    weights = np.random.default_rng(0).normal(size=(8, values.shape[1]))
    return np.maximum(np.einsum("hc,nck->nkh", weights, values), 0).sum(1).reshape(-1)


def absorbed(kind: str, values: Array) -> Array:
    """What a gate can tell of the squeezed values [MAPS, C, K], as a vector."""
    maps, channels, numbers = values.shape
    if kind == "sum":
        return summed(values)
    if kind == "compared":
        deviation = (values[..., 0] - values[..., 0].mean(1, keepdims=True)).reshape(-1)
        return deviation * np.sign(deviation[0]) / np.abs(deviation).max()
    if kind == "standardised":
        groups = max(g for g in range(1, min(64, channels // 4) + 1) if channels % g == 0)
        grouped = values.reshape(maps, groups, -1)
        spread = np.sqrt(grouped.var(2, keepdims=True) + 1e-5)
        values = ((grouped - grouped.mean(2, keepdims=True)) / spread).reshape(maps, channels, 1)
        return projected_probe(with_constant(np.swapaxes(values, 0, 1))).reshape(-1)
    columns = values.reshape(maps * channels, numbers) if kind.startswith("kernel") else np.swapaxes(values, 0, 1)
    return projected_probe(with_constant(columns) if kind.endswith("+1") else columns).reshape(-1)


@cache
def function_of(squeeze: str, kind: str) -> Array:
    return np.concatenate([absorbed(kind, squeezed(squeeze, site)) for site in SITES])


def halves(design: AttentionDesign) -> tuple[str, str, str]:
    """(squeeze, gate, kind of the gate)."""
    squeeze, _, gate = str(design).partition("/")
    family = "-".join(word for word in gate.split("-") if word[0] not in "rk" or not word[1:].isdigit())
    return squeeze, gate, KINDS[family]


@cache
def functions(name: str) -> Found:
    """Gate text -> number of the function -> the designs that are this function."""
    number_of: dict[tuple[str, str], int] = {}  # (kind, squeeze)
    known: dict[str, list[Array]] = defaultdict(list)
    found: Found = defaultdict(lambda: defaultdict(list))
    for design in SPACES[name].designs():
        if design.squeeze == "none":
            continue
        squeeze, gate, kind = halves(design)
        if (kind, squeeze) not in number_of:
            number_of[kind, squeeze] = number(function_of(squeeze, kind), known[kind], f"{squeeze} {kind}")
        found[gate][number_of[kind, squeeze]].append(design)
    return found


def number(vector: Array, known: list[Array], what: str) -> int:
    """Its place in the list of functions met, to which it is added if it is new."""
    distances = np.abs(np.array(known) - vector).max(1) if known else np.empty(0)
    # far from deciding: what is equal is equal to rounding, what is not differs visibly
    assert not ((distances > 1e-8) & (distances < 1e-4)).any(), what
    same = np.flatnonzero(distances <= 1e-8)
    assert len(same) <= 1, what
    if len(same):
        return int(same[0])
    known.append(vector)
    return len(known) - 1


@pytest.mark.parametrize("name", SPACES)
class TestKeys:
    def test_no_two_designs_of_one_key_differ(self, name: str) -> None:
        function_of_key: dict[str, tuple[str, int]] = {}
        for gate, groups in functions(name).items():
            for number_of_function, designs in groups.items():
                for design in designs:
                    here = (gate, number_of_function)
                    assert function_of_key.setdefault(design.key, here) == here, str(design)

    def test_no_two_designs_of_different_key_are_one_function(self, name: str) -> None:
        missed = [
            sorted({design.key for design in designs})
            for groups in functions(name).values()
            for designs in groups.values()
            if len({design.key for design in designs}) > 1
        ]
        assert missed == []

    def test_there_are_as_many_functions_as_keys(self, name: str) -> None:
        space = SPACES[name]
        numerically_distinct = sum(map(len, functions(name).values())) + ("none" in space.squeeze)
        assert space.count()["distinct"] == numerically_distinct


def test_the_brute_force_can_tell_designs_apart_and_bring_them_together() -> None:
    """Oracle: facts of attention.md 5 and 6.3. Without this the tests above could pass by seeing nothing."""

    def same(one: str, other: str, kind: str) -> bool:
        return bool(np.abs(function_of(one, kind) - function_of(other, kind)).max() < 1e-8)

    assert same("avg", "sym4-d3-coarse1", "compared")
    assert same("dct-low2-each", "dct-top2-each", "kernel")
    assert same("haar-d1-all", "db2-d1-all", "span")
    assert same("avg+max", "max+avg", "sum")
    assert not same("avg+max", "avg+std", "sum")
    assert not same("haar-d1-all", "db2-d1-all", "kernel")
    assert not same("haar-d1-all", "db2-d1-all", "compared")
    assert not same("haar-d1-all", "db2-d1-all", "standardised")
    assert not same("haar-d1-all-each", "db2-d1-all-each", "sum")
    assert not same("haar-d2-all", "db2-d2-all", "span")
    assert not same("haar-d1-all-each", "haar-d1-details-each", "span+1")
    assert not same("dct-low16", "dct-top16", "span+1")
    assert not same("avg", "max", "span")
