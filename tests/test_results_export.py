"""What an export writes: whole or not at all, the same bytes for the same rows, and nothing private.

Oracles: coreutils' sha256sum, pandas' readers, PyYAML with the required keys of the Citation File Format 1.2.0
(its guide, "cff-version, message, title, authors"), the rows themselves.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from test_results_row import a_row, running

from results import Row, Store, open_store
from results.exchange import ExchangeError, readable, without_paths
from results.exchange_merge import merge
from results.exchange_read import Directory
from results.exchange_write import export
from results.latencies import Latency
from results.query import QueryError
from results.recipes import KeptRecipe

TRACEBACK = (
    'Traceback (most recent call last):\n  File "/home/ann roe/attnas/trainers/proxy.py", line 3, in train\n'
    "OSError: [Errno 28] No space left on device: /scratch/ann/attnas.db.checkpoints/x.pt\n"
)
VERSIONS = {"python": "3.12.3", "torch": "2.9.0"}
ROWS = [
    a_row(seed=0, curves=[{"epoch": 1, "loss": 1.5, "accuracy": 0.25}], versions=VERSIONS, started=1.0, finished=2.5),
    a_row(seed=1, accuracy=0.1 + 0.2, owner="secret-host:1:1", heartbeat=1.0, hardware="gpu", commit="abc+"),
    a_row(network_key="n1", design="none", key="none", macs=40_000_000, hardware="gpu", finished=1_700_000_000.0),
    a_row(network_key="n2", design="eca", key="avg/conv1d", status="stopped", epochs=5, settled="dct-at01/mlp-r4"),
    a_row(network_key="n3", status="failed", failure="infra", error=TRACEBACK, accuracy=None, loss=None, seconds=1.0),
    a_row(network_key="n4", recipe_hash="r9", data="cifar100", design="of a later attnas", key="x", study="5" * 32),
]


def fill(store: Store, rows: list[Row] = ROWS) -> Store:
    for row in rows:
        store.finish(row if row.finished else replace(row, finished=9.0))
    store.claim(running("secret-host:2:2", network_key="n5"))
    store.recipes.keep(KeptRecipe(hash="r0", kind="Recipe", name="proxy", content={"momentum": 0.9}))
    store.latencies.put(Latency(network_key="n1", hardware="gpu", conditions="b1", seconds=0.5, seconds_iqr=0.0, n=3))
    store.studies.begin({"data": "synthetic"}, "mine", "mine")
    return store


@pytest.fixture
def store(storage_url: str) -> Iterator[Store]:
    with open_store(storage_url) as store:
        yield fill(store)


@pytest.fixture
def exported(store: Store, tmp_path: Path) -> Path:
    return export(store, tmp_path / "out", authors=["Roe, Ann", "The Group"], note="All of it.").directory


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_coreutils_finds_every_file_as_it_was_summed(exported: Path) -> None:
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    checked = subprocess.run(command, cwd=exported, capture_output=True, text=True, check=True).stdout
    names = {path.name for path in exported.iterdir()} - {"SHA256SUMS"}
    assert checked.splitlines() == [f"{name}: OK" for name in sorted(names)]
    assert names == {
        *("rows.jsonl", "designs.csv", "studies.json", "recipes.json", "latencies.json"),
        *("environment.json", "export.json", "README.md", "CITATION.cff"),
    }


def test_the_content_hash_is_over_the_sums_of_what_is_loaded(store: Store, tmp_path: Path) -> None:
    done = export(store, tmp_path / "out")
    lines = (tmp_path / "out" / "SHA256SUMS").read_text().splitlines(keepends=True)
    loaded = [
        line for line in lines if line.split()[1] in ("latencies.json", "recipes.json", "rows.jsonl", "studies.json")
    ]
    assert len(loaded) == 4 and done.content_hash == hashlib.sha256("".join(loaded).encode()).hexdigest()


def test_the_same_rows_are_the_same_bytes_whatever_the_order_they_came_in(exported: Path, tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/other.db") as other:
        fill(other, ROWS[::-1])
        again = export(other, tmp_path / "again", authors=["Roe, Ann", "The Group"], note="All of it.").directory
    one, two = contents(exported), contents(again)
    assert {name for name in one if one[name] != two[name]} == {
        *("studies.json", "latencies.json"),  # made at another time here, under another id
        *("SHA256SUMS", "README.md", "CITATION.cff"),  # which name these
    }


def test_what_was_imported_is_exported_as_the_same_bytes(exported: Path, tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/other.db") as other:
        merge(Directory(exported), other)
        again = export(other, tmp_path / "again", authors=["Roe, Ann", "The Group"], note="All of it.").directory
    assert contents(again) == contents(exported)


def test_every_row_that_has_ended_is_a_line_and_pandas_reads_them(store: Store, exported: Path) -> None:
    lines = (exported / "rows.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["identity"] for record in records] == sorted(row.identity for row in ROWS)
    assert lines == [json.dumps(record, sort_keys=True, separators=(",", ":")) for record in records]
    frame = store.frame("status != 'running'").drop(columns=["owner", "heartbeat", "error"])
    read = pd.read_json(exported / "rows.jsonl", lines=True, dtype=False, precise_float=True)
    assert set(read) == {*frame, "error"}
    ours, theirs = (one.astype(object).where(one.notna(), None) for one in (frame, read[list(frame)]))
    pd.testing.assert_frame_equal(theirs, ours.sort_values("identity", ignore_index=True), check_dtype=False)


def test_no_owner_no_host_and_no_folder_of_anybody_is_in_any_file(exported: Path) -> None:
    for name, text in contents(exported).items():
        for private in (b"secret-host", b"ann roe", b"/scratch", b"/home", b'heartbeat"', b'owner"'):
            assert private not in text, name
    failed = next(line for line in (exported / "rows.jsonl").read_text().splitlines() if '"failed"' in line)
    assert json.loads(failed)["error"] == (
        'Traceback (most recent call last):\n  File ".../proxy.py", line 3, in train\n'
        "OSError: [Errno 28] No space left on device: .../x.pt\n"
    )


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/a/b.py", ".../b.py"),
        ("'/data/of mine/x'", "'.../x'"),
        (r'File "C:\Users\ann\x.py", line 1', 'File ".../x.py", line 1'),
        ("open(/a/b/c)", "open(.../c)"),
        ("path=/one/two:/three/four", "path=.../two:.../four"),
        ("shape [3/4] and/or 1/2 of a/b/c", "shape [3/4] and/or 1/2 of a/b/c"),
        ("/x", "/x"),
        (".../b.py", ".../b.py"),
    ],
)
def test_a_path_is_shortened_to_its_last_part(text: str, left: str) -> None:
    assert without_paths(text) == left == without_paths(left)


def test_what_could_steer_a_terminal_is_escaped() -> None:
    assert (
        readable("\x1b[2Jred\u202e\n") == "\\x1b[2Jred\\u202e\\n" and readable("a\n\tb\r", keep="\n\t") == "a\n\tb\\r"
    )
    assert readable("Zürich μ 訓練") == "Zürich μ 訓練"


def test_the_table_of_designs_has_axes_costs_and_counts(exported: Path) -> None:
    table = pd.read_csv(exported / "designs.csv", keep_default_na=False).set_index("design")
    assert table["evaluations"].to_dict() == {"avg/mlp-r16": 3, "none": 1, "eca": 1, "of a later attnas": 1}
    se, eca = (table.loc[design].to_dict() for design in ("avg/mlp-r16", "eca"))
    assert (se["squeeze"], se["excitation"], se["reduction"]) == ("avg", "mlp", "16")
    assert (se["macs"], se["params"]) == (41_000_000, 270_000)
    assert (eca["key"], eca["excitation"], eca["backbone"]) == ("avg/conv1d", "conv1d", "resnet8")
    assert table["squeeze"].to_dict()["of a later attnas"] == "unreadable"


def test_the_environment_counts_its_rows(exported: Path) -> None:
    told = json.loads((exported / "environment.json").read_text())
    assert told["hardware"] == [{"hardware": None, "evaluations": 4}, {"hardware": "gpu", "evaluations": 2}]
    assert told["versions"] == [{"versions": {}, "evaluations": 5}, {"versions": VERSIONS, "evaluations": 1}]
    assert {one["commit"]: one["evaluations"] for one in told["commit"]} == {None: 5, "abc+": 1}


def test_the_citation_is_a_citation_file(exported: Path) -> None:
    cited = yaml.safe_load((exported / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= cited.keys() and cited["cff-version"] == "1.2.0"
    assert cited["type"] == "dataset" and cited["version"] == Directory(exported).content_hash
    assert cited["authors"] == [{"family-names": "Roe", "given-names": "Ann"}, {"name": "The Group"}]
    assert cited["date-released"] == "2023-11-14"  # date -u -d @1700000000, the newest row


def test_the_readme_says_counts_contexts_hash_and_what_is_unknown(exported: Path) -> None:
    text = (exported / "README.md").read_text()
    assert (
        "6 evaluations (1 failed, 4 complete, 1 stopped)".replace("1 failed, 4 complete", "4 complete, 1 failed")
        in text
    )
    assert "of 4 designs" in text and Directory(exported).content_hash in text and "sha256sum -c SHA256SUMS" in text
    assert "| synthetic | d0 | validation | resnet8 at 32 px, 100 classes | proxy (r0) | 10 of 20 | 4 |" in text
    assert "recipe hashes r9 stand for" in text and "All of it." in text and "Roe, Ann; The Group" in text


def test_an_export_of_some_rows_holds_what_belongs_to_them(store: Store, tmp_path: Path) -> None:
    done = export(store, tmp_path / "out", where="network_key == 'n4'")
    made = Directory(done.directory)
    assert (done.rows, done.unknown_recipes) == (1, ("r9",)) and [row.network_key for row in made.rows()] == ["n4"]
    assert made.studies() == made.recipes() == made.latencies() == []
    assert "network_key == 'n4'" in (done.directory / "README.md").read_text()
    with pytest.raises(QueryError):
        export(store, tmp_path / "other", where="1 + 1")
    assert not (tmp_path / "other").exists()


def test_who_may_only_read_exports_the_same(store: Store, exported: Path, tmp_path: Path) -> None:
    with open_store(store.url, read_only=True) as reader:
        export(reader, tmp_path / "again", authors=["Roe, Ann", "The Group"], note="All of it.")
    assert contents(tmp_path / "again") == contents(exported)


def test_an_empty_storage_is_an_empty_export(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/a.db") as store:
        done = export(store, tmp_path / "out")
    assert done.rows == 0 and list(Directory(done.directory).rows()) == []
    assert "date-released" not in yaml.safe_load((done.directory / "CITATION.cff").read_text())


def test_an_axis_chooses_rows_to_export_as_in_a_query(store: Store, tmp_path: Path) -> None:
    done = export(store, tmp_path / "out", where="squeeze == 'avg' and excitation == 'conv1d'")
    assert [row.design for row in Directory(done.directory).rows()] == ["eca"]


def test_a_row_that_no_import_would_take_is_named_and_can_be_left_out(store: Store, tmp_path: Path) -> None:
    odd = a_row(network_key="odd", seconds=-1.0, finished=9.0)
    store.finish(odd)
    with pytest.raises(ExchangeError, match=rf"row {odd.identity} .* seconds: -1\.0 given.*--where"):
        export(store, tmp_path / "out")
    assert export(store, tmp_path / "out", where=f"identity != '{odd.identity}'").rows == 6


def test_the_command_line_exports_and_says_what_it_wrote(attnas: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with open_store(url) as store:
        fill(store)
    done = attnas("results", "export", "out", "--storage", url, "--author", "Roe, Ann")
    assert done.code == 0 and "6 rows of 4 designs" in done.out and "left out: 1 running" in done.out
    assert Directory(tmp_path / "out").content_hash in done.out and "recipes not kept" in done.out and "r9" in done.out
    again = attnas("results", "export", "out", "--storage", url)
    assert again.code == 2 and "is not empty" in again.err
    told = json.loads(attnas("results", "export", "out", "--storage", url, "--force", "--json").out)
    assert (told["rows"], told["content_hash"]) == (6, Directory(tmp_path / "out").content_hash)
