"""`attnas study`: what a storage knows of its studies, told from the storage alone."""

import json
from dataclasses import replace

import pytest
from pretended import pretend, run
from searches import SPACE

from results import open_store
from search.study_rows import StoredStudy
from search_space import PRESETS, UserError


@pytest.fixture
def url(tmp_path, blobs, monkeypatch):
    """Two studies: `small` of nine trials with rungs, and `params` of three without."""
    pretend(monkeypatch)
    url = f"sqlite:///{tmp_path}/rows.db"
    with open_store(url) as store:
        run(store, blobs, study="small")
        run(store, blobs, study="params", trials=3, halving=False, objectives="accuracy,params")
    return url


def test_list_tells_what_each_study_is_about_and_how_far_it_is(attnas, url):
    found = json.loads(attnas("study", "list", "--storage", url, "--json").out)
    assert [facts["study"] for facts in found] == ["small", "params"]
    assert [facts["trials"] for facts in found] == [9, 3]
    assert found[0]["statuses"]["complete"] >= 1 and found[1]["statuses"] == {"complete": 3}
    shown = attnas("study", "list", "--storage", url).out
    rows = sum(found[0]["statuses"].values())
    assert shown.splitlines()[0] == "small" and "1-3-9 epochs, accuracy,macs" in shown
    assert rows > 9 and f"  9 trials in {rows} rows (" in shown and "  3 trials in 3 rows (3 complete), begun " in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_show_prints_the_config_and_the_best(attnas, url):
    done = attnas("study", "show", "small", "--storage", url)
    assert done.code == 0 and "9 trials" in done.out and "squeeze          none, avg, max, dct" in done.out
    facts = json.loads(attnas("study", "show", "small", "--storage", url, "--json").out)
    assert facts["config"]["rungs"] == [1, 3, 9]
    with open_store(url, read_only=True) as store:
        top = max(row.accuracy for row in store.rows() if row.schedule_epochs == 9 and row.study == facts["id"])
    assert facts["best"][0]["accuracy"] == top and {row["epochs"] for row in facts["best"]} == {9}


def test_rename_and_delete_by_name(attnas, url):
    assert attnas("study", "rename", "small", "first", "--storage", url).code == 0
    done = attnas("study", "show", "small", "--storage", url)
    assert done.code == 2 and "there are: 'first', 'params'" in done.err
    assert attnas("study", "delete", "first", "--yes", "--storage", url).code == 0
    with open_store(url, read_only=True) as store:
        assert [study.name for study in store.studies.list()] == ["params"] and len(store.rows()) > 3
    done = attnas("study", "delete", "params", "--rows", "--yes", "--storage", url, "--json")
    assert json.loads(done.out) == {"study": "params", "rows": 3}


def test_delete_asks_and_without_a_terminal_to_ask_on_refuses(attnas, url):
    done = attnas("study", "delete", "small", "--rows", "--storage", url)
    assert done.code == 2 and "rows trained for it?" in done.err and "--yes" in done.err
    with open_store(url, read_only=True) as store:
        assert len(store.studies.list()) == 2


@pytest.mark.parametrize("words", [["list"], ["show", "x"], ["rename", "x", "y"], ["delete", "x", "--yes"]])
def test_no_question_makes_a_storage(attnas, tmp_path, words):
    done = attnas("study", *words, "--storage", f"sqlite:///{tmp_path}/none.db")
    assert done.code == 2 and "none.db" in done.err and not (tmp_path / "none.db").exists()


def test_the_rows_of_a_study_are_those_that_the_study_itself_counts(store, blobs, monkeypatch):
    """Oracle: the mirror of a search of the same request, which knows the backbone. A preset outside the space was
    asked for; a row of another context, of another seed, and one over the limit are none of it."""
    from search.lookout import Silent

    class Keeping(Silent):
        def begin(self, study, budget):
            self.study = study

    pretend(monkeypatch)
    keeping = Keeping()
    asked = [PRESETS["srm"], PRESETS["eca"]]
    run(store, blobs, halving=False, warm_start_from=asked, max_params=80_000, report=keeping)
    rows = keeping.study.rows()
    strange = {"network_key": "other", "study": None}
    for changed in (
        {"seed": 7},
        {"epochs": 5, "schedule_epochs": 5},
        {"params": 90_000},
        {"key": "a/b", "design": "a/b"},
    ):
        store.finish(replace(rows[-1], **strange | changed))
    [study] = store.studies.list()
    found = StoredStudy(study).rows(store)
    assert {row.identity for row in found} == set(keeping.study.mirror.finished) and len(found) == 9
    assert "avg+std/cfc" in {row.design for row in found}


def test_a_study_of_another_version_is_refused_by_name(store):
    begun = store.studies.begin({"space": {"colour": ["red"]}}, "strange", "strange")
    with pytest.raises(UserError, match=r"strange.*another version"):
        StoredStudy(begun)


def test_the_space_of_a_config_is_the_space_that_was_searched(store, blobs, monkeypatch):
    pretend(monkeypatch)
    run(store, blobs, trials=1)
    assert StoredStudy(store.studies.list()[0]).space == SPACE
