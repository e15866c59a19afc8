"""Which context is meant where none is named: one rule for pictures and reports, effects and confirmations."""

from __future__ import annotations

from typing import Any

import pytest
from test_results_row import a_row

from results import Store
from results.contexts import leading
from results.effects import explain
from search.known_context import Wanted, pick_context
from search_space import UserError

DESIGNS = ("none", "avg/mlp-r16", "max/conv1d", "avg/conv1d")


def add(store: Store, name: str, designs: int, seeds: int, **changes: Any) -> None:
    """A context of so many designs, each with so many seeds; `name` is its data."""
    for text in DESIGNS[:designs]:
        for seed in range(seeds):
            place = {"data": name, "data_hash": name, "design": text, "key": text, "network_key": text}
            store.finish(a_row(**place | {"seed": seed, "accuracy": 0.5 + seed / 100} | changes))


def meant(store: Store) -> set[str]:
    """The data of the context that a picture, a model of effects and a confirmation would be of."""
    frame = store.frame()
    picked, _, _ = pick_context(
        store, Wanted(), None, asked_before=lambda _: False, load=lambda *_: pytest.fail("data are not needed")
    )
    return {leading(frame)["data"].iloc[0], explain(frame)[0].about["data"], picked["data"]}


def test_most_designs_then_most_runs_and_never_the_test_split(store: Store) -> None:
    add(store, "few designs, many seeds", 2, 5)
    add(store, "many designs", 3, 1)
    add(store, "the test split", 4, 3, split="test")
    add(store, "stopped", 4, 1, status="stopped")
    assert meant(store) == {"many designs"}
    add(store, "as many, more runs", 3, 2)
    assert meant(store) == {"as many, more runs"}


def test_of_equals_a_report_shows_all_and_a_confirmation_asks(store: Store) -> None:
    add(store, "one", 2, 2)
    add(store, "another", 2, 2)
    assert leading(store.frame())["data"].iloc[0] == explain(store.frame())[0].about["data"]
    with pytest.raises(UserError, match="2 contexts have 4 complete rows each"):
        meant(store)
