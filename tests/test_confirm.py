"""`attnas confirm` from plan to winner, on trainings that take no time and whose truth is known.

Oracles: the known truth, an undisturbed run beside a disturbed one, counts of what was trained.
"""

import threading
import time
from dataclasses import replace

import pytest
from confirmations import RECIPE, confirmed, searched

from results import open_store
from results.confirmed import confirmations, is_search
from results.lease import this_owner
from search.confirm import Asked, ConfirmError, begin, confirm, find, first_fresh_seed
from search.study_rows import StoredStudy
from search_space import UserError, find_design


def test_the_truly_best_wins_with_fresh_seeds_though_the_search_was_lucky_with_another(world, setting, store):
    plan, state = confirmed(setting, store)
    assert plan.config["designs"] == ["avg/conv1d", "max/conv1d", "avg/mlp-r4", "none", "avg/mlp-r16"]
    assert state.winner == "max/conv1d" and state.standing == ("max/conv1d",) and not state.wanted
    assert {seed for _, seed, _, _ in world.trained} <= set(range(8, 8 + 7)), "7 was the search's"
    mean = state.report.means[0]
    assert (mean.design, mean.n) == ("max/conv1d", 3) and mean.low < 0.80 < mean.high
    assert [(gap.against, gap.n, gap.paired) for gap in state.report.gaps] == [("none", 3, False), ("se", 3, False)]
    assert state.report.gaps[0].low < 0.30 < state.report.gaps[0].high
    reported = {(text, seed) for text, seed, _, _ in world.trained if seed >= 12}
    assert {text for text, _ in reported} == {"max/conv1d", "none", "avg/mlp-r16"} and len(reported) == 9
    assert confirmations(store) == [state] and all(row.study == plan.id for row in store.rows() if row.seed > 7)


def test_se_under_another_spelling_joins_once(world, setting, store):
    plan, _ = confirmed(setting, store, designs=("avg/mlp-r16", "se", "none"), seeds=2, report_seeds=1)
    assert plan.config["designs"] == ["avg/mlp-r16", "none"]


def test_an_interrupted_confirmation_goes_on_to_the_same_end_and_trains_nothing_twice(world, setting, tmp_path):
    with open_store(f"sqlite:///{tmp_path}/whole.db") as store:
        _, whole = confirmed(setting, store)
    undisturbed, world.trained = list(world.trained), []
    with open_store(f"sqlite:///{tmp_path}/parts.db") as store:
        done = 0
        while True:
            world.stop_after = len(world.trained) + 3
            try:
                _, state = confirmed(setting, store)
                break
            except KeyboardInterrupt:
                assert len(world.trained) == done + 3
                done = len(world.trained)
        assert len(store.studies.list()) == 1
    assert world.trained == undisturbed
    assert state.as_json() == whole.as_json()


def test_a_run_whose_process_was_killed_is_begun_again(world, setting, store):
    words = Asked(top=3, seeds=2, report_seeds=1)
    plan = begin(words, setting, store, searched(setting, store))
    killed = setting.row(find_design("none"), plan.config["seeds"][0])
    host, _, _ = this_owner().rpartition(":")[0].rpartition(":")
    store.claim(replace(killed, owner=f"{host}:999999:1"))
    assert not confirm(plan, setting, store).wanted
    assert store.get(killed.identity).status == "complete" and store.get(killed.identity).attempts == 2


def test_a_run_that_another_process_trains_is_waited_for_and_not_trained_here(world, setting, store):
    plan = begin(Asked(top=3, seeds=2, report_seeds=1), setting, store, searched(setting, store))
    there = replace(setting.row(find_design("none"), plan.config["seeds"][0]), owner="elsewhere:1:1")
    assert store.claim(there) is None
    done = replace(there, status="complete", accuracy=0.5, loss=1.0)
    later = threading.Thread(target=lambda: (time.sleep(0.3), store.finish(done)))
    later.start()
    state = confirm(plan, setting, store)
    later.join()
    assert not state.wanted and ("none", there.seed, "validation", "proxy") not in world.trained


def test_a_new_confirmation_has_seeds_that_no_plan_has(world, setting, store):
    plan, _ = confirmed(setting, store)
    again = begin(Asked(top=3, seeds=4, report_seeds=3), setting, store, store.frame(), again=True)
    assert min(again.config["seeds"]) > max(plan.config["report_seeds"])
    assert find(Asked(top=3, seeds=4, report_seeds=3), setting.context, store) == again


def test_a_rung_and_a_plan_of_another_split_have_used_their_seeds(world, setting, store):
    """A training stopped at a rung is the beginning of the training that would be called fresh."""
    stopped = replace(setting.row(find_design("max/conv1d"), 50, epochs=2), status="stopped", accuracy=0.5, loss=1.0)
    store.finish(stopped)
    assert first_fresh_seed(setting, store) == 51
    store.studies.begin({**setting.context, "split": "test", "epochs": 2, "seeds": [60]}, None, "elsewhere")
    assert first_fresh_seed(setting, store) == 61
    assert first_fresh_seed(replace(setting, recipe=RECIPE.changed(batch_size=30)), store) == 0


def test_a_plan_is_no_search(world, setting, store):
    plan, _ = confirmed(setting, store, seeds=2, report_seeds=1)
    assert not is_search(plan)
    with pytest.raises(UserError, match="no search but a plan to confirm"):
        StoredStudy(plan)


@pytest.mark.parametrize(
    ("asked", "named"),
    [({"seeds": 1}, "seeds: 1"), ({"top": 0}, "top: 0"), ({"alpha": 0.9}, "alpha"), ({"report_seeds": 0}, "report")],
)
def test_what_decides_nothing_is_refused(asked, named):
    with pytest.raises(ConfirmError, match=named):
        Asked(**asked)


def test_processes_of_one_command_begin_one_confirmation(world, setting, storage_url):
    """Both have looked and found none; the second to begin goes on with the plan of the first."""
    words = Asked(top=3, seeds=4, report_seeds=3)
    with open_store(storage_url) as store, open_store(storage_url) as other:
        rows = searched(setting, store)
        assert begin(words, setting, store, rows) == begin(words, setting, other, rows)
        assert len(store.studies.list()) == 1
