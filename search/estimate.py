"""What is still to do, and how long it will take: from the rungs, the budget, and the rows that there are."""

from __future__ import annotations

import bisect
import random
import statistics
import time
from functools import lru_cache

from results.lease import lease_is_dead
from results.row import Row
from search.budget import Budget
from search.halving import Rungs
from search.study import Study

_ORDERS = 8


def alive_rows(study: Study) -> list[Row]:
    """Running rows whose process has not gone."""
    return [row for row in study.mirror.running.values() if not lease_is_dead(row)]


def expected_rows(trials: int, rungs: Rungs) -> dict[int, int]:
    """{rung: evaluations} that so many trials are expected to come to."""
    found = {rungs.epochs[0]: trials}
    for epochs in rungs.epochs[1:]:
        trials = expected_promotions(trials, rungs.factor)
        found[epochs] = trials
    return found


@lru_cache(maxsize=256)
def expected_promotions(trials: int, factor: int) -> int:
    """How many of so many trials are promoted, when good and bad ones come in any order.

    Somewhat more than one of `factor`: a trial that was promoted and is overtaken later has been promoted all the same.
    The mean over orders drawn with fixed seeds.
    """
    return round(statistics.fmean(_promotions(trials, factor, seed) for seed in range(_ORDERS)))


def _promotions(trials: int, factor: int, seed: int) -> int:
    draw = random.Random(seed)
    scores: list[float] = []
    promoted: set[float] = set()
    for number in range(1, trials + 1):
        score = draw.random()
        bisect.insort(scores, score)
        places = number // factor
        if places and score <= scores[places - 1]:
            promoted.add(score)
        elif places:  # there may be one place more than before
            promoted.add(scores[places - 1])
    return len(promoted)


def epochs_to_train(study: Study) -> dict[int, float]:
    """{rung: epochs} that an evaluation trains from the state that the rung below left."""
    rungs = study.plan.rungs.epochs
    below = (None, *rungs[:-1]) if study.checkpoints is not None else (None,) * len(rungs)
    recipe, steps = study.setting.recipe, study.setting.steps_an_epoch
    return {rung: recipe.epochs_trained(rung, steps, since=since) for rung, since in zip(rungs, below, strict=True)}


def expected_epochs(trials: int, study: Study) -> float:
    """Epochs that so many trials train in all."""
    each = epochs_to_train(study)
    return sum(number * each[rung] for rung, number in expected_rows(trials, study.plan.rungs).items())


def trials_within(study: Study, budget: Budget) -> int:
    """Trials that the study comes to: as many as there are networks and seeds, or as its trials or epochs allow."""
    most = (len(study.candidates.networks) - len(study.proposals.excluded)) * len(study.plan.seeds)
    if budget.trials is not None:
        most = min(most, budget.trials)
    if budget.epochs is None or expected_epochs(most, study) <= budget.epochs:
        return most
    fewest = 0
    while most - fewest > 1:
        middle = (fewest + most) // 2
        fewest, most = (middle, most) if expected_epochs(middle, study) <= budget.epochs else (fewest, middle)
    return fewest


def seconds_of_a_rung(study: Study) -> dict[int, float]:
    """{rung: seconds} that an evaluation usually takes here; empty before the first row.

    A rung that none has reached is taken to cost an epoch what the highest reached one does.
    """
    epochs = epochs_to_train(study)
    known = {rung: study.mirror.usual_seconds(rung) for rung in epochs}
    an_epoch = [seconds / epochs[rung] for rung, seconds in known.items() if seconds is not None]
    if not an_epoch:
        return {}
    return {rung: an_epoch[-1] * epochs[rung] if seconds is None else seconds for rung, seconds in known.items()}


def seconds_left(study: Study, budget: Budget, deadline: float | None = None) -> float | None:
    """Evaluations left, each as long as its like have taken, shared by the workers that are at work now.

    None before the first evaluation has ended. `deadline` (unix seconds) is when the search ends in any case.
    """
    usual = seconds_of_a_rung(study)
    now = time.time()
    until_deadline = None if deadline is None else max(0.0, deadline - now)
    if not usual:
        return None
    trials, alive = trials_within(study, budget), alive_rows(study)
    if study.mirror.trials >= trials and not alive:
        return 0.0  # as many were promoted as deserved it, expected or not
    wanted = expected_rows(trials, study.plan.rungs)
    done = {rung: len(study.mirror.at_rung[rung]) for rung in wanted}
    work = sum(max(0, wanted[rung] - done[rung]) * seconds for rung, seconds in usual.items())
    work -= sum(min(now - (row.started or now), usual[row.epochs]) for row in alive)
    left = max(0.0, work) / max(1, len(alive))
    return left if until_deadline is None else min(left, until_deadline)
