"""What is refused before Ray starts, and how many evaluations fit on a cluster; Ray itself only says what it has."""

import sys
import time

import pytest
import ray

from search import ray_cluster
from search.ray_cluster import check_nodes, cluster
from search.ray_engine import check_share

LOCAL = "sqlite:///a.db"


@pytest.mark.parametrize("devices", [-1, 1.5, float("nan")])
def test_a_share_that_no_accelerator_has_is_refused(devices):
    with pytest.raises(Exception, match=r"devices per worker.*allowed"):
        check_share(devices)


def node(host, **resources):
    return {"Alive": True, "NodeManagerHostname": host, "Resources": resources}


@pytest.fixture
def nodes(monkeypatch):
    """`nodes(...)`: what Ray would say its cluster is."""
    monkeypatch.setattr(ray_cluster.socket, "gethostname", lambda: "here")
    return lambda *given: monkeypatch.setattr(ray, "nodes", lambda: list(given))


def test_a_sqlite_file_and_a_node_on_another_machine_are_refused_with_the_reason(nodes):
    nodes(node("here", CPU=2), node("there", CPU=2))
    with pytest.raises(Exception, match=r"SQLite.*there is another.*PostgreSQL"):
        check_nodes(LOCAL, cpus=1, devices=0)
    assert check_nodes("postgresql://host/a", cpus=1, devices=0) == 4


def test_more_nodes_on_this_machine_may_share_a_sqlite_file(nodes):
    nodes(node("here", CPU=2), node("here", CPU=1))
    assert check_nodes(LOCAL, cpus=1, devices=0) == 3


@pytest.mark.parametrize(
    ("cpus", "devices", "fit"),
    [(1, 0, 8), (3, 0, 2), (1, 1, 2), (1, 0.5, 4), (1, 0.25, 8), (1, 2, 1), (1, 0.4, 4)],
)
def test_how_many_fit_counts_whole_evaluations_on_one_node_and_shares_on_one_accelerator(nodes, cpus, devices, fit):
    """The oracle: by hand, for 8 CPUs and 2 accelerators; a share lies on one accelerator, two of 0.4 on each."""
    nodes(node("here", CPU=8, GPU=2))
    assert check_nodes(LOCAL, cpus=cpus, devices=devices) == fit


def test_an_evaluation_that_fits_on_no_node_is_refused(nodes):
    nodes(node("here", CPU=2), node("here", CPU=1))
    with pytest.raises(Exception, match=r"no node of the Ray cluster has 4 CPUs.*--threads"):
        check_nodes(LOCAL, cpus=4, devices=0)
    with pytest.raises(Exception, match=r"1 CPUs and 0\.5 accelerators"):
        check_nodes(LOCAL, cpus=1, devices=0.5)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "ray://127.0.0.1:10001", "127.0.0.1:999999"])
def test_an_address_where_no_cluster_is_is_refused_at_once(address):
    """Ray itself tries for minutes."""
    begun = time.monotonic()
    with pytest.raises(Exception, match=r"no Ray cluster|allowed: auto, or HOST:PORT"), cluster(address, cpus=1):
        pass
    assert time.monotonic() - begun < 5


def test_without_ray_the_engine_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "search.ray_engine", raising=False)
    with pytest.raises(Exception, match=r"pip install 'attnas\[ray\]'"):
        import search.ray_engine  # noqa: F401
