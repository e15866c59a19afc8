"""The evaluation on the test split that ends a confirmation: once, of the winner that was confirmed."""

import pytest
from confirmations import confirmed, on_test

from results.confirmed import confirmations
from search import final as final_module
from search.confirm import ConfirmError, confirm, retry_failed
from search.final import begin_final, finish
from search.verdict import verdict
from search_space import find_design


def test_processes_of_one_command_begin_one_final(world, setting, store, monkeypatch):
    plan, state = confirmed(setting, store, seeds=2, report_seeds=1)
    theirs = []

    def meanwhile(text):
        if not theirs:
            theirs.append(None)
            theirs[0] = begin_final(plan, state, on_test(setting), store, 2)
            finish(theirs[0], on_test(setting), store)
        return find_design(text)

    monkeypatch.setattr(final_module, "find_design", meanwhile)
    assert begin_final(plan, state, on_test(setting), store, 2) == theirs[0]


def test_the_test_split_is_looked_at_once(world, setting, store):
    plan, state = confirmed(setting, store)
    final = begin_final(plan, state, on_test(setting), store, 2)
    report = finish(final, on_test(setting), store)
    assert [mean.design for mean in report.means] == ["max/conv1d", "none", "avg/mlp-r16"]
    rows = store.rows(split="test")
    assert len(rows) == 6 and {row.epochs for row in rows} == {6} and {len(row.curves) for row in rows} == {1}
    assert min(row.seed for row in rows) > max(row.seed for row in store.rows(split="validation"))
    count = len(world.trained)
    finish(begin_final(plan, state, on_test(setting), store, 2), on_test(setting), store)
    assert len(world.trained) == count, "the same words print the same numbers"
    assert "Once on the test split" in "\n".join(verdict(confirmations(store)[0]))
    with pytest.raises(ConfirmError, match=r"test split of blobs .*max/conv1d.*--second-look"):
        begin_final(plan, state, on_test(setting), store, 3)
    more = begin_final(plan, state, on_test(setting), store, 3, second_look=True)
    assert not set(more.config["seeds"]) & set(final.config["seeds"])
    assert begin_final(plan, state, on_test(setting), store, 3, second_look=True) == more, "unfinished: it goes on"
    state = confirmations(store)[0]
    assert state.final.study == more.name and state.final.second_look and not report.second_look
    finish(more, on_test(setting), store)
    assert "Not the first look at the test split" in "\n".join(verdict(confirmations(store)[0]))


def test_another_winner_is_a_second_look_too(world, setting, store):
    """--again, other finalists, another recipe: whoever may choose between two numbers of the test split may flatter
    himself, whatever was measured."""
    plan, state = confirmed(setting, store)
    finish(begin_final(plan, state, on_test(setting), store, 2), on_test(setting), store)
    other, state = confirmed(setting, store, designs=("avg/mlp-r4",), seeds=3)
    assert state.leader == "avg/mlp-r4"
    with pytest.raises(ConfirmError, match=r"max/conv1d.*--second-look"):
        begin_final(other, state, on_test(setting, epochs=7), store, 2)
    begin_final(other, state, on_test(setting, epochs=7), store, 2, second_look=True)


def test_a_final_belongs_to_the_leader_it_measured(world, setting, store):
    """A retry brings the better design back: what was measured of the earlier leader is not told of the new one."""
    world.fails = {("max/conv1d", 9): "nan"}
    plan, state = confirmed(setting, store)
    earlier = state.leader
    final = begin_final(plan, state, on_test(setting), store, 2)
    finish(final, on_test(setting), store)
    assert confirmations(store)[0].final.means[0].design == earlier != "max/conv1d"
    world.fails = {}
    retry_failed(plan, store)
    state = confirm(plan, setting, store)
    assert state.leader == "max/conv1d" and state.final is None
    with pytest.raises(ConfirmError, match="--second-look"):
        begin_final(plan, state, on_test(setting), store, 2)
    more = begin_final(plan, state, on_test(setting), store, 2, second_look=True)
    assert more.config["designs"][0] == "max/conv1d"
    assert finish(more, on_test(setting), store).means[0].n == 2
