"""`results.effects` and `results.factors`: designs of a storage as lines of a factorial experiment.

Oracles: the space's own choices, means by hand, and the truth that generated the rows.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_results_ranking import frame_of
from test_results_row import a_row

from results.effects import axes, effects, explain, interactions
from results.factors import FACTORS, experiment, levels_of, named_axes
from results.row import Row
from search_space import Space
from search_space.errors import UserError

SPACE = Space(squeeze=("avg", "max", "dct"), excitation=("mlp", "conv1d", "cfc"), frequencies=("low4", "top8"))


def trained(text: str, accuracy: float = 0.5, seed: int = 0, **changes: Any) -> Row:
    return a_row(network_key=text, key=text, design=text, accuracy=accuracy, seed=seed, **changes)


def searched(noise: float = 0.0, **changes: Any) -> list[Row]:
    """Every design of the space; dct and r4 are better by a known amount."""
    draw = random.Random(0)
    return [
        trained(
            str(design),
            0.5 + 0.1 * (design.squeeze == "dct") + 0.04 * (design.reduction == 4) + noise * draw.uniform(-1, 1),
            **changes,
        )
        for design in SPACE.distinct()
    ]


def test_the_levels_of_a_design_are_the_choices_that_lead_to_it() -> None:
    """Oracle: `Space.choices`, for every tenth canonical design of the default space."""
    space = Space(placement=("published", "mid"))
    designs = [design for design in space.distinct() if design == design.canonical()]
    assert len(designs) > 1000
    for design in designs[::10]:
        choices = {axis: str(choice).lower() for axis, choice in space.choices(design).items()}
        choices["squeeze"] = choices["squeeze"].partition("-s")[0]  # ortho-s0 is ortho
        found = levels_of(design.key)
        assert found is not None and set(found) <= set(FACTORS)
        if design.squeeze == "wavelet" and design.entries == 3 * (design.depth or 0) + 1:
            choices["bands"] = "all"  # coarse4 of depth 1
        assert found == choices, str(design)


def test_a_list_of_designs_and_a_text_of_tomorrow_have_no_levels_and_are_counted() -> None:
    rows = [*searched(0.01), trained("avg/mlp-r4 | max/mlp-r4", 0.9), trained("quantum/mlp-r4", 0.9)]
    [one] = explain(frame_of(rows))
    assert levels_of("quantum/mlp-r4") is levels_of("avg/mlp-r4 | max/mlp-r4") is None
    assert one.left_out == 2 and one.model.designs == len(SPACE.distinct())


def test_a_design_is_one_line_by_its_mean_over_seeds() -> None:
    accuracies = [0.5, 0.7, 0.9]
    rows = [trained("avg/mlp-r4", accuracy, seed) for seed, accuracy in enumerate(accuracies)]
    failed = trained("avg/mlp-r4", 0.1, 7, status="failed", failure="oom")
    frame = frame_of([*rows, failed, trained("max/mlp-r4", 0.6)])
    lines = experiment(pd.concat([frame, frame])).set_index("key")  # a seed of two joined storages counts once
    assert list(lines["runs"]) == [3, 1] and lines.loc["avg/mlp-r4", "mean"] == pytest.approx(0.7)
    assert lines.loc["avg/mlp-r4", "squares"] == pytest.approx(np.var(accuracies) * 3)


def test_effects_are_fractions_against_the_average_level_with_designs_and_runs() -> None:
    found = effects(frame_of([*searched(), *searched(seed=1)])).set_index(["axis", "level"])
    squeeze, reduction = found.loc["squeeze", "effect"], found.loc["reduction", "effect"]
    assert dict(squeeze) == pytest.approx({"avg": -0.1 / 3, "dct": 0.2 / 3, "max": -0.1 / 3})
    assert dict(reduction) == pytest.approx({"4": 0.08 / 3, "8": -0.04 / 3, "16": -0.04 / 3})
    assert list(reduction.index) == ["4", "8", "16"]  # as numbers are ordered
    every = [str(design) for design in SPACE.distinct()]
    assert found.loc[("squeeze", "avg"), "designs"] == sum(text.startswith("avg/") for text in every)
    assert (found["runs"] == 2 * found["designs"]).all()
    assert (found["low"] <= found["effect"]).all() and (found["effect"] <= found["high"]).all()


def test_good_regions_that_were_searched_more_do_not_flatter_what_else_was_tried_there() -> None:
    """`cfc` does nothing, but nearly all of its designs were tried with the good squeeze: its raw mean is high."""
    rows = [row for row in searched() if "dct" in row.key or "cfc" not in row.key]
    raw = frame_of(rows).assign(cfc=lambda frame: frame["key"].str.contains("cfc")).groupby("cfc")["accuracy"].mean()
    assert raw[True] > raw[False] + 0.02
    found = effects(frame_of(rows)).set_index(["axis", "level"])
    assert found.loc[("excitation", "cfc"), "effect"] == pytest.approx(
        found.loc[("excitation", "conv1d"), "effect"], abs=1e-9
    )


def test_the_axis_that_does_something_has_the_share_and_the_others_have_none() -> None:
    found = axes(frame_of(searched(0.02))).set_index("axis")
    assert found.loc["squeeze", "p_holm"] < 1e-6 and found.loc["squeeze", "share"] > 0.7
    assert found.loc["frequencies", "p_holm"] > 0.05 and found.loc["frequencies", "share_low"] == 0
    assert found.loc["placement", "note"] == "one level: published"
    assert (found["p_holm"] >= found["p"])[found["p"].notna()].all()


def test_an_interaction_stands_beside_its_cells() -> None:
    rows = [
        trained(row.key, float(row.accuracy or 0) + 0.1 * (row.key.startswith("dct") and "cfc" in row.key))
        for row in searched(0.02)
    ]
    found = interactions(frame_of(rows)).set_index(["axis", "other_axis"]).sort_index()
    pair = found.loc[("squeeze", "excitation")]
    assert pair["p_holm"].nunique() == 1 and pair["p_holm"].iloc[0] < 0.01
    cell = pair.set_index(["level", "other_level"]).loc[("dct", "cfc")]
    assert cell["low"] < 0.1 < cell["high"] and cell["low"] > 0
    assert found.loc[("squeeze", "reduction"), "p_holm"].min() > 0.05
    assert ("frequencies", "kernel") in found.index and ("reduction", "kernel") not in found.index


def test_contexts_are_explained_apart_and_that_of_most_designs_alone_unless_asked() -> None:
    texts = [f"{squeeze}/mlp-r{r}" for squeeze in ("avg", "max") for r in (4, 8, 16, 32)]
    few = [trained(text, 0.9 if "avg" in text else 0.1, data_hash="other") for text in texts]
    frame = frame_of([*searched(0.01), *few])
    one, both = effects(frame), effects(frame, every_context=True, axes=["squeeze"])
    assert set(one["data_hash"]) == {"d0"} and set(both["data_hash"]) == {"d0", "other"}
    assert both[both["data_hash"] == "other"].set_index("level").loc["avg", "effect"] == pytest.approx(0.4)
    mine = both[both["data_hash"] == "d0"].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, effects(frame, axes=["squeeze"]))


def test_rows_of_the_test_split_are_explained_only_where_there_are_no_others() -> None:
    test = [trained(text, split="test") for text in ("avg/mlp-r4", "max/mlp-r4", "avg/mlp-r8")]
    [found] = explain(frame_of([*test, trained("avg/mlp-r4"), trained("max/mlp-r4")]))
    assert found.about["split"] == "validation"
    assert explain(frame_of(test))[0].about["split"] == "test"


def test_a_rung_of_halving_is_explained_by_its_stopped_rows_when_asked() -> None:
    rung = searched(0.01, status="stopped", epochs=3)
    frame = frame_of([*rung, trained("avg/mlp-r4"), trained("dct-low4/mlp-r4", 0.6)])
    assert explain(frame)[0].model.designs == 2
    [one] = explain(frame, epochs=3)
    assert one.model.designs == len(rung) and one.about["epochs"] == 3
    with pytest.raises(UserError, match="no row was measured at 4 epochs; epochs at which rows were measured: 3, 10"):
        explain(frame, epochs=4)
    with pytest.raises(UserError, match="no row is complete"):
        explain(frame_of(rung))


@pytest.mark.parametrize(
    ("options", "named"),
    [({"on": "macs"}, "on='macs'.*accuracy, loss"), ({"axes": ["colour"]}, "'colour'.*squeeze, wavelet")],
)
def test_what_cannot_be_asked_is_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        explain(frame_of(searched()), **options)
    with pytest.raises(UserError, match="lacks the columns seed"):
        explain(frame_of(searched()).drop(columns="seed"))


def test_selection_is_the_frequencies_of_a_dct_and_the_bands_of_a_wavelet() -> None:
    assert named_axes(["squeeze", "selection", "bands"]) == ["squeeze", "frequencies", "bands"]
    assert named_axes(["selection"], {"squeeze": 1, "bands": 2}) == ["bands"]
    texts = [f"{left}/mlp-r{r}" for left in ("dct-low4", "dct-top8", "haar-d1-all", "haar-d1-details") for r in (4, 8)]
    frame = frame_of([trained(text, 0.5 + 0.01 * number) for number, text in enumerate(texts)])
    pd.testing.assert_frame_equal(axes(frame, axes=["selection"]), axes(frame, axes=["frequencies", "bands"]))
    assert list(axes(frame, axes=["selection"])["axis"]) == ["frequencies", "bands"]


@settings(max_examples=8, deadline=None)
@given(st.randoms(use_true_random=False), st.sets(st.integers(0, 40), max_size=12))
def test_neither_the_order_of_rows_nor_the_names_of_levels_matter(shuffle: random.Random, without: set[int]) -> None:
    rows = [row for number, row in enumerate(searched(0.02)) if number not in without]
    frame = frame_of(rows)
    expected = effects(frame)
    order = list(range(len(frame)))
    shuffle.shuffle(order)
    pd.testing.assert_frame_equal(effects(frame.iloc[order]), expected)

    words = {"squeeze": {"avg": "max", "max": "std"}, "excitation": {"cfc": "affine"}}

    def renamed(key: str) -> str:
        left, right = key.split("/")
        return f"{words['squeeze'].get(left, left)}/{words['excitation'].get(right, right)}"

    other = effects(frame.assign(key=frame["key"].map(renamed))).set_index(["axis", "level"])
    for line in expected.to_dict("records"):
        level = words.get(line["axis"], {}).get(line["level"], line["level"])
        same = other.loc[(line["axis"], level)]
        numbers = ["designs", "effect", "low", "high"]
        assert same[numbers].tolist() == pytest.approx([line[name] for name in numbers], nan_ok=True)
