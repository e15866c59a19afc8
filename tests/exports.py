"""Another group's storage, its export, and what may have been forged in it: for tests of imports."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_results_latencies import a_latency
from test_results_row import a_row, running

from results import Row, Store
from results.exchange import ExchangeError
from results.exchange_merge import check
from results.exchange_read import Directory
from results.recipes import KeptRecipe
from search_space.errors import UserError

RECIPE = KeptRecipe(hash="r0", kind="ByHand", name="proxy", content={"momentum": 0.9, "mirror": True})


def fill(theirs: Store) -> Store:
    """Five rows, a study, a recipe, a latency, and something at work."""
    study = theirs.studies.begin({"data": "synthetic"}, "mine", "mine")
    for seed in range(5):
        theirs.finish(a_row(seed=seed, study=study.id, started=1.0, finished=10.0 - seed))
    theirs.claim(running("their-host:1:1", seed=9))
    theirs.recipes.keep(RECIPE)
    theirs.latencies.put(a_latency())
    return theirs


def public(row: Row) -> Row:
    return replace(row, owner=None, heartbeat=None)


def ended(store: Store) -> dict[str, Row]:
    return {row.identity: public(row) for row in store.rows() if row.status != "running"}


OOM = {"status": "failed", "failure": "oom", "accuracy": None, "loss": None}


def summed(directory: Path) -> None:
    names = sorted(path.name for path in directory.iterdir() if path.name != "SHA256SUMS")
    sums = (f"{hashlib.sha256((directory / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (directory / "SHA256SUMS").write_text("".join(sums))


def forge(directory: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    (directory / name).write_bytes(change((directory / name).read_bytes()))
    summed(directory)


def refusal(directory: Path) -> str:
    with pytest.raises(ExchangeError) as caught:
        check(Directory(directory))
    assert isinstance(caught.value, UserError)
    return str(caught.value)


def changed(**values: Any) -> Callable[[bytes], bytes]:
    """Another second line, its identity made right unless it is given."""

    def change(text: bytes) -> bytes:
        lines = [json.loads(line) for line in text.splitlines()]
        cells = lines[1] | values
        lines[1] = {name: value for name, value in cells.items() if value is not ...}
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    return change
