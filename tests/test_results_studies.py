"""`Store.studies`: named, gone on with only as they were asked, and deleted only when nobody works on them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_results_row import a_row, running

from results import Store, open_store
from results.lease import this_owner
from results.studies import StudyError
from search_space.errors import UserError

CONFIG: dict[str, Any] = {"data": "cifar100", "seeds": [0, 1], "limits": {"params": 300_000, "macs": None}}


@pytest.fixture
def store(storage_url: str) -> Iterator[Store]:
    with open_store(storage_url) as store:
        yield store


def refusal(action: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(StudyError) as caught:
        action(*arguments, **options)
    assert isinstance(caught.value, UserError)
    return str(caught.value)


def test_a_study_begun_again_is_the_same_study_by_name_and_without_one_by_what_it_asks(store: Store) -> None:
    before = time.time()
    made = store.studies.begin(CONFIG, "mine", "default")
    assert (made.name, made.config) == ("mine", CONFIG) and before <= made.created <= time.time()
    assert store.studies.begin(CONFIG, "mine", "default") == made
    assert store.studies.begin(dict(reversed(CONFIG.items())), None, "default") == made
    assert store.studies.get("mine") == made and store.studies.list() == [made]


def test_the_same_question_under_another_name_is_another_study_and_the_oldest_is_gone_on_with(store: Store) -> None:
    first, second = (store.studies.begin(CONFIG, name, "default") for name in ("z", "a"))
    assert first.id != second.id and store.studies.list() == [first, second]
    assert store.studies.begin(CONFIG, None, "default") == first


def test_studies_without_a_name_are_numbered_within_the_longest_name(store: Store) -> None:
    long = "x" * 100
    names = [store.studies.begin({"data": data}, None, long).name for data in ("a", "b", "c")]
    assert names == [long, "x" * 98 + "-2", "x" * 98 + "-3"]


def test_another_question_under_the_same_name_is_refused_with_each_difference_given_and_stored(store: Store) -> None:
    store.studies.begin(CONFIG, "mine", "default")
    other = {"data": "cifar100", "seeds": [0], "limits": {"params": 300_000, "macs": 5}, "halving": True}
    said = refusal(store.studies.begin, other, "mine", "default")
    assert "'mine'" in said and "another name" in said
    for difference in (
        "seeds: given [0], stored [0,1]",
        "limits.macs: given 5, stored null",
        "halving: given true, stored nothing",
    ):
        assert difference in said
    assert "data" not in said and "params" not in said
    assert [study.config for study in store.studies.list()] == [CONFIG]


def test_who_proposed_is_told_and_makes_no_other_study(store: Store) -> None:
    first = store.studies.begin(CONFIG, "mine", "default", sampler="gp")
    assert first.config == CONFIG | {"samplers": ["gp"]}
    again = [
        store.studies.begin(CONFIG, name, "default", sampler=who) for name, who in ((None, "random"), ("mine", "gp"))
    ]
    assert {study.id for study in again} == {first.id}
    assert store.studies.get("mine").config["samplers"] == ["gp", "random"]
    assert store.studies.find(CONFIG, "mine") == again[-1]
    assert "samplers" not in refusal(store.studies.begin, CONFIG | {"data": "folder"}, "mine", "default", sampler="gp")


def test_a_study_from_before_samplers_were_kept_does_not_pretend_to_tell_them(store: Store) -> None:
    old = store.studies.begin(CONFIG, "old", "default")
    assert store.studies.begin(CONFIG, "old", "default", sampler="random") == old


def test_an_unknown_study_is_refused_with_those_there_are(store: Store) -> None:
    assert "it has none" in refusal(store.studies.get, "x")
    store.studies.begin(CONFIG, "one", "default")
    for action in (store.studies.get, store.studies.delete, lambda name: store.studies.rename(name, "new")):
        assert "there is no study 'x'" in refusal(action, "x") and "'one'" in refusal(action, "x")


def test_a_renamed_study_keeps_everything_but_its_name_and_takes_none_that_is_taken(store: Store) -> None:
    one = store.studies.begin(CONFIG, "one", "default")
    store.studies.begin({}, "two", "default")
    store.studies.rename("one", "new name")
    renamed = store.studies.get("new name")
    assert (renamed.id, renamed.config, renamed.created) == (one.id, one.config, one.created)
    assert "another one is" in refusal(store.studies.rename, "new name", "two")
    store.studies.rename("two", "two")
    assert [study.name for study in store.studies.list()] == ["new name", "two"]


BAD_NAMES = ["", " a", "a ", "/a", "a/", "a\nb", "a\0b", "x" * 101, "\udcff"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    with open_store("sqlite://") as store:
        store.studies.begin(CONFIG, "one", "default")
        assert "1 to 100 printable characters" in refusal(store.studies.begin, {}, name, "default")
        assert "1 to 100 printable characters" in refusal(store.studies.rename, "one", name)
        assert "there is no study" in refusal(store.studies.get, name)
        assert [study.name for study in store.studies.list()] == ["one"]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(configs=st.lists(st.dictionaries(st.text(max_size=3), _json, max_size=3), min_size=2, max_size=2))
def test_two_questions_go_on_with_one_study_exactly_if_they_are_equal_as_json(configs: list[dict[str, Any]]) -> None:
    """1 and 1.0, True and 1 are equal in Python and are different JSON: the oracle compares the types too."""

    def typed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: typed(inner) for key, inner in value.items()}
        return [typed(inner) for inner in value] if isinstance(value, list) else (type(value), repr(value))

    with open_store("sqlite://") as store:
        first, second = (store.studies.begin(config, None, "default") for config in configs)
        assert (first.id == second.id) == (typed(configs[0]) == typed(configs[1]))
        assert typed(store.studies.get(first.name).config) == typed(configs[0])


def test_of_many_processes_that_begin_one_study_at_once_all_get_the_same(storage_url: str) -> None:
    def begin(number: int) -> str:
        with open_store(storage_url) as own:
            return own.studies.begin(CONFIG, "mine" if number % 2 else None, "mine").id

    open_store(storage_url).close()
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(begin, range(8)))) == 1


def test_a_deleted_study_takes_with_it_only_the_rows_that_it_had_trained_and_only_if_asked(store: Store) -> None:
    one, two = (store.studies.begin({"n": name}, name, "default") for name in ("one", "two"))
    for seed, study in enumerate((one.id, one.id, two.id, None)):
        store.finish(a_row(seed=seed, study=study))
    assert store.studies.delete("two") == 0 and len(store.rows()) == 4
    assert store.studies.delete("one", rows=True) == 2
    assert [row.seed for row in store.rows()] == [2, 3] and store.studies.list() == []


@pytest.mark.parametrize("rows", [False, True])
def test_a_study_that_a_live_process_works_on_is_not_deleted_and_one_of_a_dead_one_is(store: Store, rows: bool) -> None:
    study = store.studies.begin(CONFIG, "mine", "default")
    store.claim(running(this_owner(), study=study.id))
    assert this_owner() in refusal(store.studies.delete, "mine", rows=rows)
    assert store.studies.list() == [study] and len(store.rows()) == 1
    host, pid, start = this_owner().rsplit(":", 2)
    store.release(a_row().identity, this_owner())
    store.claim(running(f"{host}:{pid}:{int(start) + 1}", study=study.id))  # another process, that once had our number
    assert store.studies.delete("mine", rows=rows) == int(rows) and len(store.rows()) == int(not rows)
