"""Lists of frequencies: one key for what is heard, whatever its name, its repeats, or (under -each) its order."""

from __future__ import annotations

from fractions import Fraction
from itertools import groupby

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_space_basis_dct import PUBLISHED
from test_space_oracles import assert_same_function

from search_space import AttentionDesign
from search_space.bases import entry_of_channel
from search_space.frequencies import frequencies

Pair = tuple[int, int]
pairs = st.tuples(st.integers(0, 6), st.integers(0, 6))


def listed(chosen: list[Pair]) -> str:
    return "at" + ".".join(f"{u}{v}" for u, v in chosen)


def key(selection: str, tail: str = "/fc") -> str:
    return AttentionDesign.parse(f"dct-{selection}{tail}").key


@pytest.mark.parametrize("family", ["top", "low", "bottom"])
@pytest.mark.parametrize("count", [2, 3, 4, 16, 32])
def test_a_list_that_spells_a_published_table_is_that_table(family: str, count: int) -> None:
    table = listed(PUBLISHED[family][:count])
    name = "low2" if (family, count) == ("top", 2) else f"{family}{count}"
    assert key(table) == f"dct-{name}/fc"
    assert key(table, "-each/fc") == f"dct-{name}-each/fc"
    assert_same_function(f"dct-{table}/conv1d", f"dct-{family}{count}/conv1d", channels=32)


@pytest.mark.parametrize("gate", ["mlp-r4", "conv1d", "fc-bias-hard", "cfc", "affine", "gated", "gaussian", "pfca"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("at00.00.01.01", "at00.01"),
        ("at00.00.01.01", "low2"),
        ("at00.00.00.00.01.01.01.01", "top2"),
        ("at33.33.33", "at33"),
        ("at00.00.01.01.01.01", "at00.01.01"),
        ("at00.00.00", "low1"),
    ],
)
def test_runs_of_equal_entries_say_what_every_mth_entry_says(one: str, other: str, gate: str) -> None:
    assert key(one, f"/{gate}") == key(other, f"/{gate}")
    for channels in (8, 9, 11, 12, 16):  # channel c takes entry floor(c K / C), whatever C
        assert_same_function(f"dct-{one}/{gate}", f"dct-{other}/{gate}", channels)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("at00.01", "at01.00"),  # another group hears the average
        ("at00.00.01", "at00.01.01"),
        ("at00.00.01", "at00.01"),
        ("at00.01.00.01", "at00.01"),  # four groups, not two
        ("at12", "at21"),
    ],
)
def test_other_groups_are_another_design(one: str, other: str) -> None:
    assert key(one) != key(other)
    with pytest.raises(AssertionError):
        assert_same_function(f"dct-{one}/fc", f"dct-{other}/fc")


@pytest.mark.parametrize(
    "gate", ["mlp-r4", "mlp-r4-shared-bias", "mlp-r4-mixed", "conv1d", "fc-bias-hard", "cfc", "affine"]
)
def test_under_each_the_order_of_a_list_is_no_part_of_a_function(gate: str) -> None:
    """Every channel hears every entry, and every excitation treats them alike."""
    for one, other in (("at60.00.01", "top3"), ("at01.00", "low2"), ("at55.12.30", "at12.30.55")):
        assert key(one, f"-each/{gate}") == key(other, f"-each/{gate}")
        assert_same_function(f"dct-{one}-each/{gate}", f"dct-{other}-each/{gate}")


def steps(chosen: list[Pair]) -> list[tuple[Pair, Fraction]]:
    """What is heard at c / C: runs of equal frequencies, and which part of the channels each has."""
    return [(pair, Fraction(len(list(run)), len(chosen))) for pair, run in groupby(chosen)]


two_lists = st.lists(pairs, min_size=1, max_size=3, unique=True).flatmap(
    lambda few: st.tuples(*[st.lists(st.sampled_from(few), min_size=1, max_size=12)] * 2)
)


@settings(deadline=None, max_examples=300)
@given(two_lists)
@example(([(0, 0), (0, 1)], [(0, 0), (0, 0), (0, 1), (0, 1)]))
@example(([(0, 0)] * 4 + [(0, 1)] * 6, [(0, 0)] * 2 + [(0, 1)] * 3))
def test_two_lists_have_one_key_exactly_if_every_channel_hears_the_same(two: tuple[list[Pair], list[Pair]]) -> None:
    """Oracle: step functions of c / C in fractions; where they differ, some C tells them apart."""
    one, other = two
    assert (key(listed(one)) == key(listed(other))) == (steps(one) == steps(other))
    design = AttentionDesign.parse(f"dct-{listed(one)}/fc")
    canonical = design.canonical()
    named = [(0, 0)] if canonical.squeeze == "avg" else frequencies(str(canonical.selection))
    for channels in (12, 13, 30):
        heard = [one[i] for i in entry_of_channel(design, channels, len(one))]
        assert heard == [named[i] for i in entry_of_channel(canonical, channels, len(named))]


@settings(deadline=None, max_examples=100)
@given(st.lists(pairs, min_size=2, max_size=8, unique=True), st.randoms(use_true_random=False))
def test_under_each_two_lists_have_one_key_exactly_if_they_are_one_set(chosen: list[Pair], random: object) -> None:
    mixed = list(chosen)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert key(listed(mixed), "-each/fc") == key(listed(chosen), "-each/fc")
    assert key(listed(chosen[:-1]), "-each/fc") != key(listed(chosen), "-each/fc")


def test_a_learned_selection_is_a_design_of_its_own() -> None:
    keys = {key(selection) for selection in ("learned1", "learned2", "learned4", "low1", "low2", "low4")}
    assert len(keys) == 6
