"""Texts and keys of every design: what people's stored rows are found by."""

from __future__ import annotations

import pytest
from test_laws_subjects import SUBJECTS

from search_space import AttentionDesign, find_design


@pytest.mark.parametrize("name", SUBJECTS)
def test_text_and_design_are_inverse(name: str) -> None:
    design = SUBJECTS[name]
    assert AttentionDesign.parse(str(design)) == design == find_design(name)


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_key_is_the_text_of_a_design_that_has_this_key(name: str) -> None:
    key = SUBJECTS[name].key
    assert AttentionDesign.parse(key).key == key
    assert str(AttentionDesign.parse(key)) == key
