"""Texts and keys of every design: what people's stored rows are found by."""

from __future__ import annotations

import pytest
from test_laws_subjects import SUBJECTS

from search_space import PRESETS, AttentionDesign, find_design

# A change here orphans people's rows: results are stored and found by these keys. Write a migration, or don't change.
KEYS = {
    "none": "none",
    "se": "avg/mlp-r16",
    "se-bias": "avg/mlp-r16-bias",
    "eca": "avg/conv1d",
    "gc": "context/mlp-r16-ln-bias-add",
    "fca-lf": "dct-low2/mlp-r16",
    "fca-ts": "dct-top16/mlp-r16",
    "fca-nas": "dct-learned16/mlp-r16",
    "wavenet-c": "recursive/mlp-r16",
    "ortho": "ortho-s0/mlp-r16",
    "srm": "avg+std/cfc",
    "cbam-channel": "avg+max/mlp-r16-shared-bias",
    "cat-channel": "avg+blurmax+relentropy/mlp-r16-mixed",
    "pfca": "avg/pfca",
    "gct": "l2/gated",
    "gaussian-gct": "avg/gaussian",
    "lct": "avg/affine-g64",
    "mca-e": "avg+std/conv1d-k3-bias",
    "mca-s": "avg+skew/conv1d-k7-bias",
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


def test_no_key_of_a_preset_has_changed_and_a_new_preset_is_pinned_here() -> None:
    assert {name: design.key for name, design in PRESETS.items()} == KEYS


def test_no_two_presets_are_one_function() -> None:
    assert len(set(KEYS.values())) == len(KEYS)


@pytest.mark.parametrize("name", SUBJECTS)
def test_text_and_design_are_inverse(name: str) -> None:
    design = SUBJECTS[name]
    assert AttentionDesign.parse(str(design)) == design == find_design(name)


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_key_is_the_text_of_a_design_that_has_this_key(name: str) -> None:
    key = SUBJECTS[name].key
    assert AttentionDesign.parse(key).key == key
    assert str(AttentionDesign.parse(key)) == key
