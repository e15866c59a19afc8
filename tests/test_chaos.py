"""Searches whose processes are killed, for real, at the worst moments. `make chaos` is the long form."""

import importlib.util
import json
from collections import Counter

import pytest
from chaos.backends import small
from chaos.campaign import campaign
from chaos.journal import BETWEEN, Journal
from chaos.verdict import judge


@pytest.mark.parametrize("backend", ["sqlite", "postgresql", "ray"])
def test_a_search_whose_processes_are_killed_loses_doubles_and_leaves_nothing(backend, request):
    """Oracle: what the processes themselves logged, beside the product; at least half of the kills fall between the
    end of a training and its commit, which the log proves too."""
    if backend == "ray" and importlib.util.find_spec("ray") is None:
        pytest.skip("NOT TESTED: no ray on this machine: pip install 'ray[tune]'")
    server = request.getfixturevalue("postgres") if backend == "postgresql" else None
    with campaign(small(backend, seed=0), seed=0, server=server) as chaos:
        chaos.run(limit_seconds=300)
        verdict = judge(chaos, least_kills=len(chaos.plan.strikes))
    assert verdict.passed, verdict


def journal(folder, *events):
    lines = [{"identity": "a", "pid": 1, "time": 0.0} | event for event in events]
    (folder / "log").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"half a li')
    read = Journal(folder)
    read.read()
    return read


BEGUN, TRAINED, COMMITTED = ({"event": name} for name in ("begun", "trained", "committed"))


def test_the_log_shows_a_training_that_was_begun_again_after_its_commit(tmp_path):
    assert journal(tmp_path, BEGUN, TRAINED, COMMITTED, BEGUN).again_after_commit() == {"a"}
    assert journal(tmp_path, BEGUN, BEGUN, TRAINED, COMMITTED).again_after_commit() == set()


def test_the_log_shows_that_two_processes_brought_one_evaluation_to_its_end(tmp_path):
    assert journal(tmp_path, COMMITTED, COMMITTED | {"pid": 2}).committed_by_several() == {"a"}
    assert journal(tmp_path, COMMITTED, COMMITTED | {"identity": "b", "pid": 2}).committed_by_several() == set()


def test_the_moment_of_a_kill_is_what_its_victim_had_logged_last(tmp_path):
    def killed(kind, victim, **more):
        return {"event": "kill", "kind": kind, "victim": victim} | more

    harness = {"pid": 9, "identity": None}
    read = journal(
        *(tmp_path, BEGUN, TRAINED, killed("trainer", 1), BEGUN | {"pid": 2}, COMMITTED | {"pid": 3}),
        *(killed("worker", number, **harness) for number in (2, 3, 4)),
        *(killed("driver", 5, **harness), TRAINED | {"pid": 6}, killed("backend", 7, pid=6)),
    )
    assert read.kills() == Counter(
        {
            ("trainer", BETWEEN): 1,
            ("worker", "in training"): 1,
            ("worker", "after a commit"): 1,
            ("worker", "at a start"): 1,
            ("driver", "at any time"): 1,
            ("backend", BETWEEN): 1,
        }
    )
