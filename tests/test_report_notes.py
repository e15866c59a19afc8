"""What the report takes from confirm, effects, noise and fidelity; the oracles are those commands' own answers."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from confirmations import confirmed
from report_rows import REAL, frame_of, search_rows
from test_report import Page
from test_results_row import a_row

from results import open_store
from results.contexts import leading
from results.exchange_merge import merge
from results.exchange_read import Storage
from results.power import seeds_needed
from results.row import CONTEXT
from results.spread import spread
from search import report_notes
from search.verdict import verdict

SQUEEZES = {"avg": 0.0, "max": 0.01, "std": -0.01, "l2": 0.02, "energy": 0.0}
GATES = {"affine": 0.0, "conv1d": 0.01, "cfc": 0.02}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """A factorial of five squeezes and three gates at two fidelities, two seeds each, the noise 0.2 points."""
    draw = random.Random(0)
    rows = []
    for (squeeze, a), (gate, b) in ((one, two) for one in SQUEEZES.items() for two in GATES.items()):
        design = f"{squeeze}/{gate}"
        for epochs, seed in ((e, s) for e in (1, 3) for s in (0, 1)):
            accuracy = 0.1 * epochs + a + b + draw.gauss(0, 0.002)
            about = REAL | {"epochs": epochs, "network_key": design, "design": design, "key": design}
            status = "complete" if epochs == 3 else "stopped"
            rows.append(a_row(**about, seed=seed, accuracy=accuracy, status=status))
    return frame_of(rows)


def test_a_confirmation_is_told_as_its_command_tells_it_and_kept_in_its_context(
    world: Any,
    setting: Any,
    store: Any,
    attnas: Any,
) -> None:
    plan, state = confirmed(setting, store)
    with open_store("sqlite://") as copied:  # by an import: it is told once
        merge(Storage(store, "store"), copied)
        copied.studies.rename(plan.name, "another name")
        assert len(report_notes.confirmed([store, copied])[0]) == 1
    [note], designs = report_notes.confirmed([store])
    said = "\n".join(verdict(state))
    assert designs == ["max/conv1d"] and note.context == tuple(plan.config[name] for name in CONTEXT)
    assert all(sentence in said for sentence in note.sentences) and any(
        "Winner: max/conv1d" in s for s in note.sentences
    )
    assert note.table is not None and note.table.rows[0][0] == "max/conv1d"
    assert len(note.table.rows) == len(state.arms)
    assert attnas("results", "report", "--storage", store.url, "-o", "r.html").code == 0
    page = Page(Path("r.html").read_text("utf-8"))
    assert "Winner: max/conv1d. It is better than every other design here." in page.text
    assert "max/conv1d was confirmed with fresh seeds" in page.text


def test_effects_noise_and_fidelities_stand_in_the_part_they_are_of(frame: pd.DataFrame) -> None:
    here = leading(frame)
    about = tuple(here[list(CONTEXT)].iloc[0])
    models = report_notes.explained(frame)
    notes = [*report_notes.effects(models), *report_notes.noise(frame), *report_notes.fidelities(frame)]
    assert {note.section for note in notes if note.context == about} == {"effects", "noise", "fidelity"}
    tables = {note.section: note.table.rows for note in notes if note.context == about and note.table is not None}
    assert [row[:3] for row in tables["effects"]][:2] == [["squeeze", "5", "15"], ["excitation", "3", "15"]]
    within = spread(here["accuracy"], here["network_key"]).within
    assert dict(tables["noise"])["1 points"] == f"{seeds_needed(0.01, within):,.0f}"
    assert [row[0] for row in tables["fidelity"]] == ["proxy, 1 of 3 epochs", "params", "macs"]


def test_a_storage_that_tells_none_of_it_makes_a_page_all_the_same(attnas: Any, tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/one.db") as one, open_store(f"sqlite:///{tmp_path}/two.db") as two:
        one.finish(a_row())
        for row in search_rows():
            two.finish(row)
        both = ("--storage", one.url, "--storage", two.url)
    assert attnas("results", "report", *both[:2], "-o", "one.html").code == 0
    done = attnas("results", "report", *both, "-o", "both.html")
    assert done.code == 0 and "31 evaluations" in done.out
    assert attnas("results", "plot", "effects", "--axes", "reduction", *both, "-o", "effects.svg").code == 0
