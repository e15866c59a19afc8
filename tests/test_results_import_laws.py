"""Laws of exports and imports, over whatever rows there may be.

Oracles: the rows themselves; the order measured, failed, running.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from exports import OOM, ended
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_results_row import a_row, is_no_design, rows, running

from results import Row, Store, open_store
from results.exchange_merge import merge
from results.exchange_read import Directory, Storage
from results.exchange_write import export
from results.lease import this_owner
from results.table import EVALUATIONS


@pytest.fixture
def store(storage_url: str) -> Iterator[Store]:
    with open_store(storage_url) as store:
        yield store


printable = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=8)


@st.composite
def results(draw: st.DrawFn) -> Row:
    """Any result that attnas could have written, with paths in no text."""
    row = draw(rows().filter(lambda row: row.status != "running"))
    numbers = ("epochs_trained", "started", "finished", "seconds", "latency_seconds", "progress")
    changes: dict[str, Any] = {name: draw(st.none() | st.floats(0, 1e9)) for name in numbers}
    changes |= {name: draw(st.integers(0, 2**63 - 1)) for name in ("seed", "macs", "params")}
    changes |= {name: draw(st.integers(1, 2**63 - 1)) for name in ("image_size", "num_classes")}
    changes |= {
        "peak_memory_bytes": draw(st.none() | st.integers(0, 2**63 - 1)),
        "progress": draw(st.none() | st.just(1.5)),
    }
    changes["epochs"] = draw(st.integers(1, 2**61))
    changes["schedule_epochs"] = changes["epochs"] + draw(st.integers(int(row.status == "stopped"), 2**61))
    texts = (
        "network_key",
        "recipe_hash",
        "data_hash",
        "key",
        "design",
        "data",
        "backbone",
        "recipe",
        "macs_convention",
    )
    changes |= {name: draw(printable.filter(is_no_design)) for name in texts}
    optional = ("error", "precision", "hardware", "commit", "settled", "study")
    changes |= {name: draw(st.none() | printable.map(lambda text: text.replace("/", ""))) for name in optional}
    scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e300, 1e300) | printable
    changes["curves"] = draw(st.lists(st.dictionaries(printable, scalars, max_size=3), max_size=3))
    changes["versions"] = draw(st.dictionaries(printable, printable, max_size=3))
    if row.status == "failed":
        changes |= {"accuracy": draw(st.none() | st.floats(0, 1))}
    return replace(row, **changes)


def emptied(store: Store) -> Store:
    with store.turn() as turn:
        turn.connection.execute(EVALUATIONS.delete())
    return store


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(found=st.lists(results(), max_size=3, unique_by=lambda row: row.identity))
def test_what_was_exported_is_imported_as_it_was_but_for_its_owner(store: Store, found: list[Row]) -> None:
    """From the database into a directory, and into that database again."""
    emptied(store)
    for row in found:
        store.finish(row)
    before = ended(store)
    with tempfile.TemporaryDirectory() as folder:
        source = Directory(export(store, Path(folder, "out")).directory)
        merged = merge(source, emptied(store))
    assert (merged.rows, merged.new) == (len(found), len(found)) and ended(store) == before


statuses = st.dictionaries(st.integers(0, 9), st.sampled_from(["complete", "failed", "running"]))


@given(mine=statuses, yours=statuses)
@settings(max_examples=30, deadline=None)
def test_a_into_b_and_b_into_a_hold_the_same_evaluations_ended_alike(
    mine: dict[int, str], yours: dict[int, str]
) -> None:
    """Oracle: the order measured, failed, running. Running rows are alive, and do not travel."""

    def filled(seeds: dict[int, str], accuracy: float) -> Store:
        store = open_store("sqlite://")
        for seed, status in sorted(seeds.items()):
            if status == "running":
                store.claim(running(this_owner(), seed=seed))
            else:
                store.finish(a_row(seed=seed, **({"accuracy": accuracy} if status == "complete" else OOM)))
        return store

    def held(store: Store) -> dict[int, str]:
        return {row.seed: row.status for row in store.rows()}

    def joined(here: dict[int, str], there: dict[int, str]) -> dict[int, str]:
        comes = {seed: status for seed, status in there.items() if status != "running"}
        stays = {seed: s for seed, s in here.items() if s == "complete" or comes.get(seed) != "complete"}
        return comes | stays

    one, two, other, another = filled(mine, 0.25), filled(yours, 0.5), filled(mine, 0.25), filled(yours, 0.5)
    into, back = merge(Storage(one, "one"), two), merge(Storage(another, "another"), other)
    assert held(two) == joined(yours, mine) and held(other) == joined(mine, yours)
    both = {seed for seed in mine.keys() & yours.keys() if mine[seed] == yours[seed] == "complete"}
    measured = {found.seed for found in into.differing if found.ours[0] == found.theirs[0]}
    assert measured == {found.seed for found in back.differing if found.ours[0] == found.theirs[0]} == both
    for store in (one, two, other, another):
        store.close()
