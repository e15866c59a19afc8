"""The text form of a design: one text for one design, and a refusal that helps for everything else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_space import NONE, PRESETS, AttentionDesign, DesignError, Space, find_design

WAVELETS = ("haar", "db2", "sym4", "bior2.2")


@st.composite
def legal_designs(draw: st.DrawFn) -> AttentionDesign:
    """Any legal combination of fields, most of them outside the default space."""
    squeeze = draw(st.sampled_from(["none", "avg", "max", "std", "energy", "dct", "wavelet"]))
    if squeeze == "none":
        return NONE
    excitation = draw(st.sampled_from(["mlp", "conv1d", "affine", "pfca"]))
    reduction = draw(st.integers(1, 2048)) if excitation == "mlp" else None
    kernel = draw(st.none() | st.integers(0, 50).map(lambda i: 2 * i + 1)) if excitation == "conv1d" else None
    gate: dict[str, Any] = {"excitation": excitation, "reduction": reduction, "kernel": kernel}
    each = draw(st.booleans()) and excitation != "pfca"
    if squeeze == "dct":
        selection = draw(st.sampled_from(["low", "top", "bottom"])) + str(draw(st.integers(1, 32)))
        return AttentionDesign("dct", selection=selection, each=each, **gate)
    if squeeze == "wavelet":
        depth = draw(st.integers(1, 10))
        coarse = st.integers(1, 3 * depth + 1).map("coarse{}".format)
        name, selection = draw(st.sampled_from(WAVELETS)), draw(st.sampled_from(["all", "details"]) | coarse)
        statistic = draw(st.sampled_from(["mean", "energy"]))
        return wavelet(name, depth, selection, statistic=statistic, each=each, **gate)
    return AttentionDesign(squeeze, **gate)


def wavelet(name: str, depth: int, selection: str, **fields: Any) -> AttentionDesign:
    return AttentionDesign("wavelet", wavelet=name, depth=depth, selection=selection, **fields)


def test_text_and_design_are_inverse_over_the_whole_default_space() -> None:
    designs = Space().designs()
    texts = [str(design) for design in designs]
    assert [AttentionDesign.parse(text) for text in texts] == list(designs)
    assert len(set(texts)) == len(designs)


@settings(deadline=None, max_examples=300)
@given(legal_designs())
def test_text_and_design_are_inverse_outside_the_default_space(design: AttentionDesign) -> None:
    text = str(design)
    assert AttentionDesign.parse(text) == design
    assert str(AttentionDesign.parse(text)) == text


@settings(deadline=None, max_examples=300)
@given(legal_designs())
def test_a_key_is_the_text_of_a_design_that_is_its_own_key(design: AttentionDesign) -> None:
    assert AttentionDesign.parse(design.key).key == design.key


@pytest.mark.parametrize(
    "gate",
    [{"excitation": "mlp", "reduction": 100_000}, {"excitation": "conv1d", "kernel": 1001}],
)
def test_a_design_with_a_large_number_is_refused_or_can_be_read_back(gate: dict[str, Any]) -> None:
    try:
        design = AttentionDesign("avg", **gate)
    except DesignError:
        return
    assert AttentionDesign.parse(str(design)) == design


@pytest.mark.parametrize(
    ("text", "design"),
    [  # DESIGN.md section 2 and its list of fields
        ("none", AttentionDesign("none")),
        ("avg/mlp-r16", AttentionDesign("avg", excitation="mlp", reduction=16)),
        ("avg/conv1d", AttentionDesign("avg", excitation="conv1d")),
        ("avg/conv1d-k5", AttentionDesign("avg", excitation="conv1d", kernel=5)),
        ("dct-top16/mlp-r16", AttentionDesign("dct", selection="top16", excitation="mlp", reduction=16)),
        ("dct-low8-each/affine", AttentionDesign("dct", selection="low8", each=True, excitation="affine")),
        ("haar-d3-all/mlp-r16", wavelet("haar", 3, "all", excitation="mlp", reduction=16)),
        (
            "db2-d2-details-energy/conv1d",
            wavelet("db2", 2, "details", statistic="energy", excitation="conv1d"),
        ),
        (
            "bior2.2-d1-coarse3-energy-each/affine",
            wavelet("bior2.2", 1, "coarse3", statistic="energy", each=True, excitation="affine"),
        ),
    ],
)
def test_the_text_form_is_the_one_of_the_plan(text: str, design: AttentionDesign) -> None:
    assert str(design) == text
    assert AttentionDesign.parse(text) == design


def test_defaults_are_never_written() -> None:
    """Oracle: the defaults of the dataclass, spelled out here: mean, not each, the adaptive kernel."""
    defaults: dict[str, Any] = {"statistic": "mean", "each": False, "reduction": None, "kernel": None}
    design = wavelet("haar", 2, "all", excitation="conv1d", **defaults)
    assert str(design) == "haar-d2-all/conv1d"
    for text in map(str, Space().designs()):
        assert not any(word in text for word in ("-mean", "None", "False", "True", "wavelet"))


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
    ],
)
def test_a_non_canonical_or_broken_spelling_is_refused(text: str) -> None:
    with pytest.raises(DesignError) as refusal:
        AttentionDesign.parse(text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize("text", ["dct-top1６/mlp-r16", "haar-d3-coarse1０/affine", "avg/mlp-r1６"])
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
    ],
)
def test_the_nearest_valid_spelling_is_suggested(text: str, nearest: str) -> None:
    with pytest.raises(DesignError, match="Nearest valid spelling: ") as refusal:
        find_design(text)
    assert f"Nearest valid spelling: {nearest}" in str(refusal.value).replace(" Presets:", "\n").splitlines()[0]
    suggestion = str(refusal.value).split("Nearest valid spelling: ")[1].split()[0]
    assert suggestion == nearest


@pytest.mark.parametrize("text", ["AVG/mlp-r16", "mean/mlp-r16"])
def test_a_refusal_says_everything_once(text: str) -> None:
    with pytest.raises(DesignError) as refusal:
        AttentionDesign.parse(text)
    message = str(refusal.value)
    assert message.count("Nearest valid spelling") == 1
    assert message.count("allowed:") + message.count("A design is written") == 1


FRAGMENTS = "none avg std dct - top low 16 0 3 haar bior2.2 -d3 -all -details -energy -each / mlp -r16 conv1d -k3 pfca"


@settings(deadline=None, max_examples=40)
@given(st.text(max_size=30) | st.lists(st.sampled_from([*FRAGMENTS.split(), " ", "\n", "\x00"])).map("".join))
def test_any_text_is_a_design_or_a_design_error(text: str) -> None:
    for read in (AttentionDesign.parse, find_design):
        try:
            design = read(text)
        except DesignError:
            continue
        assert text.strip() == str(design) or text.strip().lower() in PRESETS


def test_presets_are_found_by_name_and_designs_by_text() -> None:
    """Oracle: attention.md section 6.2, the published recipes."""
    published = {
        "none": "none",
        "se": "avg/mlp-r16",
        "eca": "avg/conv1d",
        "fca-lf": "dct-low2/mlp-r16",
        "fca-ts": "dct-top16/mlp-r16",
    }
    for name, text in published.items():
        assert str(find_design(name)) == text
        assert find_design(text) == find_design(name.upper()) == PRESETS[name]
    with pytest.raises(DesignError, match="Presets: none, se, eca"):
        find_design("resnext")
