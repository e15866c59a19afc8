"""A text that names no design is refused, with the axis, the value, what is allowed and the nearest valid spelling."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from search_space import PRESETS, AttentionDesign, DesignError, find_design


@pytest.mark.parametrize(
    "text",
    [
        "dct-top016/mlp-r16",
        "avg/mlp-r016",
        "avg/conv1d-k03",
        "haar-d03-all/affine",
        "haar-d2-coarse04/affine",
        "avg /mlp-r16",
        "avg/ mlp-r16",
        "dct- top16/mlp-r16",
        "AVG/mlp-r16",
        "avg/MLP-r16",
        "Haar-d2-all/affine",
        "avg/mlp-r16x",
        "avg/mlp-r16/",
        "avg/mlp-r16/mlp-r16",
        "avg/mlp-r16 | avg/mlp-r16",
        "avg/mlp-r16\n;none",
        "none/mlp-r16",
        "haar-d2-all-mean/affine",
        "haar-d2-all-each-energy/affine",
        "avg-each/affine",
        "avg/mlp",
        "avg/affine-r4",
        "avg/mlp-r16-k3",
        "avg/mlp-k3-r16",
        "avg",
        "/mlp-r16",
        "",
        "avg/mlp-r16@",
        "avg/mlp-r16@after-norm",
        "avg/mlp-r16@shortcut",
        "avg/mlp-r16@mid@mid",
        "avg/mlp-r16-bias-shared",
        "avg/mlp-bias-r16",
        "avg+avg/fc",
        "avg+/fc",
        "avg+context/fc",
        "ortho/fc",
        "ortho-s00/fc",
        "ortho-s0-each/fc",
        "context-each/fc",
        "dct-at/fc",
        "dct-at07/fc",
        "dct-at0/fc",
        "dct-at00./fc",
        "dct-at00.00-each/fc",
        "dct-learned4-each/fc",
        "dct-learned0/fc",
        "ema",
        "ema-r32",
        "ema-g032",
        "ema-g32/fc",
        "simam-g1",
        "triplet-k4",
        "ba-r16@mid",
    ],
)
def test_a_non_canonical_or_broken_spelling_is_refused(text: str) -> None:
    with pytest.raises(DesignError) as refusal:
        AttentionDesign.parse(text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize("text", ["dct-top1６/mlp-r16", "haar-d3-coarse1０/affine", "avg/mlp-r1６", "dct-at0０/fc"])
def test_digits_of_other_scripts_are_no_second_spelling(text: str) -> None:
    """int("1６") is 16 in Python: without care the same design has two texts and two keys."""
    with pytest.raises(DesignError):
        AttentionDesign.parse(text)


@pytest.mark.parametrize(
    ("text", "axis", "value", "allowed"),
    [
        ("dct-top33/mlp-r16", "selection", "top33", "1 to 32"),
        ("dct-mid4/mlp-r16", "selection", "mid4", "low"),
        ("haar-d1-coarse5/affine", "selection", "coarse5", "1 to 4 at depth 1"),
        ("haar-d0-all/affine", "depth", "0", "1 to"),
        ("haar-d11-all/affine", "depth", "11", "1 to 10"),
        ("db9-d2-all/affine", "wavelet", "db9", "haar, db2, sym4, bior2.2"),
        ("avg/mlp-r0", "reduction", "0", ">= 1"),
        ("avg/affine-r4", "reduction", "4", "mlp"),
        ("avg/conv1d-k4", "kernel", "4", "odd"),
        ("avg/affine-k3", "kernel", "3", "conv1d"),
        ("dct-low4-each/pfca", "excitation", "pfca", "one number a channel"),
        ("avg+std/gated", "excitation", "gated", "one number a channel"),
        ("avg+std/affine-g4", "excitation", "affine", "one number a channel"),
        ("avg/mlp-r4-shared", "sharing", "shared", "several numbers a channel"),
        ("avg/mlp-r4-hard-add", "activation", "hard", "none with -add"),
        ("avg/gaussian-hard", "activation", "hard", "mlp, conv1d, affine, fc, cfc"),
        ("avg/mlpp-r16", "excitation", "mlpp", "mlp, conv1d"),
        ("avg/cfc-bias", "bias", "True", "mlp, conv1d, fc"),
        ("dct-at07/fc", "selection", "at07", "pairs of 0 to 6"),
        ("dct-learned33/fc", "selection", "learned33", "1 to 32"),
        ("triplet-k4", "kernel", "4", "odd"),
        ("sge-r4", "reduction", "4", "cbam"),
        ("ema", "groups", "None", "ema-g16"),
        ("avg/fc@shortcut", "placement", "shortcut", "after-norm, before-norm, before-conv, mid"),
        ("ba-r16@mid", "placement", "mid", "after-norm"),
    ],
)
def test_a_refusal_names_the_axis_the_value_and_what_is_allowed(text: str, axis: str, value: str, allowed: str) -> None:
    with pytest.raises(DesignError) as refusal:
        AttentionDesign.parse(text)
    message = str(refusal.value)
    assert axis in message
    assert value in message.removeprefix(f"design {text!r}")
    assert allowed in message


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("haar-d3-al/mlp-r16", "haar-d3-all/mlp-r16"),
        ("senet", "se"),
        ("dct-top016/mlp-r16", "dct-top16/mlp-r16"),
        ("dct-top16/mpl-r16", "dct-top16/mlp-r16"),
        ("haar-d2-detail/affine", "haar-d2-details/affine"),
        ("avg+sdt/cfc", "avg+std/cfc"),
        ("emma-g32", "ema-g32"),
        ("gausian-gct", "gaussian-gct"),
    ],
)
def test_the_nearest_valid_spelling_is_suggested(text: str, nearest: str) -> None:
    with pytest.raises(DesignError, match="Nearest valid spelling: ") as refusal:
        find_design(text)
    assert f"Nearest valid spelling: {nearest}" in str(refusal.value).replace(" Presets:", "\n").splitlines()[0]
    suggestion = str(refusal.value).split("Nearest valid spelling: ")[1].split()[0].rstrip(".")
    assert suggestion == nearest


@pytest.mark.parametrize("text", ["AVG/mlp-r16", "mean/mlp-r16"])
def test_a_refusal_says_everything_once(text: str) -> None:
    with pytest.raises(DesignError) as refusal:
        AttentionDesign.parse(text)
    message = str(refusal.value)
    assert message.count("Nearest valid spelling") == 1
    assert message.count("allowed:") + message.count("A design is SQUEEZE") == 1


FRAGMENTS = (
    "none avg std + dct - at 00 .01 top low 16 0 3 haar bior2.2 -d3 -all -details -energy -each / mlp -r16 conv1d"
)
FRAGMENTS += " -k3 pfca ema-g32 simam recursive ortho-s0 -shared -bias @ mid se | learned"


@settings(
    deadline=None,
    max_examples=20,  # a refusal searches all spellings for the nearest: a fifth of a second
)
@given(st.text(max_size=30) | st.lists(st.sampled_from([*FRAGMENTS.split(), " ", "\n", "\x00"])).map("".join))
@example("se@")
@example("none@after-norm")
@example("se | eca")
@example("|")
def test_any_text_is_a_design_or_a_design_error(text: str) -> None:
    for read in (AttentionDesign.parse, find_design):
        try:
            design = read(text)
        except DesignError:
            continue
        if read is AttentionDesign.parse or not any(mark in text for mark in "@|"):
            assert text.strip() == str(design) or text.strip().lower() in PRESETS
        assert find_design(str(design)) == design
