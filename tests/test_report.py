"""`results.report`; the oracles are the standard library's HTML parser and how the rows were made."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_rows import DESIGNS, HOSTILE, REAL, frame_of, hostile_rows, search_rows
from test_results_row import a_row

from results.effects import explain
from results.report import GENERATOR, Note, report, write_report
from results.report_facts import Table
from results.row import CONTEXT
from results.studies import Study
from search_space.errors import UserError


class Page(HTMLParser):
    """Tags with their attributes, text by the id of the nearest section, and scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.text = ""
        self.title = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self._inside = tag
        if tag == "script":
            self.scripts.append((dict(attributes).get("type"), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)
        elif self._inside == "title" and not self.title:
            self.title = data
        else:
            self.text += data


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(report(frame_of(search_rows()), source="sqlite:///a.db"))


def tables(page: Page) -> list[dict[str, Any]]:
    return [json.loads(text) for kind, text in page.scripts if kind == "application/json"]


def test_the_page_names_the_data_and_keeps_contexts_apart(page: Page) -> None:
    assert "tiny-imagenet-100" in page.title
    real, synthetic = tables(page)
    assert {row[0] for row in real["rows"]} == set(DESIGNS)
    assert len(synthetic["rows"]) == 2
    parts = [
        attributes["id"] for tag, attributes in page.tags if tag == "section" and attributes.get("class") == "part"
    ]
    assert parts == ["p1", "p2"]
    assert page.text.index("tiny-imagenet-100 (100 classes)") < page.text.index("synthetic (100 classes)")


def test_numbers_of_the_table_are_those_of_the_rows(page: Page) -> None:
    """Oracle: three seeds of a design of 40 per cent with the luck 0.4, -0.6 and 0.2 points."""
    table = tables(page)[0]
    names = [column["name"] for column in table["columns"]]
    assert "key" not in names and "epochs" not in names and len(table["groups"]) == 1
    line = dict(zip(names, next(row for row in table["rows"] if row[0] == "none"), strict=True))
    assert (line["n"], line["mean"], line["macs"], line["params"]) == (3, 40.0, 12.5, 84_000)
    assert line["low"] < line["mean"] < line["high"] and line["low"] + line["high"] == pytest.approx(80, abs=0.011)


def test_every_section_of_the_contents_is_there_and_every_id_is_one(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    links = [str(attributes["href"])[1:] for tag, attributes in page.tags if tag == "a"]
    assert len(ids) == len(set(ids)) and set(links) <= set(ids) and len(links) > 10


def test_every_picture_says_what_it_shows(page: Page) -> None:
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(pictures) >= 4 and all(len(str(picture["aria-label"])) > 20 for picture in pictures)


def test_failures_cost_and_checklist_are_told(page: Page) -> None:
    """Oracle: hours are 8 x 10 s of the rung, 8 x 20 s from there, 10 x 30 s, 2 x 5 s: 550 s, 0.15 hours."""
    assert "NotFiniteError: loss is nan" in page.text and "ValueError: " in page.text
    assert "0.15" in page.text
    verdicts = [a["class"] for tag, a in page.tags if tag == "li" and a.get("class") in ("yes", "partly", "no")]
    assert len(verdicts) == 15 and {"yes", "partly", "no"} == set(verdicts)


def test_no_text_of_a_storage_becomes_a_tag_a_script_or_an_address() -> None:
    """Every text that a storage can hold is an attack; the page has one script that may run, named by its hash."""
    study = Study("x", HOSTILE, {HOSTILE: HOSTILE, "space": {HOSTILE: [HOSTILE]}, "seeds": [0]}, 0.0)
    about = tuple(frame_of(hostile_rows())[list(CONTEXT)].iloc[0])
    note = Note("confirmation", HOSTILE, [HOSTILE], Table([HOSTILE], [[HOSTILE]]), about)
    text = report(frame_of(hostile_rows() + search_rows()), [study], title=HOSTILE, source=HOSTILE, notes=[note])
    page = Page(text)
    kinds = [kind for kind, _ in page.scripts]
    assert kinds == ["application/json"] * 3 + [None]
    policy = next(str(a["content"]) for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.scripts[-1][1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and policy.startswith("default-src 'none'")
    assert not any(tag in ("img", "iframe", "link", "object", "base") for tag, _ in page.tags)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    addresses = [a[name] for _, a in page.tags for name in ("href", "src", "xlink:href") if name in a]
    assert all(str(address).startswith(("#", "data:image/png")) for address in addresses)
    assert page.title == HOSTILE
    assert any(row[0] == HOSTILE for table in tables(page) for row in table["rows"])


def test_a_note_stands_in_the_part_of_its_context_alone() -> None:
    frame = frame_of(search_rows())
    context = tuple(frame[frame["data"] == "synthetic"][list(CONTEXT)].iloc[0])
    text = report(frame, notes=[Note("noise", "Seeds needed", ["four seeds find a point"], None, context)])
    assert text.count("four seeds find a point") == 1
    assert text.index('<section id="p2"') < text.index("four seeds find a point")


def test_a_stopped_design_stands_in_the_table_once_at_the_furthest_it_reached() -> None:
    """Oracle: how the rows were made: a ends after 9 epochs, b stops at 3 after 1, c at 1; d is of another recipe."""
    ran = {"a": (1, 3, 9), "b": (1, 3), "c": (1,), "d": (1,)}
    rows = [
        a_row(
            **REAL | {"epochs": epochs, "schedule_epochs": 9, "recipe_hash": "other" if name == "d" else "r"},
            network_key=name, design=f"{name}/affine", key=name, accuracy=epochs / 10,
            status="complete" if epochs == 9 else "stopped",
        )
        for name, rungs in ran.items() for epochs in rungs
    ]  # fmt: skip
    page = Page(report(frame_of(rows)))
    [table] = tables(page)
    at = [column["name"] for column in table["columns"]].index("epochs")
    assert [(row[0], row[at]) for row in table["rows"]] == [("a/affine", 9), ("b/affine", 3), ("c/affine", 1)]
    assert [first for *_, first in table["groups"]] == [0, 1, 2]
    assert "Trained to the end: 1 design in 1 run. Stopped at a rung on the way: 2 more." in page.text


def test_of_many_contexts_those_with_most_designs_have_a_part_and_the_page_says_so(monkeypatch: Any) -> None:
    monkeypatch.setattr("results.report.MOST_PARTS", 2)
    rows = [
        a_row(network_key=f"{data}-{i}", data_hash=f"h{data}", data=f"data{data}", epochs=20)
        for data in range(4)
        for i in range(data + 1)
    ]
    page = Page(report(frame_of(rows)))
    headings = [a["id"] for tag, a in page.tags if tag == "section" and a.get("class") == "part"]
    assert len(headings) == 2 and "for 2 more, choose them with --where" in page.text
    assert "data2 (100 classes)" in page.text[page.text.index("Where it ran") :]
    assert "data1 (100 classes)" not in page.text[page.text.index("Where it ran") :]


def test_rungs_and_failures_alone_make_a_page_that_says_so() -> None:
    frame = frame_of([row for row in search_rows() if row.status != "complete"])
    assert "None is complete" in report(frame)
    with pytest.raises(UserError, match="no row"):
        report(frame.head(0))


def test_effects_are_drawn_in_the_part_whose_context_they_have() -> None:
    made = dict.fromkeys(
        [f"{squeeze}/{gate}" for squeeze in ("avg", "max", "std", "l2") for gate in ("cfc", "pfca", "affine")]
    )
    known = [a_row(network_key=d, key=d, design=d, accuracy=0.8 + i / 100) for i, d in enumerate(made)]
    frame = frame_of([*search_rows(), *known])
    text = report(frame, explained=explain(frame, every_context=True))
    assert text.count("Effects of 7 levels of 2 axes") == 2  # the label and the title of one picture
    shortages = [one.shortage for one in explain(frame, every_context=True)]
    assert text.count("too few to tell effects from luck") == len(shortages) - shortages.count(None) == 2


def test_five_thousand_designs_make_a_page_under_three_megabytes() -> None:
    rows = [
        a_row(**REAL, network_key=f"net-{i}", key=f"k{i}", design=f"haar-d{i % 3}-all/mlp-r{i}", macs=12_500_000 + i)
        for i in range(5000)
    ]
    rows = [replace(row, accuracy=0.3 + row.macs % 89 / 500, seconds=30.0, latency_seconds=0.001) for row in rows]
    started = time.perf_counter()
    text = report(frame_of(rows))
    assert len(text) < 3_000_000
    assert time.perf_counter() - started < 60  # some 4 s of a quiet core


def test_a_page_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "r.html"
    page = f'<meta name="generator" content="{GENERATOR}">'
    write_report(path, page)

    def full(self: Path, _: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left"):
        write_report(path, "other")
    assert path.read_text() == page and list(tmp_path.iterdir()) == [path]
