"""Layered designs: one for each place of a network, in one text joined by |."""

from __future__ import annotations

import pytest

from search_space import PRESETS, AttentionDesign, DesignError, Layered, Site, find_design
from search_space.layered import placed, spread
from search_space.sites import added_macs, added_params, check

SITES = [Site(16, 32, 32), Site(32, 16, 16), Site(64, 8, 8)]


def layered(*texts: str) -> Layered:
    return Layered(tuple(AttentionDesign.parse(text) for text in texts))


def test_text_and_layered_design_are_inverse() -> None:
    design = layered("avg/mlp-r16", "dct-at00.01/fc", "ema-g32")
    assert str(design) == "avg/mlp-r16 | dct-at00.01/fc | ema-g32"
    assert find_design(str(design)) == design
    assert find_design("se|fca-ts | eca") == layered("avg/mlp-r16", "dct-top16/mlp-r16", "avg/conv1d")


def test_the_key_is_made_of_the_keys_of_the_places() -> None:
    assert layered("dct-low1/fc", "std+avg/cfc").key == "avg/fc | avg+std/cfc"
    assert layered("avg/fc", "max/fc").key != layered("max/fc", "avg/fc").key


@pytest.mark.parametrize("text", ["se | none", "ba | ba", "se | gct", "se@mid | se", "se |", "| se", "|", "se | | se"])
def test_what_cannot_stand_at_the_places_of_one_network_is_refused(text: str) -> None:
    with pytest.raises(DesignError):
        find_design(text)


def test_no_design_at_all_is_refused() -> None:
    with pytest.raises(DesignError, match="one for each place"):
        Layered(())


def test_as_many_designs_as_places_are_needed() -> None:
    two = layered("avg/fc", "max/fc")
    for ask in (check, added_params, added_macs):
        with pytest.raises(DesignError, match="2 joined by"):
            ask(two, SITES)
    assert list(spread(two, 2)) == list(two.designs)
    assert list(spread(PRESETS["se"], 3)) == [PRESETS["se"]] * 3


def test_each_design_meets_its_own_place() -> None:
    check(layered("dct-low16/fc", "dct-low32/fc", "avg/mlp-r64"), SITES)
    with pytest.raises(DesignError, match="low32 with 16 channels"):
        check(layered("dct-low32/fc", "avg/fc", "avg/fc"), SITES)


def test_what_it_adds_is_the_sum_over_the_places() -> None:
    """Oracle: SE at r = 4 has 2 C C / 4 weights, ECA 3, affine 2 C."""
    design = layered("avg/mlp-r4", "avg/conv1d", "avg/affine")
    assert added_params(design, SITES) == 2 * 16 * 4 + 3 + 2 * 64
    assert added_params(layered(*["avg/fc"] * 3), SITES) == added_params(AttentionDesign.parse("avg/fc"), SITES)


def test_placed_moves_every_design() -> None:
    moved = placed(layered("avg/fc", "max/fc"), "mid")
    assert str(moved) == "avg/fc@mid | max/fc@mid"
    assert moved.place == "mid"
    assert placed(PRESETS["none"], "mid") == PRESETS["none"]
    assert placed(PRESETS["simam"], "before-norm") == PRESETS["simam"]


def test_it_is_learned_if_one_of_its_designs_is() -> None:
    assert layered("avg/fc", "dct-learned4/fc").learned
    assert not layered("avg/fc", "dct-low4/fc").learned
