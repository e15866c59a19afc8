"""Searches whose processes are killed, for real, at the worst moments. `make chaos` is the long form."""

import importlib.util

import pytest
from chaos.backends import small
from chaos.campaign import campaign
from chaos.verdict import judge


@pytest.mark.parametrize("backend", ["sqlite", "postgresql", "ray"])
def test_a_search_whose_processes_are_killed_loses_doubles_and_leaves_nothing(backend, request):
    """Oracle: what the processes themselves logged, beside the product; at least half of the kills fall between the
    end of a training and its commit, which the log proves too."""
    if backend == "ray" and importlib.util.find_spec("ray") is None:
        pytest.skip("NOT TESTED: no ray on this machine: pip install 'ray[tune]'")
    server = request.getfixturevalue("postgres") if backend == "postgresql" else None
    with campaign(small(backend, seed=0), seed=0, server=server) as chaos:
        chaos.run(limit_seconds=120)
        verdict = judge(chaos, least_kills=8)
    assert verdict.passed, verdict
