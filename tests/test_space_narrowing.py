"""Narrowing a space from code, from the command line and from a file; what it refuses, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search_space import Space, SpaceError, UserError


def test_the_three_ways_to_narrow_lead_to_one_space(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text('squeeze = ["avg", "dct"]\ndepth = [1, 2]\neach = [true]\nreduction = 16\n')
    from_code = Space().narrow({"squeeze": ["avg", "dct"], "depth": (1, 2), "each": [True], "reduction": 16})
    assert from_code == Space(squeeze=("avg", "dct"), depth=(1, 2), each=(True,), reduction=(16,))
    assert Space().narrow_text(["squeeze=avg,dct", "depth=1, 2", "each=true", "reduction=16"]) == from_code
    assert Space.from_toml(file) == from_code


def test_axes_that_are_not_named_keep_their_values() -> None:
    narrowed = Space().narrow({"depth": [2]})
    assert narrowed.axes() == Space().axes() | {"depth": (2,)}
    assert Space().narrow({}) == Space()
    assert narrowed.narrow({"wavelet": "haar"}).axes() == Space().axes() | {"depth": (2,), "wavelet": ("haar",)}


@pytest.mark.parametrize(
    ("axes", "named"),
    [
        ({"dept": [1]}, ("dept", "does not exist", "depth")),
        ({"depth": [11]}, ("depth", "11", "1 to 10")),
        ({"depth": [1, 0]}, ("depth", "0", "1 to 10")),
        ({"depth": []}, ("depth", "empty")),
        ({"depth": [2, 2]}, ("depth", "repeats")),
        ({"depth": ["deep"]}, ("depth", "'deep'", "a whole number")),
        ({"depth": [True]}, ("depth", "True", "a whole number")),
        ({"depth": [1.5]}, ("depth", "1.5", "a whole number")),
        ({"depth": [[1]]}, ("depth", "[1]", "a whole number")),
        ({"depth": [None]}, ("depth", "None", "a whole number")),
        ({"depth": [-1]}, ("depth", "-1", "1 to 10")),
        ({"depth": ["٣"]}, ("depth", "a whole number")),
        ({"depth": ["-1"]}, ("depth", "-1", "1 to 10")),
        ({"depth": ["1234567890"]}, ("depth", "1234567890", "up to 9 digits")),
        ({"each": ["maybe"]}, ("each", "'maybe'", "true, false")),
        ({"each": [1]}, ("each", "1", "true, false")),
        ({"squeeze": ["median"]}, ("squeeze", "'median'", "avg")),
        ({"squeeze": [1]}, ("squeeze", "1", "a word")),
        ({"wavelet": ["haar", "db7"]}, ("wavelet", "'db7'", "sym4")),
        ({"frequencies": ["low2", "low33"]}, ("frequencies", "'low33'", "1 to 32")),
        ({"bands": ["all", "coarse11"]}, ("bands", "'coarse11'", "coarseK")),
        ({"statistic": ["mean", "std"]}, ("statistic", "'std'", "mean, energy")),
        ({"excitation": ["mlp", "linear"]}, ("excitation", "'linear'", "pfca")),
        ({"reduction": [4, 0]}, ("reduction", "0", ">= 1")),
        ({"kernel": [3]}, ("kernel", "3", "a word")),
        ({"kernel": ["adaptive", "k4"]}, ("kernel", "'k4'", "odd")),
        ({"kernel": ["3"]}, ("kernel", "'3'", "adaptive")),
        ({"kernel": ["k"]}, ("kernel", "'k'", "adaptive")),
        ({"kernel": ["k-3"]}, ("kernel", "'k-3'", "adaptive")),
        ({"placement": ["shortcut"]}, ("placement", "'shortcut'", "after-norm")),
        ({"squeeze": ["avg", "avg+avg"]}, ("squeeze", "'avg+avg'", "joined by +")),
        ({"squeeze": ["avg", "ema-g32"]}, ("squeeze", "'ema-g32'")),
        ({"squeeze": ["avg", "simam"]}, ("squeeze", "'simam'", "block")),
        ({"squeeze": ["avg"], "excitation": ["mlp", "mlp-shared"]}, ("excitation", "'mlp-shared'", "several")),
        ({"excitation": ["mlp", "gaussian-hard"]}, ("excitation", "'gaussian-hard'", "hard")),
        ({"frequencies": ["low2", "at07"]}, ("frequencies", "'at07'", "0 to 6")),
        ({"squeeze": ["avg", "ortho"]}, ("squeeze", "'ortho'", "ortho-s0")),
    ],
)
def test_what_no_design_can_take_is_refused_by_axis_and_value(axes: dict[str, Any], named: tuple[str, ...]) -> None:
    with pytest.raises(SpaceError) as refusal:
        Space().narrow(axes)
    message = str(refusal.value)
    assert all(word in message for word in named), message
    assert isinstance(refusal.value, UserError)


@pytest.mark.parametrize("axes", [{"reduction": (4, 8, 16.0)}, {"depth": (True, 2, 3)}, {"each": (0, 1)}])
def test_what_only_equals_a_value_is_refused_and_changes_no_other_space(axes: dict[str, Any]) -> None:
    before = Space(statistic=("mean",)).designs()
    with pytest.raises(SpaceError, match="allowed: "):
        Space(statistic=("mean",), **axes)
    assert Space(statistic=["mean"]).designs() == before  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("axis", "value"),
    [("reduction", 0), ("frequencies", "low33"), ("wavelet", "db7"), ("statistic", "std"), ("bands", "coarse11")],
)
def test_an_axis_whose_only_value_is_impossible_is_refused_with_the_reason(axis: str, value: Any) -> None:
    with pytest.raises(SpaceError, match=f"{value!r} is not possible; allowed: "):
        Space().narrow({axis: [value]})


@pytest.mark.parametrize("kernel", ["k٣", "k²", "k03", "k" + "9" * 5000], ids=["arabic", "square", "zero", "long"])
def test_a_kernel_has_one_spelling_in_ascii(kernel: str) -> None:
    """Python's isdigit takes all four; int() takes two of them and fails with its own ValueError on the others."""
    with pytest.raises(SpaceError, match="kernel"):
        Space().narrow({"kernel": ["adaptive", kernel]})


@pytest.mark.parametrize("gate", ["conv1d-k5", "affine-g8", "mlp-r2", "mlp-r2-bias"])
def test_a_number_in_an_excitation_word_is_kept_or_refused_but_not_forgotten(gate: str) -> None:
    try:
        space = Space().narrow({"squeeze": ["avg"], "excitation": [gate]})
    except SpaceError as refusal:
        assert gate in str(refusal)
        return
    assert {str(design) for design in space.designs()} == {f"avg/{gate}"}


def test_the_published_placement_may_stand_beside_the_place_it_names() -> None:
    """`published` and `after-norm` lead to one design by two paths; that is no reason to refuse either."""
    space = Space().narrow({"excitation": ["mlp", "gated"], "placement": ["published", "after-norm", "mid"]})
    assert {design.place for design in space.designs()} == {"after-norm", "before-conv", "mid"}
    # avg and a shared MLP exclude each other, which says nothing of `published`
    shared = {"squeeze": ["avg", "avg+max"], "excitation": ["mlp", "mlp-shared"]}
    both, only = (Space().narrow(shared | {"placement": names}) for names in (["published", "after-norm"], "published"))
    assert both.designs() == only.designs()


def test_a_word_of_an_axis_may_be_a_whole_squeeze_of_a_design_text() -> None:
    space = Space().narrow({"squeeze": ["dct-at00.01.60-each", "haar-d2-all", "std+avg", "recursive-each"]})
    assert {str(design).partition("/")[0] for design in space.designs()} == set(space.squeeze)
    explicit = Space().narrow_text(["squeeze=dct", "frequencies=at00.01,low2", "each=false", "excitation=fc"])
    assert [str(design) for design in explicit.designs()] == ["dct-at00.01/fc", "dct-low2/fc"]
    assert [str(design) for design in explicit.distinct()] == ["dct-at00.01/fc"]


def test_bands_that_need_depth_two_are_left_out_at_depth_one_and_no_error() -> None:
    space = Space(squeeze=("wavelet",), depth=(1, 2, 3), bands=("coarse7", "all"))
    depths = {design.depth for design in space.designs() if design.selection == "coarse7"}
    assert depths == {2, 3}
    assert {design.depth for design in space.designs()} == {1, 2, 3}


def test_a_depth_that_no_band_of_the_space_reaches_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"axis depth: no design can take 1\. .*coarse7"):
        Space().narrow({"depth": [1, 2, 3], "bands": ["coarse7"]})
    Space().narrow({"depth": [2, 3], "bands": ["coarse7"]})
    with pytest.raises(SpaceError, match="'coarse7'"):
        Space().narrow({"depth": [1], "bands": ["coarse7", "all"]})


@pytest.mark.parametrize("text", ["depth", "depth=", "=1", "", "depth 1", "depth:1"])
def test_an_assignment_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SpaceError, match="axis "):
        Space().narrow_text([text])


def test_an_axis_assigned_twice_is_refused_and_not_half_forgotten() -> None:
    with pytest.raises(SpaceError, match="squeeze"):
        Space().narrow_text(["squeeze=avg", "squeeze=dct"])


def test_a_number_of_thousands_of_digits_is_refused_like_any_other() -> None:
    """Python's own int() raises a ValueError about digit limits from 4,301 digits on."""
    with pytest.raises(SpaceError, match="depth"):
        Space().narrow_text(["depth=" + "9" * 5000])


@pytest.mark.parametrize(
    "content",
    [b"depth = [1, 2", b"depth: [1]", b"\xff\xfe", b"depth = [1]\ndepth = [2]\n"],
    ids=["unclosed", "yaml", "no utf-8", "twice"],
)
def test_a_broken_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(SpaceError, match=r"broken\.toml.*depth = \[1, 2\]"):
        Space.from_toml(file)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"absent\.toml"):
        Space.from_toml(tmp_path / "absent.toml")
    with pytest.raises(SpaceError):
        Space.from_toml(tmp_path)


def test_a_readable_file_with_a_wrong_axis_is_refused_by_axis(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text("[space]\ndepth = [1]\n")
    with pytest.raises(SpaceError, match="'space' does not exist"):
        Space.from_toml(file)
    file.write_text("depth = 1979-05-27\n")
    with pytest.raises(SpaceError, match="axis depth"):
        Space.from_toml(file)
