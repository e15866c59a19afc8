"""What is taken from a file that somebody else wrote: values of the right type and range, and nothing else."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import lru_cache
from typing import Any, NoReturn

from results import plans
from results.exchange import KEPT, canonical, readable
from results.latencies import Latency
from results.recipes import KeptRecipe
from results.row import FAILURES, IDENTITY, MEASURED, SPLITS, STATUSES, Row
from results.studies import Study, check_name
from results.table import ROW_COLUMNS
from search_space import find_design
from search_space.errors import UserError

MAX_DEPTH = 20
"""How deep the config of a study or a recipe may be nested."""

_ENDED = tuple(status for status in STATUSES if status != "running")
_JSON = {"curves": list, "versions": dict}
_KINDS = {c.name: (_JSON.get(c.name) or c.type.python_type, c.nullable) for c in ROW_COLUMNS if c.name in KEPT}
"""The type of each column, and whether it may be missing."""
_NEEDED = {"identity"} | {f.name for f in fields(Row) if f.default is MISSING and f.default_factory is MISSING}
_LEAST = {
    **dict.fromkeys(("epochs", "schedule_epochs", "image_size", "num_classes", "attempts"), 1),
    **dict.fromkeys(("seed", "macs", "params", "seconds", "peak_memory_bytes", "latency_seconds"), 0),
    **dict.fromkeys(("epochs_trained", "progress", "started", "finished"), 0),
}
_TIMES = ("started", "finished")
_YEAR_3000 = 32_503_680_000
_STUDY_ID = re.compile("[0-9a-f]{1,32}")
_HASH = re.compile("[0-9A-Za-z._-]{1,32}")


class RefusedError(Exception):
    """Why a value is not taken; whoever catches it knows the file and the line."""


def parse(text: bytes) -> Any:
    """The JSON value in UTF-8. Raises `RefusedError`; so it does for NaN and infinities, which JSON does not have."""
    try:
        return json.loads(text.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        _refuse(f"is no JSON ({error})")


def row(found: Any) -> Row:
    """The row that a parsed line or the record of a storage holds.

    Raises:
        RefusedError: it is no result that attnas could have written.
    """
    cells = _cells(found)
    made: dict[str, Any] = {name: _value(name, value) for name, value in cells.items() if name != "identity"}
    _check_sense(made)
    taken = Row(**made)
    if cells["identity"] != taken.identity:
        _refuse(f"identity {_shown(cells['identity'])} is not that of its fields, which is {taken.identity}")
    return taken


def study(found: Any) -> Study:
    """Raises `RefusedError`."""
    made = _record(found, {"id": str, "name": str, "config": dict, "created": float})
    if not _STUDY_ID.fullmatch(made["id"]):
        _refuse(f"id {_shown(made['id'])} is no study's; allowed: 32 hex digits")
    try:
        check_name(made["name"])
    except UserError as error:
        _refuse(str(error))
    _in_range("created", made["created"], 0, _YEAR_3000)
    config = _plain(made["config"])
    wrong = plans.problem(config)
    if wrong is not None:
        _refuse(f"config of {_shown(made['name'])} is no plan of a confirmation: {wrong}")
    return Study(**made | {"config": config})


def recipe(found: Any) -> KeptRecipe:
    """Raises `RefusedError`."""
    made = _record(found, {"hash": str, "kind": str, "name": str, "content": dict})
    if not _HASH.fullmatch(made["hash"]):
        _refuse(f"hash {_shown(made['hash'])} is no recipe's")
    return KeptRecipe(**made | {"content": _plain(made["content"])})


def latency(found: Any) -> Latency:
    """Raises `RefusedError`."""
    texts, numbers = ("network_key", "hardware", "conditions"), ("seconds", "seconds_iqr", "measured")
    made = _record(found, dict.fromkeys(texts, str) | dict.fromkeys(numbers, float) | {"n": int})
    for name in ("seconds", "seconds_iqr"):
        _in_range(name, made[name], 0, math.inf)
    _in_range("n", made["n"], 1, math.inf)
    _in_range("measured", made["measured"], 0, _YEAR_3000)
    return Latency(**made)


def _cells(found: Any) -> dict[str, Any]:
    if not isinstance(found, Mapping):
        _refuse(f"is no row: {_shown(found)}")
    unknown = found.keys() - _KINDS.keys()
    if unknown:
        _refuse(f"there is no column {_shown(min(unknown))}")
    missing = _NEEDED - found.keys()
    if missing:
        _refuse(f"column {min(missing)} is missing")
    return dict(found)


def _value(name: str, value: Any) -> Any:
    kind, nullable = _KINDS[name]
    if value is None:
        return None if nullable else _refuse(f"{name} is missing")
    if kind is str:
        text = _text(name, value)
        if name in IDENTITY:
            return text if text.isprintable() else _refuse(f"{name} holds unprintable characters: {_shown(text)}")
        return readable(text, keep="\n\t" if name == "error" else "")
    if kind is list:
        return _curves(value)
    if kind is dict:
        return _versions(value)
    number = _number(name, value, kind)
    if name in _LEAST:
        _in_range(name, number, _LEAST[name], _YEAR_3000 if name in _TIMES else math.inf)
    return number


def _check_sense(made: Mapping[str, Any]) -> None:
    """What `Row` asserts, and more, said of somebody else's file: an assertion is for our own mistakes."""
    status, accuracy = made["status"], made.get("accuracy")
    if status == "running":
        _refuse("is still running: that is no result")
    for name, allowed in (("status", _ENDED), ("split", SPLITS)):
        if made[name] not in allowed:
            _refuse(f"{name} {_shown(made[name])} given; allowed: {', '.join(allowed)}")
    if accuracy is not None:
        _in_range("accuracy", accuracy, 0, 1)
    if status in MEASURED and (accuracy is None or made.get("loss") is None):
        _refuse(f"a {status} row without accuracy or loss")
    if made["epochs"] > made["schedule_epochs"] or (status == "stopped" and made["epochs"] == made["schedule_epochs"]):
        _refuse(f"{status} after {made['epochs']} of {made['schedule_epochs']} epochs is impossible")
    key = _key_of(made["design"])
    if key not in (None, made["key"]):
        _refuse(f"key {_shown(made['key'])} is not that of the design {_shown(made['design'])}, which is {key}")
    if status == "failed" and made.get("failure") not in FAILURES:
        _refuse(f"failure {_shown(made.get('failure'))} given; allowed: {', '.join(FAILURES)}")


@lru_cache(4096)
def _key_of(design: str) -> str | None:
    """None for a text that this attnas cannot read: it may be of a later one."""
    try:
        return find_design(design).key
    except UserError:
        return None


def _curves(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(record, dict) for record in value):
        _refuse(f"curves is no list of records: {_shown(value)}")
    isfinite = math.isfinite
    return [
        {
            readable(name): item if type(item) is float and isfinite(item) else _scalar(item)  # nearly all of a file
            for name, item in record.items()
        }
        for record in value
    ]


def _versions(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        _refuse(f"versions is no record: {_shown(value)}")
    return {readable(name): readable(_text(name, item)) for name, item in value.items()}


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return readable(_text("a text", value))
    return _number("a number in it", value, type(value))


def _plain(value: Any, depth: int = 0) -> Any:
    """A nested value of printable texts and finite numbers."""
    if depth > MAX_DEPTH:
        _refuse(f"is nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        return {readable(_text("a name", name)): _plain(item, depth + 1) for name, item in value.items()}
    return [_plain(item, depth + 1) for item in value] if isinstance(value, list) else _scalar(value)


def _record(found: Any, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Exactly these fields, each of its type."""
    if not isinstance(found, Mapping):
        _refuse(f"is no record: {_shown(found)}")
    if found.keys() != kinds.keys():
        _refuse(f"has the fields {', '.join(sorted(map(_shown, found)))}; allowed: {', '.join(sorted(kinds))}")
    made = {}
    for name, kind in kinds.items():
        value = found[name]
        if kind is dict and not isinstance(value, dict):
            _refuse(f"{name} is no record: {_shown(value)}")
        made[name] = (
            value if kind is dict else readable(_text(name, value)) if kind is str else _number(name, value, kind)
        )
    return made


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        _refuse(f"{name} is no text: {_shown(value)}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        _refuse(f"{name} holds half a character: {_shown(value)}")
    return value


def _number(name: str, value: Any, kind: type) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and not -(2**63) <= value < 2**63:
        _refuse(f"{name} is beyond 64 bits: {_shown(value)}")
    if kind is float and (whole or isinstance(value, float)) and math.isfinite(value):
        return float(value)
    return value if kind is int and whole else _refuse(f"{name} is no {_WORDS.get(kind, 'value')}: {_shown(value)}")


_WORDS = {int: "whole number", float: "finite number"}


def _in_range(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        allowed = f"{least} or more" if most == math.inf else f"{least} to {most}"
        _refuse(f"{name}: {value} given; allowed: {allowed}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Readers of JSON differ in which of two they take."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice in one record")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _refuse(why: str) -> NoReturn:
    raise RefusedError(why)


def _shown(value: Any) -> str:
    """Some of a value, harmless on a screen."""
    try:
        text = value if isinstance(value, str) else canonical(value)
    except (ValueError, TypeError, RecursionError):
        text = type(value).__name__
    return ascii(text if len(text) <= 60 else text[:57] + "...")
