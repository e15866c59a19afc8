"""What the driver of a Ray search decides, and what a worker does with it, without Ray."""

import socket
import time
from dataclasses import replace

import pytest
from ray_cluster import Pretence

from results import Row, open_store
from results.lease import NOBODY, this_owner
from search.budget import Budget, Stop
from search.halving import Rungs
from search.lookout import Silent
from search.ray_bench import ActorOrders, Bench, Parcel
from search.ray_driver import OVER_LIMIT, REFUSED, Driver
from search_space import Space
from trainers.shared_images import parted

SPACE = Space(squeeze=("avg", "max", "dct"), frequencies=("low2", "top2", "top4"), reduction=(4, 8))


class Reported(Silent):
    def __init__(self) -> None:
        self.rows: list[Row] = []

    def row(self, row: Row) -> None:
        self.rows.append(row)


@pytest.fixture
def request_for(blobs, tmp_path):
    return Pretence(
        data=blobs, backbone="resnet8", space=SPACE, rungs=Rungs((10,)), sampler="random", log=tmp_path / "log"
    )


@pytest.fixture
def study(request_for, store):
    return request_for.study(request_for.setting(), store)


@pytest.fixture
def drive(study):
    """`drive(...)`: a driver of two workers and as many trials as it is told."""

    def make(trials=4, **options):
        options = {"stop": Stop(), "report": Reported(), "workers": 2} | options
        return Driver(study, Budget(trials=trials), **options)

    return make


def finish(driver, name):
    """What an actor does before it says that it is done."""
    row = driver.jobs[name].row
    driver.study.store.finish(replace(row, status="complete", accuracy=0.5, loss=1.0, seconds=1.0))


def running(driver):
    return driver.study.store.rows(status="running")


def test_a_driver_hands_out_as_many_as_there_are_workers_and_no_more_than_the_budget(drive):
    driver = drive(trials=3)
    assert driver.next("a") and driver.next("b") and driver.next("c") is None and not driver.is_over
    finish(driver, "a")
    driver.done("a", {})
    assert driver.next("c") is not None
    for name in "bc":
        finish(driver, name)
        driver.done(name, {})
    assert driver.next("d") is None and driver.is_over
    assert len(driver.study.store.rows(status="complete")) == len(driver.report.rows) == 3


def test_what_the_driver_hands_out_is_claimed_by_the_driver_s_own_process(drive):
    driver = drive()
    driver.next("a")
    assert [row.owner for row in running(driver)] == [this_owner()]


def test_a_lost_evaluation_is_begun_again_as_one_attempt_more(drive):
    driver = drive(trials=1)
    first = driver.next("a")
    driver.lost("a")
    assert [row.owner for row in running(driver)] == [NOBODY]
    again = driver.next("b")
    assert again.row.identity == first.row.identity
    assert (first.row.attempts, again.row.attempts) == (1, 2)


def test_a_lost_evaluation_is_begun_again_before_anything_new_whatever_has_ended_in_between(drive):
    """With samplers that draw, what a row given back was is otherwise drawn again only by chance."""
    for number in range(10):
        driver = drive(trials=1000)
        lost = driver.next("a").row.identity
        driver.next("b")
        finish(driver, "b")
        driver.done("b", {})
        driver.lost("a")
        again = driver.next(f"again {number}")
        assert (again.row.identity, again.row.attempts) == (lost, 2)
        finish(driver, f"again {number}")
        driver.done(f"again {number}", {})


def test_an_evaluation_lost_after_its_commit_is_not_begun_again(drive):
    """An actor killed between the commit and its word to the driver."""
    driver = drive(trials=1)
    driver.next("a")
    finish(driver, "a")
    driver.lost("a")
    assert driver.next("b") is None and driver.is_over
    assert [row.attempts for row in driver.study.store.rows()] == [1]


def test_a_search_that_only_loses_ends_with_the_last_words(drive):
    driver = drive(workers=1)
    for number in range(6):
        assert not driver.must_end
        driver.next(str(number))
        driver.lost(str(number))
        driver.said("ModuleNotFoundError: No module named 'search'")
    assert driver.must_end and driver.next("next") is None and driver.is_over
    assert "No module named 'search'" in str(driver.error)
    assert [row.owner for row in running(driver)] == [NOBODY], "its lease is dead"
    driver.study.hand_back()  # as every search does at its end
    assert running(driver) == []


def test_a_finished_row_between_losses_means_that_the_search_goes_on(drive):
    driver = drive(trials=100)
    for number in range(20):
        driver.next(f"lost {number}")
        driver.next(f"done {number}")
        finish(driver, f"done {number}")
        driver.done(f"done {number}", {})
        driver.lost(f"lost {number}")
        driver.said("killed")
    assert driver.error is None


def test_what_an_actor_refuses_ends_the_search_with_its_reason(drive):
    driver = drive()
    driver.next("a")
    driver.done("a", {REFUSED: "no such data on node7"})
    assert str(driver.error) == "no such data on node7"
    assert driver.must_end and driver.next("b") is None and running(driver) == []


def test_a_network_over_the_limit_of_latency_is_not_handed_out_again(drive, study):
    driver = drive(trials=len(study.candidates.networks))
    job = driver.next("a")
    study.store.release(job.row.identity, job.row.owner)  # as the actor does before it says so
    driver.done("a", {OVER_LIMIT: 0.5})
    handed = set()
    for number in range(30):
        handed.add(driver.next(str(number)).candidate.key)
        finish(driver, str(number))
        driver.done(str(number), {})
    assert job.candidate.key not in handed


def test_nothing_is_begun_that_could_not_end_in_time(drive):
    """The oracle: the first took ten seconds, and three are left."""
    stop = Stop(deadline=time.time() + 3)
    driver = drive(stop=stop, workers=1)
    job = driver.next("a")
    driver.study.store.finish(
        replace(job.row, status="complete", accuracy=0.5, loss=1.0, started=time.time() - 10, finished=time.time())
    )
    driver.done("a", {})
    assert driver.next("b") is None and driver.is_over and running(driver) == []


def test_after_a_signal_nothing_is_handed_out_and_what_runs_has_its_grace(drive):
    stop = Stop(grace_seconds=0.2)
    driver = drive(stop=stop)
    driver.next("a")
    stop.ask()
    assert driver.next("b") is None and driver.is_over and not driver.must_end
    time.sleep(0.25)
    assert driver.must_end
    driver.give_back_all()
    assert running(driver) == []


def test_the_driver_keeps_the_leases_of_what_waits_for_a_machine(drive, monkeypatch):
    monkeypatch.setattr("search.ray_driver._BEAT_SECONDS", 0.02)
    driver = drive()
    driver.next("a")
    before = running(driver)[0].heartbeat
    with driver.beating():
        time.sleep(0.2)
    assert running(driver)[0].heartbeat > before


def test_each_row_is_reported_once_though_others_finish_some(drive, store):
    driver = drive(trials=4)
    with open_store(store.url) as elsewhere:
        for name in "abcd":
            job = driver.next(name)
            elsewhere.finish(replace(job.row, status="complete", accuracy=0.5, loss=1.0))
            driver.done(name, {})
    driver.look(now=True)
    driver.look(now=True)
    assert len(driver.report.rows) == len({row.identity for row in driver.report.rows}) == 4


@pytest.fixture
def bench(request_for, study, tmp_path, monkeypatch):
    """`bench(...)`: one in this process, which must keep its cores and its folder."""
    monkeypatch.setattr("search.ray_bench.own_cores", lambda number: set())
    monkeypatch.chdir(tmp_path)
    made = []

    def make(**changed):
        light, images = parted(study.setting.data)
        orders = {"request": replace(request_for, data=light), "plan": study.plan}
        orders |= {"storage": study.store.url, "folder": tmp_path, "host": socket.gethostname(), "cores": 1}
        made.append(Bench(ActorOrders(**orders | changed), images))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_what_is_trained_away_from_the_driver_ends_in_the_row_that_the_driver_claimed(study, bench):
    job = study.begin(Budget(trials=1))
    assert bench().carry_out(Parcel(job, None)) == {}
    assert [(row.status, row.owner) for row in study.store.rows()] == [("complete", this_owner())]


def test_a_worker_that_can_t_take_part_says_why_and_trains_nothing(study, bench, request_for):
    parcel = Parcel(study.begin(Budget(trials=1)), None)
    assert "/nowhere" in bench(storage="sqlite:////nowhere/a.db").carry_out(parcel)[REFUSED]
    assert "PostgreSQL" in bench(host="elsewhere").carry_out(parcel)[REFUSED]
    assert not request_for.log.exists()


def test_a_network_over_the_limit_of_latency_is_given_back_untrained(study, bench, request_for):
    parcel = Parcel(study.begin(Budget(trials=1)), None)
    said = bench(plan=replace(study.plan, max_latency=1e-9)).carry_out(parcel)
    assert said[OVER_LIMIT] > 1 and study.store.rows() == [] and not request_for.log.exists()
