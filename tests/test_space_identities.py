"""The key against brute force: one key is one function, and two keys are two, over the whole default space.

A design's function is its gate over all weights. So two designs of one excitation (and reduction) are one function if
what the first weights can reach from their squeezed numbers is the same set, at every site:

- mlp, affine: any mixture of the numbers of one channel, channel by channel (affine also adds a constant);
- conv1d: any mixture of the numbers of one channel, the same in all channels;
- pfca: nothing is absorbed but a common sign, since it squares deviations from the mean over channels.

The set is recorded as what is left of fixed probes after projection on it, from squeezed values of fixed random maps:
more maps than numbers, so equal projections mean equal sets. No rule of `canonical` is used.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from test_space_oracles import one_thread  # noqa: F401

from search_space import AttentionDesign, Space, build

SITES = ((16, 32, 32), (32, 16, 16), (64, 8, 8))  # ResNet-20 at 32 pixels
MAPS = 20  # more than the 16 numbers a channel that a design squeezes at most, plus one
Array = NDArray[np.float64]


@cache
def site_maps(channels: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(channels)
    return torch.randn(MAPS, channels, height, width, dtype=torch.float64, generator=generator) + 0.5


@cache
def squeezed(squeeze: str, site: tuple[int, int, int]) -> Array:
    """[MAPS, C, K]. The gate has no part in it; affine takes any number of numbers."""
    layer = build(AttentionDesign.parse(f"{squeeze}/affine"), site[0])
    with torch.no_grad():
        values: Array = layer.squeeze(site_maps(*site)).numpy()  # type: ignore[operator]
    return values


def projected_probe(columns: Array) -> Array:
    """[..., N, K] -> [..., N]: projection of one fixed vector on the span of the K columns."""
    probe = np.cos(np.arange(columns.shape[-2]) ** 2.0)
    orthonormal, triangle = np.linalg.qr(columns)
    sizes = np.abs(np.diagonal(triangle, axis1=-2, axis2=-1))
    assert (sizes > 1e-9 * sizes.max()).all(), "dependent numbers: QR does not give their span"
    return (orthonormal @ (np.swapaxes(orthonormal, -1, -2) @ probe)[..., None])[..., 0]


def absorbed(gate: str, values: Array) -> Array:
    """What the gate can tell of the squeezed values [MAPS, C, K], as a vector."""
    maps, channels, numbers = values.shape
    if gate == "pfca":
        flat = values.reshape(-1)
        return flat * np.sign(flat[0]) / np.abs(flat).max()
    if gate == "conv1d":
        return projected_probe(values.reshape(maps * channels, numbers))
    by_channel = np.swapaxes(values, 0, 1)
    if gate == "affine":
        by_channel = np.concatenate([by_channel, np.ones((channels, maps, 1))], 2)
    return projected_probe(by_channel).reshape(-1)


@cache
def function_of(squeeze: str, gate: str) -> Array:
    return np.concatenate([absorbed(gate, squeezed(squeeze, site)) for site in SITES])


@pytest.fixture
def functions(one_thread: None) -> dict[str, dict[int, list[AttentionDesign]]]:  # noqa: F811
    """Excitation text -> number of the function -> the designs that are this function."""
    return all_functions()


@cache
def all_functions() -> dict[str, dict[int, list[AttentionDesign]]]:
    found: dict[str, dict[int, list[AttentionDesign]]] = defaultdict(lambda: defaultdict(list))
    representatives: dict[str, list[Array]] = defaultdict(list)
    for design in Space().designs():
        if design.squeeze == "none":
            continue
        squeeze, _, gate = str(design).partition("/")
        vector = function_of(squeeze, gate.partition("-")[0])
        known = representatives[gate]
        distances = [float(np.abs(vector - other).max()) for other in known]
        # far from deciding: what is equal is equal to rounding, what is not differs visibly
        assert not any(1e-8 < distance < 1e-4 for distance in distances), (design, min(distances))
        same = [i for i, distance in enumerate(distances) if distance <= 1e-8]
        if not same:
            same = [len(known)]
            known.append(vector)
        assert len(same) == 1
        found[gate][same[0]].append(design)
    return found


def test_no_two_designs_of_one_key_differ(functions: dict[str, dict[int, list[AttentionDesign]]]) -> None:
    function_of_key: dict[str, tuple[str, int]] = {}
    for gate, groups in functions.items():
        for number, designs in groups.items():
            for design in designs:
                assert function_of_key.setdefault(design.key, (gate, number)) == (gate, number), str(design)


def test_no_two_designs_of_different_key_are_one_function(
    functions: dict[str, dict[int, list[AttentionDesign]]],
) -> None:
    missed = [
        sorted({design.key for design in designs})
        for groups in functions.values()
        for designs in groups.values()
        if len({design.key for design in designs}) > 1
    ]
    assert missed == []


def test_there_are_as_many_functions_as_keys(functions: dict[str, dict[int, list[AttentionDesign]]]) -> None:
    numerically_distinct = sum(len(groups) for groups in functions.values()) + 1  # and none
    assert Space().count()["distinct"] == numerically_distinct


def test_the_brute_force_can_tell_designs_apart_and_bring_them_together() -> None:
    """Oracle: facts of attention.md 5 and 6.3. Without this the tests above could pass by seeing nothing."""

    def same(one: str, other: str, gate: str) -> bool:
        return bool(np.abs(function_of(one, gate) - function_of(other, gate)).max() < 1e-8)

    assert same("avg", "sym4-d3-coarse1", "pfca")
    assert same("dct-low2-each", "dct-top2-each", "conv1d")
    assert same("haar-d1-all", "db2-d1-all", "mlp")
    assert not same("haar-d1-all", "db2-d1-all", "conv1d")
    assert not same("haar-d2-all", "db2-d2-all", "mlp")
    assert not same("haar-d1-all-each", "haar-d1-details-each", "affine")
    assert not same("dct-low16", "dct-top16", "affine")
    assert not same("avg", "max", "mlp")
