"""The report in a real browser: headless Chromium opens the file as a person would; its console and styles tell.

Without a browser these tests are skipped, and say so; `.ci/run` installs Debian's chromium and chromium-driver.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from browser import CHROMIUM, DRIVER, NO_BROWSER, start
from report_rows import frame_of, hostile_rows, search_rows
from test_figures import contrast
from test_results_row import a_row

from results.report import report

pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason=NO_BROWSER)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    driver = start(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    many = [
        a_row(
            network_key=f"m{i}", design=f"dct-low{i}/affine", key=f"m{i}", accuracy=i / 1000, epochs=20, data_hash="m"
        )
        for i in range(400)
    ]
    below = {"epochs": 1, "schedule_epochs": 3, "status": "stopped", "recipe_hash": "halved"}
    halved = [
        a_row(network_key="c", design="avg/cfc", accuracy=0.3, **below | {"epochs": 3, "status": "complete"}),
        a_row(network_key="a", design="max/cfc", accuracy=0.5, **below),
        a_row(network_key="b", design="std/cfc", accuracy=0.4, **below | {"latency_seconds": 0.002}),
    ]
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report(frame_of(search_rows() + hostile_rows() + many + halved)), "utf-8")
    return path.as_uri()


@pytest.fixture
def page(browser: Any, address: str) -> Any:
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(address)
    return browser


def theme(page: Any, name: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": name}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)


def part_of(page: Any, data: str) -> Any:
    return next(
        s
        for s in page.find_elements("css selector", "section.part")
        if s.find_element("tag name", "h2").text.startswith(data)
    )


def first_cells(part: Any) -> list[str]:
    return cells(part, "design")


def cells(part: Any, name: str) -> list[str]:
    """A column of the table by its heading, lines that name a group left out."""
    script = """const [part, name] = arguments;
    const at = [...part.querySelectorAll('.sortable thead th')].findIndex((th) => th.innerText.startsWith(name));
    return [...part.querySelectorAll('.sortable tbody tr:not(.group)')].map((row) => row.cells[at].innerText)"""
    return part.parent.execute_script(script, part, name)


def test_it_loads_without_an_error_and_asks_no_network_for_anything(page: Any, address: str) -> None:
    assert page.get_log("browser") == []
    asked = [
        message["message"]["params"]["request"]["url"]
        for entry in page.get_log("performance")
        if (message := json.loads(entry["message"]))["message"]["method"] == "Network.requestWillBeSent"
    ]
    assert set(asked) <= {address} | {url for url in asked if url.startswith("data:")} and address in asked
    assert "tiny-imagenet-100" in page.find_element("tag name", "body").text


def test_a_hostile_storage_runs_nothing_and_its_texts_are_shown(page: Any) -> None:
    assert "owned" not in page.title
    assert page.execute_script("return document.querySelectorAll('img, main script:not([type])').length") == 0
    assert "<script>document.title" in page.find_element("tag name", "main").text


def test_every_picture_is_there_in_its_size(page: Any) -> None:
    pictures = page.find_elements("css selector", "figure svg")
    assert len(pictures) >= 8
    assert all(picture.size["width"] > 300 and picture.size["height"] > 60 for picture in pictures)
    fronts = page.find_elements("css selector", "figure.front svg")
    assert {"none", "se", "eca", "fca-ts"} <= set(fronts[1].text.split()) | set(fronts[0].text.split())


def test_the_table_filters_by_words_and_numbers(page: Any) -> None:
    part = part_of(page, "tiny-imagenet-100")
    box, count = part.find_element("css selector", "input"), part.find_element("tag name", "output")
    assert count.text == "8 of 8 designs"
    for words, number in (
        ("haar", 3),
        ("haar -r8", 2),
        ("haar mean>46.5", 2),
        ("fca-ts", 1),
        ("n>=3", 5),
        ("nothing", 0),
    ):
        box.clear()
        box.send_keys(words)
        assert count.text.startswith(f"{number} of 8 designs"), words
        assert len(first_cells(part)) == number
    box.clear()


def test_the_table_sorts_by_a_click_and_says_so(page: Any) -> None:
    part = part_of(page, "tiny-imagenet-100")
    heading = next(th for th in part.find_elements("css selector", ".sortable th") if th.text == "design")
    before = first_cells(part)
    heading.find_element("tag name", "button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    ascending = first_cells(part)
    assert sorted(before) == sorted(ascending) and ascending != before and ascending[0].startswith("avg/conv1d")
    heading.find_element("tag name", "button").click()
    assert heading.get_attribute("aria-sort") == "descending" and first_cells(part) == ascending[::-1]


def test_a_long_table_shows_its_beginning_until_all_is_asked_for(page: Any) -> None:
    part = next(s for s in page.find_elements("css selector", "section.part") if "of 400 designs" in s.text)
    assert len(first_cells(part)) == 100
    part.find_element("css selector", ".more button").click()
    assert len(first_cells(part)) == 400 and not part.find_element("css selector", ".more").is_displayed()


def test_what_was_stopped_stands_in_the_table_and_is_never_ranked_with_what_ended(page: Any) -> None:
    """Oracle: max/cfc had 50 per cent after one epoch, avg/cfc 30 after three."""
    part = next(s for s in page.find_elements("css selector", "section.part") if "of 3 designs" in s.text)
    groups = [row.text for row in part.find_elements("css selector", "tr.group")]
    assert groups == ["Trained to the end, 3 epochs: 1 design", "Stopped after 1 of 3 epochs: 2 designs"]
    mean = next(th for th in part.find_elements("css selector", ".sortable th") if th.text.startswith("mean"))
    assert first_cells(part) == ["avg/cfc", "max/cfc", "std/cfc"]
    mean.find_element("tag name", "button").click()  # from best first to best last
    assert first_cells(part) == ["avg/cfc", "std/cfc", "max/cfc"]
    box = part.find_element("css selector", "input")
    for words, found in (("stopped", ["std/cfc", "max/cfc"]), ("epochs=3", ["avg/cfc"]), ("-stopped", ["avg/cfc"])):
        box.clear()
        box.send_keys(words)
        assert first_cells(part) == found, words


@pytest.mark.parametrize("clicks", [1, 2])
def test_numbers_sort_as_numbers_and_what_is_missing_comes_last(page: Any, clicks: int) -> None:
    part = part_of(page, "tiny-imagenet-100")
    button = next(b for b in part.find_elements("css selector", ".sortable th button") if b.text == "MACs (M)")
    for _ in range(clicks):
        button.click()
    shown = [float(text) for text in cells(part, "MACs")]
    assert shown == sorted(shown, reverse=clicks == 1) and len(set(shown)) == 8
    halved = next(s for s in page.find_elements("css selector", "section.part") if "of 3 designs" in s.text)
    button = next(b for b in halved.find_elements("css selector", ".sortable th button") if "latency" in b.text)
    for _ in range(clicks):
        button.click()
    assert cells(halved, "latency") == ["–", "2.000", "–"]  # in the second group std/cfc alone has one
    names = next(b for b in part.find_elements("css selector", ".sortable th button") if b.text == "published")
    for _ in range(clicks):
        names.click()
    told = [name for name in cells(part, "published") if name]
    assert told == sorted(told, reverse=clicks == 2) and cells(part, "published")[: len(told)] == told


@pytest.mark.parametrize("name", ["light", "dark"])
def test_the_button_says_what_it_turns_to_when_the_system_turns(page: Any, name: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    for turn in ("dark", "light", name):
        theme(page, turn)
    said, button = {"light": "Dark", "dark": "Light"}[name], page.find_element("id", "theme")
    WebDriverWait(page, 10).until(lambda _: button.text == said)  # the event comes when the browser has time
    theme(page, "light")


@pytest.mark.parametrize("width", [420, 1400])
def test_nothing_but_tables_and_pictures_is_wider_than_the_window(page: Any, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("name", ["light", "dark"])
def test_text_and_pictures_can_be_read_in_both_themes(page: Any, name: str) -> None:
    """Oracle: WCAG's contrast of the colours that the browser itself computed."""
    theme(page, name)
    paper = colour(page, "body", "backgroundColor")
    for what in ("p", "h2", "a", "figcaption", ".no .verdict", ".yes .verdict", "td", "figure.front text"):
        ink = colour(page, what, "fill" if "text" in what else "color")
        assert contrast(ink, paper) >= 4.5, (what, ink, paper)
    assert (contrast(paper, "#000000") < 3) == (name == "dark")
    theme(page, "light")


def colour(page: Any, selector: str, name: str) -> str:
    script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    parts = page.execute_script(script, selector, name).partition("(")[2].strip(")").split(",")[:3]
    return "#" + "".join(f"{int(float(part)):02x}" for part in parts)


def test_the_button_turns_the_theme(page: Any) -> None:
    theme(page, "light")
    before = colour(page, "body", "backgroundColor")
    page.find_element("id", "theme").click()
    assert colour(page, "body", "backgroundColor") != before
    page.find_element("id", "theme").click()
    assert colour(page, "body", "backgroundColor") == before
