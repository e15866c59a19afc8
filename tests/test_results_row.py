"""`results.row` and the doors of the package; `a_row` and `rows` serve the other tests of the room."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import strategies as st

import results
from results.row import FAILURES, IDENTITY, Row
from search_space import find_design
from search_space.errors import UserError


def a_row(**changes: Any) -> Row:
    """A complete row in which only `changes` differ from call to call."""
    values: dict[str, Any] = {
        "network_key": "n0",
        "recipe_hash": "r0",
        "data_hash": "d0",
        "split": "validation",
        "epochs": 10,
        "schedule_epochs": 20,
        "seed": 3,
        "key": "avg/mlp-r16",
        "design": "avg/mlp-r16",
        "data": "synthetic",
        "backbone": "resnet8",
        "image_size": 32,
        "num_classes": 100,
        "recipe": "proxy",
        "status": "complete",
        "accuracy": 0.5,
        "loss": 1.25,
        "macs": 41_000_000,
        "macs_convention": "conv+linear",
        "params": 270_000,
    }
    return Row(**values | changes)


def running(owner: str, **changes: Any) -> Row:
    """The same row as a claim takes it."""
    return a_row(status="running", accuracy=None, loss=None, owner=owner, **changes)


_finite = st.floats(allow_nan=False, allow_infinity=False)
_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
_integer = st.integers(-(2**63), 2**63 - 1)
_json = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _finite | _text


def is_no_design(text: str) -> bool:
    """Of one, as of `NONE`, the key would follow; and what a key does not follow from is refused at the doors."""
    try:
        find_design(text)
    except UserError:
        return True
    return False


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """Any row that both databases can hold."""
    status = draw(st.sampled_from(["running", "complete", "stopped", "failed"]))
    done = status in ("complete", "stopped")
    texts: dict[str, Any] = {name: draw(_text) for name in (*IDENTITY[:3], "backbone", "key", "data", "recipe")}
    texts["design"] = draw(_text.filter(is_no_design))
    numbers: dict[str, Any] = {
        name: draw(_integer) for name in (*IDENTITY[4:], "image_size", "num_classes", "macs", "params")
    }
    times: dict[str, Any] = {
        name: draw(st.none() | _finite)
        for name in ("seconds", "heartbeat", "started", "finished", "latency_seconds", "epochs_trained", "progress")
    }
    if status == "stopped":
        numbers["epochs"] = draw(st.integers(-(2**63), 2**63 - 2))
        numbers["schedule_epochs"] = draw(st.integers(numbers["epochs"] + 1, 2**63 - 1))
    optional: dict[str, Any] = {
        name: draw(st.none() | _text)
        for name in ("error", "precision", "hardware", "commit", "owner", "settled", "study")
    }
    return Row(
        **texts,
        **numbers,
        **times,
        **optional,
        split=draw(st.sampled_from(["validation", "test"])),
        status=status,
        failure=draw(st.sampled_from(FAILURES)) if status == "failed" else None,
        accuracy=draw(st.floats(0, 1) if done else st.none() | _finite),
        loss=draw(_finite if done else st.none() | _finite),
        curves=draw(st.lists(st.dictionaries(_text, _json, max_size=3), max_size=3)),
        macs_convention=draw(_text),
        attempts=draw(st.integers(1, 2**63 - 1)),
        peak_memory_bytes=draw(st.none() | _integer),
        versions=draw(st.dictionaries(_text, _text, max_size=3)),
    )


def test_the_identity_is_the_first_half_of_the_sha256_of_the_canonical_json() -> None:
    # Oracle: coreutils.  printf '%s' '{"data_hash":"d0","epochs":10,"network_key":"n0","recipe_hash":"r0",
    #   "schedule_epochs":20,"seed":3,"split":"validation"}' (one line) | sha256sum | cut -c1-32
    assert a_row().identity == "c79f45bc1e4102c89dc74e70f1b0a1f2"


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Row)])
def test_the_identity_depends_on_the_identity_fields_and_on_nothing_else(name: str) -> None:
    other: Any = {"split": "test", "status": "running", "versions": {"torch": "2"}, "curves": [{"loss": 1.0}]}
    old = getattr(a_row(), name)
    new = other.get(name, old + 1 if isinstance(old, int) else 0.25 if isinstance(old, float) else "other")
    changed = dataclasses.replace(a_row(), **{name: new})
    named = ("network_key", "recipe_hash", "data_hash", "split", "epochs", "schedule_epochs", "seed")  # DESIGN.md 2
    assert (changed.identity != a_row().identity) == (name in named)


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "done"},
        {"split": "train"},
        {"accuracy": None},
        {"accuracy": float("nan")},
        {"accuracy": 68.0},
        {"accuracy": -0.1},
        {"loss": None},
        {"loss": float("inf")},
        {"status": "failed", "failure": None},
        {"status": "failed", "failure": "unlucky"},
        {"status": "stopped", "accuracy": None},
        {"status": "stopped", "loss": None},
        {"status": "stopped", "epochs": 20},
        {"attempts": 0},
    ],
)
def test_a_row_that_contradicts_itself_cannot_be_built(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        a_row(**wrong)


def test_importing_results_and_its_row_loads_neither_pandas_nor_sqlalchemy() -> None:
    code = "import sys, results; results.Row; print(sorted({'pandas', 'sqlalchemy'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_every_exported_name_resolves_and_none_is_also_a_module() -> None:
    for name in results.__all__:
        assert getattr(results, name).__name__ == name
        assert f"results.{name}" not in sys.modules
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = results.nothing
