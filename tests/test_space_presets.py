"""Presets: the published recipes under their names, where they sit, and how a name is found."""

from __future__ import annotations

import inspect

import pytest

from search_space import PRESETS, PUBLISHED, DesignError, Space, find_design

# attention.md section 6.2, the published recipes, in the words of the grammar. Each is its own key, and rows are stored
# and found by keys: a change here orphans people's rows. Write a migration, or don't change.
RECIPES = {
    "none": "none",
    "se": "avg/mlp-r16",
    "se-bias": "avg/mlp-r16-bias",
    "eca": "avg/conv1d",
    "fca-lf": "dct-low2/mlp-r16",
    "fca-ts": "dct-top16/mlp-r16",
    "fca-nas": "dct-learned16/mlp-r16",
    "ortho": "ortho-s0/mlp-r16",
    "wavenet-c": "recursive/mlp-r16",
    "srm": "avg+std/cfc",
    "mca-e": "avg+std/conv1d-k3-bias",
    "mca-s": "avg+skew/conv1d-k7-bias",
    "cbam-channel": "avg+max/mlp-r16-shared-bias",
    "cat-channel": "avg+blurmax+relentropy/mlp-r16-mixed",
    "pfca": "avg/pfca",
    "gc": "context/mlp-r16-ln-bias-add",
    "lct": "avg/affine-g64",
    "gct": "l2/gated",
    "gaussian-gct": "avg/gaussian",
    "ese": "avg/fc-bias-hard",
    "simam": "simam",
    "ema": "ema-g32",
    "cbam": "cbam-r16",
    "cat": "cat-r16",
    "coordinate": "coordinate-r32",
    "triplet": "triplet-k7",
    "sge": "sge-g64",
    "ba": "ba-r16",
    "wavenet-ae": "wavenet-ae-r16",
}


BLOCKS = {"simam", "ema", "cbam", "cat", "coordinate", "triplet", "sge", "ba", "wavenet-ae"}


def test_no_key_of_a_preset_has_changed_and_a_new_preset_is_pinned_here() -> None:
    assert {name: design.key for name, design in PRESETS.items()} == RECIPES


def test_no_two_presets_are_one_function() -> None:
    assert len(set(RECIPES.values())) == len(RECIPES)


def test_presets_are_found_by_name_and_designs_by_text() -> None:
    assert {name: str(design) for name, design in PRESETS.items()} == RECIPES
    for name, text in RECIPES.items():
        assert str(find_design(name)) == text
        assert find_design(text) == find_design(name.upper()) == PRESETS[name]
    with pytest.raises(DesignError, match="Presets: none, se, se-bias, eca"):
        find_design("resnext")


def test_every_published_design_that_is_no_block_lies_in_the_default_space() -> None:
    designs = set(Space().designs())
    assert {name for name, design in PRESETS.items() if design not in designs} == BLOCKS


def test_the_docstring_of_a_preset_has_paper_equation_and_placement() -> None:
    for preset in PUBLISHED.values():
        said = inspect.getdoc(preset) or ""
        assert all(part in said for part in (preset.paper, preset.equation, f"Placement: {preset.design.place}"))


def test_a_preset_sits_where_its_paper_puts_it() -> None:
    """attention.md 1.7 (SimAM before bn2), 1.25 (GCT before convolutions); all others after the last norm."""
    places = {name: design.place for name, design in PRESETS.items()}
    assert {name for name, place in places.items() if place != "after-norm"} == {"simam", "gct"}
    assert (places["simam"], places["gct"]) == ("before-norm", "before-conv")


def test_a_preset_can_be_put_elsewhere_by_name() -> None:
    assert str(find_design("se@mid")) == "avg/mlp-r16@mid"
    assert str(find_design("gct@after-norm")) == "l2/gated@after-norm"
    assert find_design("se@after-norm") == PRESETS["se"]
    for text in ("se@", "se@shortcut", "none@mid", "ba@mid"):
        with pytest.raises(DesignError):
            find_design(text)
