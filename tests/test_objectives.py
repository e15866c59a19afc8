"""Objectives by name, and budgets as people write them."""

import time

import pytest

from search.budget import Budget, BudgetError, HandedBack, Stop, TimeUp, parse_duration
from search.objectives import ObjectiveError, Objectives


@pytest.mark.parametrize("text", ["accuracy", "loss,macs", "accuracy,macs,params,latency,memory", " loss , params "])
def test_one_quality_with_any_costs_is_taken(text):
    assert str(Objectives.parse(text)) == text.replace(" ", "")


@pytest.mark.parametrize("text", ["", "macs", "accuracy,loss", "accuracy,beauty", "accuracy,macs,macs"])
def test_other_objectives_are_refused_with_what_is_allowed(text):
    with pytest.raises(ObjectiveError, match=r"accuracy, loss, with any of macs, params, latency, memory"):
        Objectives.parse(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1h30m", 5400), ("1d", 86400)]
)
def test_durations_are_read_as_people_write_them(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "2 h", "-3", "1h30", "2x"])
def test_other_durations_are_refused(text):
    with pytest.raises(BudgetError, match="1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("given", [{"trials": 0}, {"epochs": 0.0}, {"seconds": -1.0}, {"seconds": float("nan")}])
def test_a_budget_of_nothing_is_refused(given):
    with pytest.raises(BudgetError, match="allowed"):
        Budget(**given)


def test_after_a_first_signal_a_training_may_end_and_after_a_second_it_may_not():
    stop = Stop(grace_seconds=60)
    stop.check()
    stop.ask(15)
    assert stop.told and stop.signal == 15 and not stop.again
    stop.check()
    stop.ask(2)
    assert stop.again and stop.signal == 15
    with pytest.raises(HandedBack):
        stop.check()


def test_when_the_grace_is_over_a_training_is_handed_back():
    stop = Stop(grace_seconds=0)
    stop.ask()
    with pytest.raises(HandedBack):
        stop.check()


def test_when_the_time_is_up_a_training_ends_at_once():
    stop = Stop(deadline=time.time() - 1)
    assert stop.told and not stop.asked
    with pytest.raises(TimeUp):
        stop.check()
