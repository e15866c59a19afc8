"""Pairs of axes that act together, drawn and said. Oracles: the truth that made the rows, and `interactions`."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from conftest import Done
from test_effects import searched, trained
from test_results_ranking import frame_of

from results import Row, open_store
from results.effects import Explained, explain
from results.figure_effects import interactions
from results.together import cells_of, sentence
from search_space.errors import UserError

Attnas = Callable[..., Done]


def planted() -> list[Row]:
    """Cross-channel fully connected gates are ten points better under a DCT than both choices are alone."""
    return [
        trained(row.key, float(row.accuracy or 0) + 0.1 * (row.key.startswith("dct") and "cfc" in row.key))
        for row in searched(0.02)
    ]


def model(rows: list[Row]) -> Explained:
    [one] = explain(frame_of(rows))
    return one


def kept(rows: list[Row]) -> None:
    with open_store("sqlite:///attnas.db") as store:
        for row in rows:
            store.finish(row)


def test_the_pair_that_was_planted_is_drawn_with_its_intervals() -> None:
    one = model(planted())
    [panel] = interactions(one).axes
    assert panel.get_title("left").startswith("squeeze x excitation   (p by Holm < 0.001")
    names = [tick.get_text() for tick in panel.get_yticklabels()]
    cells = cells_of(one.interactions(), "squeeze", "excitation")
    drawn = {
        f"{a} x {b}  ({n})" for a, b, n in zip(cells["level"], cells["other_level"], cells["designs"], strict=True)
    }
    assert set(names) == drawn and names[0].startswith("dct x cfc")  # the best first
    [bars] = panel.collections
    spans = np.array([segment[:, 0] for segment in bars.get_segments()])
    assert np.allclose(np.sort(spans[:, 0]), np.sort(100 * cells["low"]))
    assert np.allclose(np.sort(spans[:, 1]), np.sort(100 * cells["high"]))
    assert spans[0][0] < 10 < spans[0][1] and spans[0][0] > 0


def test_terminal_plot_and_page_name_the_same_pairs(attnas: Attnas) -> None:
    kept(planted())
    said = sentence(model(planted()).interactions())
    assert said.endswith("simply add up): squeeze x excitation.")
    assert said in attnas("results", "effects").out
    done = attnas("results", "plot", "interactions", "-o", "it.svg")
    assert done.code == 0 and "dct x cfc" in Path("it.svg").read_text("utf-8")
    assert attnas("results", "report", "-o", "r.html").code == 0
    page = Path("r.html").read_text("utf-8")
    assert "Which axes act together: interactions" in page and "dct x cfc" in page
    assert said in unescape(page)  # what the picture says to those who can't see it


def test_nothing_beyond_luck_is_a_sentence_and_no_picture(attnas: Attnas) -> None:
    kept(searched(0.02))
    said = sentence(model(searched(0.02)).interactions())
    assert said.startswith("No pair of axes acts together beyond luck (") and said.endswith(" pairs tested).")
    assert said in attnas("results", "effects").out
    with pytest.raises(UserError, match="No pair of axes"):
        interactions(model(searched(0.02)))
    done = attnas("results", "plot", "interactions", "-o", "it.svg")
    assert done.code == 2 and said in done.err and not Path("it.svg").exists()
    assert attnas("results", "report", "-o", "r.html").code == 0
    page = Path("r.html").read_text("utf-8")
    assert said in page and "lead to expect" not in page
