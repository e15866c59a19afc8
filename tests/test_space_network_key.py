"""`network_key`: equal exactly for designs that make the same network on one backbone, size and class count."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from search_space import Site, find_design
from search_space.sites import network_key

RESNET20 = [Site(c, s, s) for c, s in ((16, 32), (32, 16), (64, 8)) for _ in range(3)]
RESNET50 = [Site(c, s, s) for c, s, n in ((256, 56, 3), (512, 28, 4), (1024, 14, 6), (2048, 7, 3)) for _ in range(n)]


def key_of(text: str, sites: list[Site] = RESNET20, **options: Any) -> str:
    network: dict[str, Any] = {"backbone": "resnet20", "image_size": 32, "num_classes": 100} | options
    return network_key(find_design(text), sites=sites, **network)


def test_the_adaptive_kernel_is_three_everywhere_in_resnet20() -> None:
    """attention.md 4.3: C <= 96 gives k = 3."""
    assert key_of("avg/conv1d") == key_of("avg/conv1d-k3")
    assert key_of("avg/conv1d") != key_of("avg/conv1d-k5")
    assert key_of("dct-low4-each/conv1d") == key_of("dct-low4-each/conv1d-k3")


def test_the_adaptive_kernel_is_no_single_kernel_in_resnet50() -> None:
    """attention.md 1.2: 256, 512, 1024 -> 5 and 2048 -> 7."""
    adaptive = key_of("avg/conv1d", RESNET50)
    assert adaptive not in {key_of(f"avg/conv1d-k{kernel}", RESNET50) for kernel in (1, 3, 5, 7, 9)}
    assert key_of("avg/conv1d", RESNET50[:-3]) == key_of("avg/conv1d-k5", RESNET50[:-3])
    assert key_of("avg/conv1d", RESNET50[-3:]) == key_of("avg/conv1d-k7", RESNET50[-3:])


def test_backbone_image_size_and_classes_are_part_of_the_network_key() -> None:
    keys = [
        key_of("avg/mlp-r16"),
        key_of("avg/mlp-r16", backbone="resnet56"),
        key_of("avg/mlp-r16", image_size=64),
        key_of("avg/mlp-r16", num_classes=10),
        key_of("none"),
    ]
    assert all(one != other for one, other in combinations(keys, 2))


def test_two_spellings_of_one_function_have_one_network_key() -> None:
    for one, other in (
        ("avg/mlp-r16", "dct-low1/mlp-r16"),
        ("avg/conv1d", "haar-d3-coarse1/conv1d-k3"),
        ("dct-low2/pfca", "dct-top2/pfca"),
        ("haar-d1-all/affine", "db2-d1-coarse4/affine"),
        ("avg+std/cfc", "std+avg/cfc"),
        ("dct-at00.00.01.01/fc", "dct-top2/fc"),
        ("avg/mlp-r16@mid", "dct-low1/mlp-r16@mid"),
    ):
        assert key_of(one) == key_of(other)
    assert key_of("avg/mlp-r16") != key_of("avg/mlp-r8")
    assert key_of("haar-d2-all/affine") != key_of("db2-d2-all/affine")
    assert key_of("avg/mlp-r16@mid") != key_of("avg/mlp-r16")
    assert key_of("ortho-s0/fc") != key_of("ortho-s1/fc")


def test_the_published_scale_keeps_spellings_apart_where_no_weight_takes_it_up() -> None:
    assert key_of("avg/pfca") == key_of("dct-low1/pfca")
    for gate in ("pfca", "gaussian", "affine-g4"):
        assert key_of(f"avg/{gate}", scale="paper") != key_of(f"dct-low1/{gate}", scale="paper")
        assert key_of(f"avg/{gate}") == key_of(f"dct-low1/{gate}")
    for gate in ("mlp-r4", "mlp-r4-ln", "conv1d", "affine", "fc", "cfc", "gated"):
        assert key_of(f"avg/{gate}", scale="paper") == key_of(f"haar-d1-coarse1/{gate}", scale="paper")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dct-low2/pfca", "dct-top2/pfca"),
        ("haar-d2-all/pfca", "haar-d2-coarse7/pfca"),
        ("dct-low1/pfca", "haar-d1-coarse1/pfca"),
    ],
)
def test_the_published_scale_multiplies_both_spellings_of_these_alike(one: str, other: str) -> None:
    """Rows of both are orthonormal under `paper`: the same rows, so the same network."""
    assert key_of(one, scale="paper") == key_of(other, scale="paper")


def test_two_reductions_with_the_same_hidden_widths_are_one_network() -> None:
    """Oracle: 16, 32, 64 floor-divided by 15 and by 16 are both 1, 2, 4; by 8 they are 2, 4, 8."""
    assert [c // 15 for c in (16, 32, 64)] == [c // 16 for c in (16, 32, 64)]
    assert key_of("avg/mlp-r15") == key_of("avg/mlp-r16")
    assert key_of("avg/mlp-r8") != key_of("avg/mlp-r16")


def test_channel_groups_that_come_to_the_same_everywhere_are_one_network() -> None:
    """Oracle: groups keep 4 channels together, so 16, 32 and 64 channels have 4, 8 and 16 at most."""
    assert key_of("avg/affine-g64") == key_of("avg/affine-g16") != key_of("avg/affine-g8")


@pytest.mark.parametrize(("one", "other"), [("cbam-r15", "cbam-r16"), ("coordinate-r8", "coordinate-r32")])
def test_two_reductions_of_a_block_with_the_same_hidden_widths_are_one_network(one: str, other: str) -> None:
    """Oracle: 16, 32, 64 over 15 and 16 are 1, 2, 4; Coordinate Attention has max(8, C // r) (attention.md 1.23)."""
    assert key_of(one) == key_of(other)


def test_designs_that_change_at_another_place_are_another_network() -> None:
    """A B B and A A B use the same designs in the same order, but not at the same places."""
    one, other = "avg/fc | avg/fc | max/fc", "avg/fc | max/fc | max/fc"
    assert key_of(one, RESNET20[:3]) != key_of(other, RESNET20[:3])
    assert key_of("avg/fc | avg/fc | avg/fc", RESNET20[:3]) == key_of("avg/fc", RESNET20[:3])
    alternating = key_of("avg/fc | max/fc | avg/fc", RESNET20[:3])
    assert alternating not in (key_of(one, RESNET20[:3]), key_of(other, RESNET20[:3]))
