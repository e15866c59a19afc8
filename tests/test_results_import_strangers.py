"""What strangers send is checked whole, and refused by name before a row of it is written.

Oracles: what was forged; hashlib for the sums of the files, which `forge` makes right again, so that the checks behind
them are met.
"""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from exports import changed, fill, forge, refusal

from results import Store, exchange_read, open_store
from results.exchange import ExchangeError
from results.exchange_merge import check
from results.exchange_read import Directory, Storage
from results.exchange_write import export


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with open_store("sqlite://") as theirs:
        return export(fill(theirs), tmp_path_factory.mktemp("exports") / "out").directory


@pytest.fixture
def exported(whole: Path, tmp_path: Path) -> Path:
    """An export of theirs, to be forged."""
    return Path(shutil.copytree(whole, tmp_path / "out"))


def test_a_changed_byte_in_any_file_is_found(exported: Path) -> None:
    for path in sorted(exported.iterdir()):
        if path.name == "SHA256SUMS":
            continue
        kept = path.read_bytes()
        path.write_bytes(kept[:-3] + bytes([kept[-3] ^ 1]) + kept[-2:])
        assert path.name in refusal(exported) and "get it again" in refusal(exported)
        path.write_bytes(kept)
    assert check(Directory(exported)) == 5


def test_a_missing_file_is_found(exported: Path) -> None:
    for name in ("rows.jsonl", "README.md", "SHA256SUMS"):
        kept = (exported / name).read_bytes()
        (exported / name).unlink()
        assert name in refusal(exported)
        (exported / name).write_bytes(kept)


@pytest.mark.parametrize(
    "name", ["../theirs.db", "/etc/passwd", "sub/rows.jsonl", "..", "rows.jsonl\0x", "x.py", "rows.jsonl", "r\\x"]
)
def test_the_sums_name_the_files_of_an_export_each_once_and_none_elsewhere(exported: Path, name: str) -> None:
    with (exported / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  {name}\n")
    assert "SHA256SUMS, line 10" in refusal(exported) and "names no file of an export" in refusal(exported)


@pytest.mark.parametrize("name", ["rows.jsonl", "studies.json"])
def test_a_file_that_is_replaced_after_its_sum_was_checked_is_found(exported: Path, store: Store, name: str) -> None:
    source = Directory(exported)
    (exported / name).write_bytes((exported / name).read_bytes().replace(b'"loss":1.25', b'"loss":1.75') + b"\n" * 9)
    (exported / "rows.jsonl").write_bytes((exported / "rows.jsonl").read_bytes().rstrip() + b"\n")
    with pytest.raises(ExchangeError, match=rf"{name} was changed while it was read"):
        check(source)


@pytest.mark.parametrize("name", ["rows.jsonl", "export.json", "SHA256SUMS"])
def test_links_pipes_and_folders_are_not_read(exported: Path, tmp_path: Path, name: str) -> None:
    path, real = exported / name, tmp_path / "elsewhere"
    path.rename(real)
    for make, undo in ((lambda: path.symlink_to(real), path.unlink), (lambda: os.mkfifo(path), path.unlink)):
        make()
        assert "regular file" in refusal(exported)
        undo()
    path.mkdir()
    assert "regular file" in refusal(exported)


class Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.system, (f"touch {self.path}",))


@pytest.mark.parametrize("name", ["rows.jsonl", "studies.json", "export.json", "latencies.json"])
def test_a_pickle_under_another_name_is_no_json_and_is_not_run(exported: Path, tmp_path: Path, name: str) -> None:
    forge(exported, name, lambda _: pickle.dumps(Harmful(tmp_path / "ran")))
    assert "is no JSON" in refusal(exported) and name in refusal(exported)
    assert not (tmp_path / "ran").exists()


BAD_ROWS = {
    "an accuracy in per cent": (changed(accuracy=68.0), "accuracy: 68.0 given; allowed: 0 to 1"),
    "an accuracy as text": (changed(accuracy="0.5"), "accuracy is no finite number"),
    "a truth value": (changed(loss=True), "loss is no finite number"),
    "not a number": (changed(loss=float("nan")), "NaN is no number of JSON"),
    "an infinite loss": (changed(loss=float("-inf")), "-Infinity is no number of JSON"),
    "a number beyond floats": (
        lambda text: text.replace(b'"loss":1.25', b'"loss":1e999', 2),
        "loss is no finite number",
    ),
    "no accuracy": (changed(accuracy=None), "a complete row without accuracy or loss"),
    "seconds below zero": (changed(seconds=-1.0), "seconds: -1.0 given"),
    "a time that no calendar has": (changed(finished=1e300), "finished: 1e+300 given"),
    "another status": (changed(status="done"), "status 'done' given; allowed: complete, stopped, failed"),
    "a running row": (changed(status="running"), "still running"),
    "a row that stopped at its end": (changed(status="stopped", epochs=20), "stopped after 20 of 20 epochs"),
    "more epochs than there are": (changed(epochs=21), "after 21 of 20"),
    "a failure without a class": (changed(status="failed"), "failure"),
    "another split": (changed(split="train"), "split 'train' given; allowed: validation, test"),
    "a seed that is no whole number": (changed(seed=1.0), "seed is no whole number"),
    "a number of 65 bits": (changed(macs=2**64), "macs is beyond 64 bits"),
    "a number of 5,000 digits": (lambda text: text.replace(b"41000000", b"9" * 5000, 2), "is no JSON"),
    "the key of another design": (changed(key="none"), "key 'none' is not that of the design 'avg/mlp-r16'"),
    "a missing column": (changed(design=...), "column design is missing"),
    "a column that there is not": (changed(__class__="os.system"), "there is no column '__class__'"),
    "an owner": (changed(owner="me"), "there is no column 'owner'"),
    "curves that are none": (changed(curves={"epoch": 1}), "curves is no list of records"),
    "curves in curves": (changed(curves=[{"epoch": [1]}]), "a number in it is no value"),
    "versions that are numbers": (changed(versions={"torch": 2}), "torch is no text"),
    "half a character": (changed(data="\ud800"), "half a character"),
    "a key that steers a terminal": (changed(network_key="\x1b[2J"), "unprintable"),
    "an identity of something else": (changed(identity="0" * 32), "is not that of its fields"),
    "another seed under the same identity": (changed(seed=77), "is not that of its fields"),
    "a list for a row": (lambda text: text.replace(b"{", b"[{", 1).replace(b"}\n", b"}]\n", 1), "is no row"),
    "deep nesting": (lambda text: b"[" * 100_000 + b"\n" + text, "line 1: is no JSON"),
    "no UTF-8": (lambda text: b"\xff\xfe\n" + text, "line 1: is no JSON"),
    "the same row twice": (lambda text: text.splitlines(keepends=True)[0] + text, "line 2: identity"),
    "rows out of order": (lambda text: b"".join(text.splitlines(keepends=True)[::-1]), "twice, or out of order"),
    "a row less": (lambda text: b"".join(text.splitlines(keepends=True)[1:]), "has 4 rows, export.json says 5"),
    "an empty line": (lambda text: text + b"\n", "line 6: is no JSON"),
}


@pytest.mark.parametrize(("change", "told"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_row_that_attnas_would_not_write_is_refused_with_its_line(
    exported: Path, change: Callable[[bytes], bytes], told: str
) -> None:
    forge(exported, "rows.jsonl", change)
    said = refusal(exported)
    assert told in said and "rows.jsonl" in said and said.isprintable()


def test_a_line_without_end_is_not_read_whole(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_read, "LONGEST_LINE", 100)
    assert "line 1: is longer than 100 bytes" in refusal(exported)
    monkeypatch.undo()
    monkeypatch.setattr(exchange_read, "LARGEST_LIST", 10)
    assert "is larger than" in refusal(exported)


BAD_LISTS = {
    "a study without an id": ("studies.json", b'[{"name":"x","config":{},"created":1}]', "has the fields"),
    "a study with the id of a path": (
        *("studies.json", b'[{"id":"../x","name":"x","config":{},"created":1}]', "is no study's"),
    ),
    "a study that cannot be named so": (
        *("studies.json", b'[{"id":"a","name":" x","config":{},"created":1}]', "cannot name a study"),
    ),
    "a study of no time": ("studies.json", b'[{"id":"a","name":"x","config":{},"created":"now"}]', "created is no"),
    "a config without bottom": (
        *("studies.json", b'[{"id":"a","name":"x","created":1,"config":' + b'{"a":' * 30 + b"1" + b"}" * 31 + b"]"),
        "nested deeper",
    ),
    "a confirmation without a plan": (
        *("studies.json", b'[{"id":"a","name":"x","config":{"kind":"confirm","seeds":5},"created":1}]', "is no plan"),
    ),
    "a name twice in a record": (
        *("studies.json", b'[{"id":"a","name":"x","name":"y","config":{},"created":1}]', "there twice"),
    ),
    "a recipe that is a text": ("recipes.json", b'["r0"]', "entry 1: is no record"),
    "a recipe of an infinite rate": (
        *("recipes.json", b'[{"hash":"r","kind":"Recipe","name":"x","content":{"learning_rate":1e999}}]'),
        "a number in it is no",
    ),
    "a latency below zero": (
        "latencies.json",
        b'[{"network_key":"n","hardware":"h","conditions":"c","seconds":-1,"seconds_iqr":0,"n":1,"measured":1}]',
        "seconds: -1.0 given",
    ),
    "no list": ("latencies.json", b"{}", "is no list"),
    "a manifest of a list": ("export.json", b"[]", "are to be whole numbers"),
    "a format that is a text": ("export.json", b'{"format":"1","schema_version":4,"rows":5}', "whole numbers"),
    "a newer format": ("export.json", b'{"format":2,"schema_version":4,"rows":5}', "by a newer attnas: format 2"),
    "a newer schema": ("export.json", b'{"format":1,"schema_version":99,"rows":5}', "upgrade attnas"),
}


@pytest.mark.parametrize(("name", "text", "told"), BAD_LISTS.values(), ids=BAD_LISTS)
def test_what_explains_rows_is_checked_like_them(exported: Path, name: str, text: bytes, told: str) -> None:
    forge(exported, name, lambda _: text)
    said = refusal(exported)
    assert told in said and name.partition(".")[0] in said.replace(str(exported), "export")


FORGED = {
    "a text for a number": ("UPDATE evaluations SET accuracy = 'high' WHERE seed = 0", "accuracy is no finite number"),
    "another identity": ("UPDATE evaluations SET identity = 'x' WHERE seed = 0", "row 'x': identity"),
    "a blob": ("UPDATE evaluations SET data = x'80045d' WHERE seed = 0", "data is no text"),
    "no JSON": ("UPDATE evaluations SET curves = 'oops' WHERE seed = 0", "cannot be read"),
    "no UTF-8": ("UPDATE evaluations SET data = CAST(x'ff' AS TEXT) WHERE seed = 0", "cannot be read"),
    "a config of no study": ("UPDATE studies SET config = '[]'", "config is no record"),
}


@pytest.mark.parametrize(("statement", "told"), FORGED.values(), ids=FORGED)
def test_a_storage_that_was_forged_is_refused_like_a_file(theirs: Store, statement: str, told: str) -> None:
    with theirs.turn() as turn:
        turn.connection.execute(sa.text(statement))
    with pytest.raises(ExchangeError) as caught:
        check(Storage(theirs, "theirs"))
    assert told in str(caught.value) and "theirs" in str(caught.value)
