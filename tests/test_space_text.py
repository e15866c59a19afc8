"""The text form of a design: one text for one design, and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_space import NONE, AttentionDesign, DesignError, Space

WAVELETS = ("haar", "db2", "sym4", "bior2.2")
STATISTICS = ("avg", "max", "blurmax", "std", "skew", "l2", "energy", "entropy", "relentropy")
PLACEMENTS = (None, "after-norm", "before-norm", "before-conv", "mid")
BLOCKS: dict[str, dict[str, Any]] = {  # what each can be told, and what it is told here
    "simam": {},
    "ema": {"groups": 32},
    "cbam": {"reduction": 16},
    "cat": {"reduction": 4},
    "coordinate": {"reduction": 32},
    "triplet": {"kernel": 7},
    "sge": {"groups": 64},
    "ba": {"reduction": 16},
    "wavenet-ae": {"reduction": 8},
}
numbers = st.integers(1, 99_999)
pairs = st.tuples(st.integers(0, 6), st.integers(0, 6)).map(lambda pair: f"{pair[0]}{pair[1]}")


@st.composite
def squeezes(draw: st.DrawFn) -> dict[str, Any]:
    """Fields of any squeeze that has an excitation."""
    family = draw(st.sampled_from(["statistics", "context", "recursive", "ortho", "dct", "list", "learned", "wavelet"]))
    each = draw(st.booleans())
    if family == "statistics":
        return {"squeeze": "+".join(draw(st.lists(st.sampled_from(STATISTICS), min_size=1, max_size=9, unique=True)))}
    if family == "ortho":
        return {"squeeze": "ortho", "seed": draw(st.integers(0, 999_999))}
    if family == "dct":
        selection = draw(st.sampled_from(["low", "top", "bottom"])) + str(draw(st.integers(1, 32)))
        return {"squeeze": "dct", "selection": selection, "each": each}
    if family == "list":
        listed = draw(st.lists(pairs, min_size=1, max_size=32, unique=each))
        return {"squeeze": "dct", "selection": "at" + ".".join(listed), "each": each}
    if family == "learned":
        return {"squeeze": "dct", "selection": f"learned{draw(st.integers(1, 32))}"}
    if family == "wavelet":
        depth = draw(st.integers(1, 10))
        coarse = st.integers(1, 3 * depth + 1).map("coarse{}".format)
        fields = {"wavelet": draw(st.sampled_from(WAVELETS)), "depth": depth, "each": each}
        fields |= {"selection": draw(st.sampled_from(["all", "details"]) | coarse)}
        return {"squeeze": "wavelet", "statistic": draw(st.sampled_from(["mean", "energy"])), **fields}
    return {"squeeze": family, "each": each and family == "recursive"}


@st.composite
def excitations(draw: st.DrawFn, several: bool) -> dict[str, Any]:
    """Fields of any excitation that takes one number a channel, or several."""
    one_number = () if several else ("pfca", "gated", "gaussian")
    name = draw(st.sampled_from(["mlp", "conv1d", "affine", "fc", "cfc", *one_number]))
    fields: dict[str, Any] = {"excitation": name}
    if name == "mlp":
        fields |= {"reduction": draw(numbers), "norm": draw(st.booleans())}
        fields |= {"fusion": draw(st.sampled_from(["mul", "add"]))}
        fields |= {"sharing": draw(st.sampled_from([None, "shared", "mixed"]))} if several else {}
    if name == "conv1d":
        fields |= {"kernel": draw(st.none() | st.integers(0, 499).map(lambda i: 2 * i + 1))}
    if name == "affine" and not several:
        fields |= {"groups": draw(st.none() | numbers)}
    if name in ("mlp", "conv1d", "fc"):
        fields |= {"bias": draw(st.booleans())}
    if name in ("mlp", "conv1d", "fc", "affine", "cfc") and fields.get("fusion") != "add":
        fields |= {"activation": draw(st.sampled_from(["sigmoid", "hard"]))}
    return fields


@st.composite
def legal_designs(draw: st.DrawFn) -> AttentionDesign:
    """Any legal combination of fields, most of them outside the default space."""
    kind = draw(st.sampled_from(["none", "block", *["product"] * 8]))
    if kind == "none":
        return NONE
    placement = draw(st.sampled_from(PLACEMENTS))
    if kind == "block":
        name = draw(st.sampled_from(sorted(BLOCKS)))
        return AttentionDesign(name, **BLOCKS[name], placement=None if name == "ba" else placement)
    squeeze = draw(squeezes())
    several = "+" in squeeze["squeeze"] or AttentionDesign(**squeeze, excitation="fc").numbers > 1
    return AttentionDesign(**squeeze, **draw(excitations(several)), placement=placement)


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
@given(legal_designs(), legal_designs())
def test_two_designs_of_one_text_are_equal(one: AttentionDesign, other: AttentionDesign) -> None:
    assert (str(one) == str(other)) == (one == other)
    assert one != other or hash(one) == hash(other)


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
        # the readings of attention.md 6.2 (interface of the grammar)
        ("avg+std/cfc", AttentionDesign("avg+std", excitation="cfc")),
        (
            "avg+max/mlp-r16-shared-bias",
            AttentionDesign("avg+max", excitation="mlp", reduction=16, sharing="shared", bias=True),
        ),
        (
            "context/mlp-r16-ln-bias-add",
            AttentionDesign("context", excitation="mlp", reduction=16, norm=True, bias=True, fusion="add"),
        ),
        ("avg/fc-bias-hard", AttentionDesign("avg", excitation="fc", bias=True, activation="hard")),
        ("avg/affine-g64", AttentionDesign("avg", excitation="affine", groups=64)),
        ("avg+skew/conv1d-k7-bias", AttentionDesign("avg+skew", excitation="conv1d", kernel=7, bias=True)),
        ("l2/gated@after-norm", AttentionDesign("l2", excitation="gated", placement="after-norm")),
        ("recursive-each/fc", AttentionDesign("recursive", each=True, excitation="fc")),
        ("ortho-s12/fc", AttentionDesign("ortho", seed=12, excitation="fc")),
        ("dct-at00.01.60/fc", AttentionDesign("dct", selection="at00.01.60", excitation="fc")),
        ("dct-learned16/fc", AttentionDesign("dct", selection="learned16", excitation="fc")),
        ("simam", AttentionDesign("simam")),
        ("simam@mid", AttentionDesign("simam", placement="mid")),
        ("ema-g32", AttentionDesign("ema", groups=32)),
        ("triplet-k7@before-norm", AttentionDesign("triplet", kernel=7, placement="before-norm")),
        ("wavenet-ae-r16", AttentionDesign("wavenet-ae", reduction=16)),
    ],
)
def test_the_text_form_is_the_one_of_the_plan(text: str, design: AttentionDesign) -> None:
    assert str(design) == text
    assert AttentionDesign.parse(text) == design


def test_defaults_are_never_written() -> None:
    """Oracle: the defaults of the dataclass, spelled out here: mean, not each, the adaptive kernel..."""
    defaults: dict[str, Any] = {"statistic": "mean", "each": False, "reduction": None, "kernel": None, "bias": False}
    defaults |= {"groups": None, "seed": None, "sharing": None, "norm": False, "activation": "sigmoid", "fusion": "mul"}
    defaults |= {"placement": "after-norm"}
    design = wavelet("haar", 2, "all", excitation="conv1d", **defaults)
    assert str(design) == "haar-d2-all/conv1d"
    for text in map(str, Space().designs()):
        assert not any(word in text for word in ("-mean", "None", "False", "True", "wavelet", "sigmoid", "@"))
