"""An illegal design can't be built, and a design that does not fit a network is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from search_space import AttentionDesign, DesignError, Site, UserError, build
from search_space.sites import check

WAVELET: dict[str, Any] = {"squeeze": "wavelet", "wavelet": "haar", "depth": 2, "selection": "all"}


@pytest.mark.parametrize(
    ("fields", "axis", "allowed"),
    [
        ({"squeeze": "median", "excitation": "affine"}, "squeeze", "avg, max, blurmax, std"),
        ({"squeeze": None, "excitation": "affine"}, "squeeze", "none"),
        ({"squeeze": "avg"}, "excitation", "mlp, conv1d, affine, fc, cfc, pfca"),
        ({"squeeze": "avg", "excitation": "linear"}, "excitation", "mlp"),
        ({"squeeze": "avg", "excitation": "mlp"}, "reduction", ">= 1"),
        ({"squeeze": "avg", "excitation": "mlp", "reduction": 0}, "reduction", ">= 1"),
        ({"squeeze": "avg", "excitation": "mlp", "reduction": -4}, "reduction", ">= 1"),
        ({"squeeze": "avg", "excitation": "mlp", "reduction": 4.0}, "reduction", "whole"),
        ({"squeeze": "avg", "excitation": "mlp", "reduction": "4"}, "reduction", "whole"),
        ({"squeeze": "avg", "excitation": "affine", "reduction": 4}, "reduction", "mlp"),
        ({"squeeze": "avg", "excitation": "affine", "kernel": 3}, "kernel", "conv1d"),
        ({"squeeze": "avg", "excitation": "conv1d", "kernel": 2}, "kernel", "odd"),
        ({"squeeze": "avg", "excitation": "conv1d", "kernel": 0}, "kernel", "odd"),
        ({"squeeze": "avg", "excitation": "conv1d", "kernel": -3}, "kernel", "odd"),
        ({"squeeze": "avg", "selection": "low2", "excitation": "affine"}, "selection", "dct or wavelet"),
        ({"squeeze": "avg", "each": True, "excitation": "affine"}, "selection", "dct or wavelet"),
        ({"squeeze": "avg", "depth": 1, "excitation": "affine"}, "depth", "wavelet"),
        ({"squeeze": "avg", "wavelet": "haar", "excitation": "affine"}, "wavelet", "wavelet"),
        ({"squeeze": "avg", "statistic": "energy", "excitation": "affine"}, "statistic", "wavelet"),
        ({"squeeze": "dct", "excitation": "affine"}, "selection", "low"),
        ({"squeeze": "dct", "selection": "low0", "excitation": "affine"}, "selection", "1 to 32"),
        ({"squeeze": "dct", "selection": "low33", "excitation": "affine"}, "selection", "1 to 32"),
        ({"squeeze": "dct", "selection": "all", "excitation": "affine"}, "selection", "low"),
        ({"squeeze": "dct", "selection": "low2", "statistic": "energy", "excitation": "affine"}, "statistic", "wav"),
        ({"squeeze": "dct", "selection": "low2", "each": True, "excitation": "pfca"}, "excitation", "one number"),
        (WAVELET | {"wavelet": "db3", "excitation": "affine"}, "wavelet", "haar, db2, sym4, bior2.2"),
        (WAVELET | {"depth": 0, "excitation": "affine"}, "depth", "1 to 10"),
        (WAVELET | {"depth": 11, "excitation": "affine"}, "depth", "1 to 10"),
        (WAVELET | {"depth": None, "excitation": "affine"}, "depth", "1 to 10"),
        (WAVELET | {"depth": 1.0, "excitation": "affine"}, "depth", "1 to 10"),
        (WAVELET | {"statistic": "std", "excitation": "affine"}, "statistic", "mean, energy"),
        (WAVELET | {"selection": "low2", "excitation": "affine"}, "selection", "coarseK"),
        (WAVELET | {"selection": "coarse8", "excitation": "affine"}, "selection", "1 to 7 at depth 2"),
        (WAVELET | {"selection": None, "excitation": "affine"}, "selection", "details, all"),
        (WAVELET | {"each": True, "excitation": "pfca"}, "excitation", "one number"),
        ({"squeeze": "none", "excitation": "affine"}, "excitation", "nothing"),
        ({"squeeze": "none", "reduction": 4}, "excitation", "nothing"),
        ({"squeeze": "none", "selection": "low2"}, "selection", "dct or wavelet"),
        ({"squeeze": "none", "placement": "mid"}, "placement", "nothing"),
        ({"squeeze": "avg+avg", "excitation": "fc"}, "squeeze", "statistics joined by +"),
        ({"squeeze": "avg+", "excitation": "fc"}, "squeeze", "statistics joined by +"),
        ({"squeeze": "avg+context", "excitation": "fc"}, "squeeze", "statistics joined by +"),
        ({"squeeze": "avg+std", "excitation": "pfca"}, "excitation", "one number"),
        ({"squeeze": "avg+std", "excitation": "affine", "groups": 4}, "excitation", "one number"),
        ({"squeeze": "recursive", "each": True, "excitation": "gaussian"}, "excitation", "one number"),
        ({"squeeze": "context", "each": True, "excitation": "fc"}, "selection", "recursive"),
        ({"squeeze": "ortho", "seed": 0, "each": True, "excitation": "fc"}, "selection", "recursive"),
        ({"squeeze": "ortho", "excitation": "fc"}, "seed", "ortho-s0"),
        ({"squeeze": "ortho", "seed": -1, "excitation": "fc"}, "seed", "0 to 999999"),
        ({"squeeze": "ortho", "seed": 1_000_000, "excitation": "fc"}, "seed", "0 to 999999"),
        ({"squeeze": "avg", "seed": 0, "excitation": "fc"}, "seed", "ortho"),
        ({"squeeze": "dct", "selection": "at07", "excitation": "fc"}, "selection", "pairs of 0 to 6"),
        ({"squeeze": "dct", "selection": "at" + ".".join(["00"] * 33), "excitation": "fc"}, "selection", "32"),
        ({"squeeze": "dct", "selection": "at00.00", "each": True, "excitation": "fc"}, "selection", "once"),
        ({"squeeze": "dct", "selection": "learned4", "each": True, "excitation": "fc"}, "selection", "without -each"),
        ({"squeeze": "dct", "selection": "learned33", "excitation": "fc"}, "selection", "1 to 32"),
        (WAVELET | {"selection": "learned4", "excitation": "fc"}, "selection", "coarseK"),
        ({"squeeze": "avg", "excitation": "mlp", "reduction": 4, "sharing": "shared"}, "sharing", "several"),
        ({"squeeze": "avg+max", "excitation": "fc", "sharing": "shared"}, "sharing", "mlp"),
        ({"squeeze": "avg", "excitation": "fc", "norm": True}, "norm", "mlp"),
        ({"squeeze": "avg", "excitation": "affine", "bias": True}, "bias", "mlp, conv1d, fc"),
        ({"squeeze": "avg", "excitation": "fc", "fusion": "add"}, "fusion", "mlp"),
        ({"squeeze": "avg", "excitation": "cfc", "groups": 4}, "groups", "affine, ema, sge"),
        ({"squeeze": "avg", "excitation": "affine", "groups": 0}, "groups", ">= 1"),
        ({"squeeze": "avg", "excitation": "pfca", "activation": "hard"}, "activation", "mlp"),
        ({"squeeze": "avg", "excitation": "fc", "activation": "tanh"}, "activation", "sigmoid, hard"),
        (
            {"squeeze": "avg", "excitation": "mlp", "reduction": 4, "fusion": "add", "activation": "hard"},
            *("activation", "none with -add"),
        ),
        ({"squeeze": "avg", "excitation": "fc", "placement": "shortcut"}, "placement", "after-norm, before-norm"),
        ({"squeeze": "simam", "excitation": "fc"}, "excitation", "whole block"),
        ({"squeeze": "simam", "groups": 2}, "groups", "affine, ema, sge"),
        ({"squeeze": "ema"}, "groups", "ema-g16"),
        ({"squeeze": "cbam", "groups": 16}, "groups", "affine, ema, sge"),
        ({"squeeze": "triplet", "kernel": 6}, "kernel", "odd"),
        ({"squeeze": "ba", "reduction": 16, "placement": "mid"}, "placement", "after-norm"),
    ],
)
def test_an_illegal_design_cannot_be_built(fields: dict[str, Any], axis: str, allowed: str) -> None:
    with pytest.raises(DesignError) as refusal:
        AttentionDesign(**fields)
    assert axis in str(refusal.value)
    assert allowed in str(refusal.value)
    assert isinstance(refusal.value, UserError)


@pytest.mark.parametrize(
    "fields",
    [
        {"squeeze": "avg", "excitation": "mlp", "reduction": True},
        {"squeeze": "avg", "excitation": "conv1d", "kernel": True},
        {"squeeze": "avg", "excitation": "conv1d", "kernel": 3.0},
        {"squeeze": "avg", "excitation": "conv1d", "kernel": "3"},
        {"squeeze": "dct", "selection": 16, "excitation": "affine"},
        {"squeeze": "dct", "selection": "low1６", "excitation": "affine"},
        {"squeeze": "dct", "selection": "low2", "each": "no", "excitation": "affine"},
        {"squeeze": "avg", "each": None, "excitation": "affine"},
        {"squeeze": "avg", "seed": True, "excitation": "affine"},
        {"squeeze": "avg", "seed": -1, "excitation": "affine"},
        {"squeeze": "avg", "seed": "0", "excitation": "affine"},
        {"squeeze": "none", "seed": -1},
        {"squeeze": "ortho", "seed": True, "excitation": "affine"},
        {"squeeze": "ortho", "seed": 0.0, "excitation": "affine"},
        {"squeeze": "avg", "excitation": ["fc"]},
        {"squeeze": "avg", "excitation": "fc", "bias": 1},
        {"squeeze": "avg", "excitation": "fc", "bias": 0},
        {"squeeze": "avg+max", "excitation": "mlp", "reduction": 4, "sharing": True},
        {"squeeze": "avg+max", "excitation": "mlp", "reduction": 4, "sharing": False},
        {"squeeze": "avg", "excitation": "affine", "groups": True},
        {"squeeze": "avg", "excitation": "affine", "groups": 4.0},
        {"squeeze": "ema", "groups": True},
        {"squeeze": ["avg"], "excitation": "fc"},
        {"squeeze": "avg", "excitation": "fc", "placement": True},
        WAVELET | {"depth": True, "selection": "all", "excitation": "affine"},
    ],
)
def test_a_value_of_the_wrong_type_is_refused_and_not_written_into_a_text(fields: dict[str, Any]) -> None:
    """Otherwise `mlp-rTrue`, `k3.0`: texts that parse refuses, of designs that exist."""
    with pytest.raises(DesignError):
        AttentionDesign(**fields)


def test_a_design_is_an_immutable_hashable_value() -> None:
    design = AttentionDesign.parse("avg/mlp-r16")
    with pytest.raises(AttributeError):
        design.reduction = 8  # type: ignore[misc]
    assert {design: 1}[AttentionDesign("avg", excitation="mlp", reduction=16)] == 1


@pytest.mark.parametrize(
    ("text", "entries", "numbers"),
    [  # counted by hand: 3 d + 1 bands at depth d
        ("none", 1, 1),
        ("std/affine", 1, 1),
        ("avg+std/affine", 1, 2),
        ("avg+blurmax+relentropy/fc", 1, 3),
        ("context/fc", 1, 1),
        ("recursive/fc", 4, 1),
        ("recursive-each/fc", 4, 4),
        ("ortho-s3/fc", 1, 1),
        ("dct-learned16/fc", 16, 1),
        ("dct-at00.01.60/fc", 3, 1),
        ("dct-at00.01.60-each/fc", 3, 3),
        ("dct-low16/affine", 16, 1),
        ("dct-low16-each/affine", 16, 16),
        ("haar-d1-all/affine", 4, 1),
        ("haar-d3-all-each/affine", 10, 10),
        ("haar-d3-details-each/affine", 9, 9),
        ("haar-d2-coarse5-each/affine", 5, 5),
    ],
)
def test_entries_and_numbers_a_channel_are_counted(text: str, entries: int, numbers: int) -> None:
    design = AttentionDesign.parse(text)
    assert (design.entries, design.numbers) == (entries, numbers)


@pytest.mark.parametrize(
    ("text", "channels", "named"),
    [
        ("dct-low16/affine", 15, ("selection", "low16", "15")),
        ("haar-d3-all/affine", 9, ("selection", "all", "9")),
        ("avg/mlp-r16", 15, ("reduction", "r16", "1 to 15")),
        ("avg/pfca", 1, ("excitation", "pfca", "2 channels")),
        ("avg/gaussian", 1, ("excitation", "gaussian", "2 channels")),
        ("avg/affine-g64", 1, ("excitation", "affine", "2 channels")),
        ("avg/mlp-r8-ln", 15, ("reduction", "r8-ln", "1 to 7")),
        ("dct-learned16/fc", 15, ("selection", "learned16", "15")),
        ("dct-at00.01.60/fc", 2, ("selection", "at00.01.60", "2")),
        ("recursive/fc", 3, ("selection", "recursive", "3 channels")),
        ("ema-g32", 31, ("groups", "ema-g32", "divides 31")),
        ("sge-g64", 63, ("groups", "sge-g64", "divides 63")),
        ("cbam-r16", 15, ("reduction", "cbam-r16", "r15")),
    ],
)
def test_a_design_that_does_not_fit_the_width_is_refused_when_built(
    text: str, channels: int, named: tuple[str, ...]
) -> None:
    design = AttentionDesign.parse(text)
    for attempt in (lambda: build(design, channels), lambda: check(design, [Site(channels, 32, 32)])):
        with pytest.raises(DesignError) as refusal:
            attempt()
        assert all(word in str(refusal.value) for word in named)
    build(design, channels + 1)
    check(design, [Site(channels + 1, 32, 32)])


def test_one_number_of_each_entry_needs_no_group_for_each_entry() -> None:
    for squeeze in ("dct-low16-each", "recursive-each", "haar-d2-all-energy-each"):
        build(AttentionDesign.parse(f"{squeeze}/affine"), 3)


def test_a_bridge_is_no_layer_of_its_own() -> None:
    with pytest.raises(DesignError, match="whole residual block"):
        build(AttentionDesign.parse("ba-r16"), 64)


def test_the_published_place_has_one_spelling() -> None:
    assert AttentionDesign("simam", placement="before-norm") == AttentionDesign("simam")
    assert AttentionDesign("avg", excitation="gated", placement="before-conv").placement is None
    assert AttentionDesign("avg", excitation="gated", placement="after-norm").place == "after-norm"
    assert AttentionDesign("simam", placement="after-norm").place == "after-norm"


@pytest.mark.parametrize("depth", range(1, 7))
@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 8, 9, 16, 17])
def test_a_depth_whose_last_level_has_one_pixel_to_split_is_refused(depth: int, side: int) -> None:
    """Oracle: halve the side, rounding up, once a level; a level that starts from one pixel has no detail."""
    left = side
    splits = 0
    while left > 1:
        left = (left + 1) // 2
        splits += 1
    design = AttentionDesign.parse(f"haar-d{depth}-all/affine")
    sites = [Site(64, 64, 64), Site(64, side, 64)]
    if depth <= splits:
        check(design, sites)
    else:
        with pytest.raises(DesignError) as refusal:
            check(design, sites)
        assert f"{depth} on a {side}x64 map" in str(refusal.value)
        assert (f"allowed: 1 to {splits};" if splits else "allowed: none;") in str(refusal.value)


@pytest.mark.parametrize(("option", "value"), [("scale", "half"), ("gate_start", "zero")])
def test_an_unknown_option_of_build_is_refused_with_what_is_allowed(option: str, value: str) -> None:
    with pytest.raises(DesignError, match="paper") as refusal:
        build(AttentionDesign.parse("avg/affine"), 4, **{option: value})
    assert value in str(refusal.value)
