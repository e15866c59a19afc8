"""`attnas results import` as it is typed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from exports import changed, fill, forge
from test_results_row import a_row

from results import open_store
from results.exchange_read import Directory
from results.recipes import KeptRecipe
from results.table import RECIPES
from trainers.recipe import PROXY


@pytest.mark.parametrize("content", [{}, {"batch_size": "x"}, PROXY.content | {"momentum": 0.5}, {"later": 1}])
def test_a_recipe_that_has_another_hash_is_not_imported(attnas: Any, tmp_path: Path, content: dict[str, Any]) -> None:
    """Under the hash of our own it would stand in our way; the true content is taken."""
    with open_store(f"sqlite:///{tmp_path}/theirs.db") as theirs:
        theirs.recipes.keep(KeptRecipe(hash=PROXY.hash, kind="Recipe", name="proxy", content=content))
    words = ["results", "import", theirs.url, "--storage", f"sqlite:///{tmp_path}/ours.db"]
    done = attnas(*words)
    assert done.code == 2 and f"is stored as {PROXY.hash}, and has" in done.err and not (tmp_path / "ours.db").exists()
    with theirs.turn() as turn:
        turn.connection.execute(RECIPES.update().values(content=PROXY.content))
    assert attnas(*words).code == 0


def test_other_files_are_never_opened_and_told(exported: Path, tmp_path: Path, attnas: Any) -> None:
    (exported / "sitecustomize.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    os.mkfifo(exported / "pipe")  # to open it would wait for ever
    done = attnas("results", "import", exported, "--storage", f"sqlite:///{tmp_path}/ours.db")
    assert done.code == 0 and "not read, no part of the export: 'pipe', 'sitecustomize.py'" in done.out
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def another(tmp_path: Path) -> str:
    """The same in a file."""
    with open_store(f"sqlite:///{tmp_path}/theirs.db") as theirs:
        fill(theirs)
    return theirs.url


def test_every_source_is_checked_before_a_row_of_any_is_written(
    attnas: Any, another: str, exported: Path, tmp_path: Path
) -> None:
    forge(exported, "rows.jsonl", changed(accuracy=2.0))
    done = attnas("results", "import", another, exported, "--storage", f"sqlite:///{tmp_path}/ours.db")
    assert done.code == 2 and "line 2: accuracy" in done.err and not (tmp_path / "ours.db").exists()


def test_the_command_line_imports_directories_and_storages_and_says_what_came(
    attnas: Any, another: str, exported: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/ours.db"
    with open_store(url) as ours:
        ours.finish(a_row(seed=0, accuracy=0.25))
    done = attnas("results", "import", exported, another, "--storage", url)
    assert done.code == 0
    assert f"{exported}: 5 rows: 4 new, 1 already there (1 differ, ours kept)" in done.out
    assert "differs: avg/mlp-r16, seed 0: ours complete 25.00%, theirs complete 50.00%" in done.out
    assert f"{another}: 5 rows: 0 new, 5 already there" in done.out
    told = json.loads(attnas("results", "import", exported, "--storage", url, "--json").out)
    assert [(one["rows"], one["new"], len(one["differing"])) for one in told] == [(5, 0, 1)]
    assert told[0]["content_hash"] == Directory(exported).content_hash
    several = attnas("results", "import", exported.parent, "--storage", url)
    assert several.code == 2 and f"give the exports in it: {exported}" in several.err
    for missing in (tmp_path / "nowhere", exported / "rows.jsonl"):
        refused = attnas("results", "import", missing, "--storage", url)
        assert refused.code == 2 and "give a directory that `attnas results export` wrote" in refused.err
