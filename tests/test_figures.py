"""`results.figure_*`; the oracles are matplotlib's own boxes, an XML parser, WCAG's contrast and arithmetic."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from report_rows import DESIGNS, HOSTILE, LUCK, frame_of, hostile_rows, search_rows
from test_results_row import a_row

from results.contexts import contexts, leading
from results.effects import explain
from results.figure_curves import curves, curves_caption
from results.figure_effects import effects
from results.figure_front import front, front_caption
from results.figure_labels import place_names
from results.figure_noise import noise, noise_caption
from results.figure_style import DARK, NAMES, PAPER, new_figure, style, svg, write_picture
from search_space.errors import UserError


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return leading(frame_of(search_rows()))


def texts(figure: Any) -> list[str]:
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


@pytest.mark.parametrize("seed", range(8))
def test_no_name_covers_another_or_a_point_and_none_leaves_the_picture(seed: int) -> None:
    """Oracle: the boxes matplotlib gives the texts once they are drawn."""
    random = np.random.default_rng(seed)
    points = random.normal(0, 1 if seed % 2 else 0.05, (25, 2)) + (0 if seed % 2 else random.integers(0, 2, (25, 1)))
    named = [(float(x), float(y), f"name-of-{i}" * (1 + i % 2)) for i, (x, y) in enumerate(points)]
    with style():
        figure = new_figure(7, 4.5, None)
        axes = figure.add_subplot()
        axes.plot(points[:, 0], points[:, 1], "o")
        lost = place_names(axes, named, [])
        figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    written = [text for text in axes.texts if text.get_text()]
    assert sorted([*lost, *(text.get_text() for text in written)]) == sorted(name for *_, name in named)
    assert len(lost) <= 8
    boxes = [text.get_window_extent(renderer) for text in written]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    centres = axes.transData.transform(points)
    assert not any(box.contains(*centre) for box in boxes for centre in centres)
    outer = axes.get_window_extent(renderer).padded(2)
    assert all(outer.x0 <= box.x0 and box.x1 <= outer.x1 for box in boxes)


def test_published_designs_are_named_whatever_their_spelling(rows: pd.DataFrame) -> None:
    """Oracle: FcaNet's theorem 1, the lowest frequency is the average; so `dct-low1/mlp-r16` has SE's key."""
    from search_space import find_design

    spelt = rows.assign(
        key=[find_design("dct-low1/mlp-r16").key if key == "avg/mlp-r16" else key for key in rows["key"]],
        design=rows["design"].replace({"avg/mlp-r16": "dct-low1/mlp-r16"}),
    )
    said = texts(front(spelt))
    assert {"none", "se", "eca", "fca-ts"} <= set(said)


def test_the_front_in_the_picture_is_the_undominated_set(rows: pd.DataFrame) -> None:
    """Oracle: the rows are made so that costs rise in the order of `DESIGNS`; who beats all cheaper ones is on it."""
    means = {name: truth + mean(LUCK if i < 5 else LUCK[:1]) for i, (name, truth) in enumerate(DESIGNS.items())}
    best = [name for i, name in enumerate(means) if all(means[name] > other for other in list(means.values())[:i])]
    lines = front(rows, caption=front_caption(rows)).axes[0].get_xlabel().splitlines()
    assert [line.split()[1].rstrip(":") for line in lines[lines.index("the front:") + 1 :]] == best


@pytest.mark.parametrize("draw", [(front, front_caption), (curves, curves_caption), (noise, noise_caption)])
def test_a_picture_says_which_data_split_network_recipe_and_fidelity_it_shows(rows: pd.DataFrame, draw: Any) -> None:
    picture, caption = draw
    said = " ".join(" ".join(texts(picture(rows, caption=caption(rows)))).split())
    for fact in (
        "tiny-imagenet-100 (100 classes) at 32 px",
        "validation split",
        "resnet8",
        "proxy (rrrrrrrr)",
        "3 of 3 epochs",
    ):
        assert fact in said


@pytest.mark.parametrize("by", ["macs", "params", "seconds"])
def test_a_front_is_drawn_against_what_was_asked(rows: pd.DataFrame, by: str) -> None:
    unit = {"macs": "MACs (M)", "params": "parameters (k)", "seconds": "training (s)"}[by]
    assert front(rows, by).axes[0].get_xlabel() == unit


@pytest.mark.parametrize("by", ["latency", "accuracy", "flops"])
def test_a_cost_that_is_not_there_is_refused_by_name(rows: pd.DataFrame, by: str) -> None:
    with pytest.raises(UserError, match=by):
        front(rows, by)


def test_a_few_dear_designs_do_not_hide_the_others(rows: pd.DataFrame) -> None:
    """Seven designs within 0.2 per cent keep most of the axis although an eighth costs ten times as much."""
    dear = rows.assign(macs=rows["macs"].where(rows["design"] != "max/affine", 125_000_000))
    figure = front(dear)
    axes = figure.axes[0]
    figure.draw_without_rendering()
    at = axes.transAxes.inverted().transform(axes.transData.transform([[12.518, 45.0], [125.0, 45.0]]))[:, 0]
    assert at[0] > 0.3 and at[1] < 1
    assert "added" in axes.get_xlabel() and "+100 %" in texts(figure)


def test_costs_that_hardly_differ_stand_at_the_axis_in_full(rows: pd.DataFrame) -> None:
    near = rows.assign(macs=12_507_400 + 100 * (rows["macs"].rank(method="dense").astype(int) - 1))
    figure = front(near)
    figure.draw_without_rendering()
    axis = figure.axes[0].xaxis
    assert axis.get_offset_text().get_text() == ""
    ticks = [tick for tick in axis.get_ticklabels() if tick.get_text()]
    assert ticks and all(float(tick.get_text()) == pytest.approx(tick.get_position()[0], abs=1e-9) for tick in ticks)


def test_a_learning_curve_is_the_mean_over_seeds(rows: pd.DataFrame) -> None:
    """Oracle: arithmetic on the records the rows were made of."""
    axes = curves(rows).axes[0]
    lines = {line.get_label().split(",")[0]: line for line in axes.get_lines()}
    assert set(lines) == {"haar-d2-all/mlp-r16", "haar-d2-all/mlp-r8", "dct-top16/mlp-r16", "none", "se"}
    expected = [100 * mean((0.40 + luck) * e / 3 for luck in LUCK) for e in (1, 2, 3)]
    assert lines["none"].get_ydata() == pytest.approx(expected)
    assert lines["none"].get_label() == "none, 3 seeds"


def test_every_run_of_a_design_with_several_seeds_is_a_dot(rows: pd.DataFrame) -> None:
    dots = max((each.get_offsets() for each in noise(rows).axes[0].collections), key=len)
    runs = rows[(rows["status"] == "complete") & rows["design"].isin(list(DESIGNS)[:5])]["accuracy"] * 100
    assert len(runs) == 15 and sorted(dots[:, 0]) == pytest.approx(sorted(runs))


def test_noise_and_curves_that_no_row_tells_are_refused(rows: pd.DataFrame) -> None:
    single = rows[rows["seed"] == 0]
    with pytest.raises(UserError, match="two seeds"):
        noise(single)
    with pytest.raises(UserError, match="learning curve"):
        curves(single.assign(curves=[[] for _ in range(len(single))]))
    with pytest.raises(UserError, match="no complete row"):
        leading(single[single["status"] == "failed"])


def test_an_effect_that_the_rows_cannot_tell_is_said_and_not_drawn_at_zero() -> None:
    """The only design of `std` is the only one of `cfc`; by the others avg is two points better than max."""
    designs = [f"{squeeze}/mlp-r{r}" for squeeze in ("avg", "max") for r in (4, 8, 16, 32)]
    rows = [a_row(network_key=d, key=d, design=d, accuracy=0.5 + 0.02 * ("avg" in d)) for d in designs]
    rows.append(a_row(network_key="n", key="std/cfc", design="std/cfc"))
    [one] = explain(frame_of(rows), axes=["squeeze", "excitation"])
    figure = effects(one, importances={"squeeze": 0.7})
    squeeze, excitation = figure.axes
    assert texts(figure).count("  these rows can't tell") == 3  # std, cfc and mlp
    assert [list(line.get_xdata()) for line in squeeze.get_lines()][1] == pytest.approx([1.0, -1.0])  # points
    assert [len(line.get_xdata()) for line in excitation.get_lines()][1] == 0
    assert "importance by Optuna 70%" in squeeze.get_title("left")
    with pytest.raises(UserError, match="no axis"):
        effects(explain(frame_of(rows), axes=["placement"])[0])


def test_a_row_that_two_storages_hold_is_drawn_once_and_contexts_stay_apart() -> None:
    frame = frame_of(search_rows())
    twice = contexts(pd.concat([frame, frame]))
    assert [len(part) for part in twice] == [len(part) for part in contexts(frame)] == [20, 2, 8]
    assert sum(len(part) for part in twice) == len(frame)
    assert twice[0]["data"].iloc[0] == "tiny-imagenet-100" and twice[0]["network_key"].nunique() == 10


def test_a_hostile_name_is_text_in_the_picture_and_no_formula(rows: pd.DataFrame) -> None:
    """Oracle: the standard library's XML parser reads the picture, and finds no element that is no SVG shape."""
    hostile = frame_of(hostile_rows())
    for picture, caption in ((front, front_caption), (curves, curves_caption), (noise, noise_caption)):
        figure = picture(hostile, caption=caption(hostile))
        page = ElementTree.fromstring(svg(figure, "x", HOSTILE))
        tags = {element.tag.rpartition("}")[2] for element in page.iter()}
        assert tags <= {
            "svg",
            "g",
            "path",
            "use",
            "defs",
            "style",
            "text",
            "tspan",
            "clipPath",
            "rect",
            "image",
            "title",
        }
        assert not any(name.startswith("on") for element in page.iter() for name in element.attrib)


def test_colours_of_a_picture_in_a_page_are_the_pages_and_ids_its_own(rows: pd.DataFrame) -> None:
    one, two = (svg(front(rows), name, "a front") for name in ("one", "two"))
    assert not any(colour in one for colour in NAMES) and "var(--fig-ink)" in one
    ids = [{e.get("id") for e in ElementTree.fromstring(text).iter() if e.get("id")} for text in (one, two)]
    assert ids[0] and not ids[0] & ids[1]
    links = {e.get("{http://www.w3.org/1999/xlink}href", "") for e in ElementTree.fromstring(one).iter()} - {""}
    assert {link[1:] for link in links if link.startswith("#")} <= ids[0]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("role", ["ink", "muted", "blue", "orange", "green", "purple", "cloud"])
def test_every_colour_stands_out_from_the_paper(role: str, dark: bool) -> None:
    """Oracle: WCAG 2.2's contrast; 4.5 for what is read, 3 for shapes (success criteria 1.4.3 and 1.4.11)."""
    light = next(colour for colour, name in NAMES.items() if name == role)
    pair = (DARK[light], DARK[PAPER]) if dark else (light, PAPER)
    assert contrast(*pair) >= (3 if role == "cloud" else 4.5)


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_ending_of_a_file_chooses_the_format(rows: pd.DataFrame, tmp_path: Path, ending: str, magic: bytes) -> None:
    path = tmp_path / f"curves.{ending}"
    write_picture(curves(rows), path)
    assert path.read_bytes().startswith(magic) and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["front.doc", "front", "no/such/folder/front.png"])
def test_a_file_that_cannot_be_a_picture_is_refused(rows: pd.DataFrame, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"allowed: .*\.png|there is no folder"):
        write_picture(curves(rows), tmp_path / name)


def test_macs_of_two_conventions_are_not_drawn_on_one_axis() -> None:
    frame = frame_of([a_row(), a_row(network_key="other", macs_convention="all")])
    with pytest.raises(UserError, match="conventions"):
        front(frame)
