"""Optuna's samplers, each on a study in memory that holds what the sampler shall see. The only file that knows Optuna.

Every proposal makes its own study, so the trial that is asked leaves no trace, and nothing a sampler keeps between
calls can change the next proposal.
"""

from __future__ import annotations

import random
from collections.abc import Container, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.samplers.flat import Flat
from search.samplers.protocol import Memory, Taken, Told
from search.samplers.thinning import Thinned
from search_space import AttentionDesign, DesignError, Space

_ASKS = 4

optuna.logging.set_verbosity(optuna.logging.WARNING)


class _Replay(InMemoryStorage):
    """A study's storage that shows the finished trials it is given, and those only."""

    def __init__(self, shown: Sequence[FrozenTrial]) -> None:
        super().__init__()
        self._shown = shown

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return list(self._shown) if states is None or TrialState.COMPLETE in states else []


def _study(shown: Sequence[FrozenTrial], sampler: BaseSampler, objectives: int) -> optuna.Study:
    return optuna.create_study(storage=_Replay(shown), sampler=sampler, directions=["minimize"] * objectives)


Axes = dict[str, BaseDistribution]


def _axes(flat: Flat) -> Axes:
    return {axis: CategoricalDistribution(values) for axis, values in flat.axes.items()}


def _trial(
    number: int, params: dict[str, Any], axes: Axes, values: Sequence[float], *, violation: float = 0.0, **system: int
) -> FrozenTrial:
    """A finished trial. TPE looks at no value of one whose constraint is above 0."""
    trial = create_trial(
        params=params,
        distributions=axes,
        values=values,
        constraints={"limit": violation},
        system_attrs=dict(system),
    )
    trial.number = trial._trial_id = number
    return trial


def _free(study: optuna.Study, flat: Flat, rng: random.Random, taken: Taken) -> AttentionDesign | None:
    """What one of a few trials leads to, if it is free; else the free design that is nearest to the last of them.

    In a space of a few thousand designs a model keeps to what it knows to be good, which is what was trained, and the
    best choices on two axes may exclude each other; next to it is the best guess.
    """
    params: dict[str, Any] = {}
    for _ in range(_ASKS):
        trial = study.ask()
        params = {axis: trial.suggest_categorical(axis, values) for axis, values in flat.axes.items()}
        with suppress(DesignError):
            design = flat.design(params, rng)
            if not taken(design):
                return design
            params = flat.params(design)
    return flat.nearest(params, rng, taken)


class _OverAxes(TPESampler):
    """Optuna's TPE, told what the axes are: to find out from the trials takes it most of its time."""

    def __init__(self, axes: Axes, *, seed: int, startup: int) -> None:
        super().__init__(
            n_startup_trials=startup,
            # both named: their defaults changed in Optuna 5. Axis by axis left three times the
            # regret of all axes together on the landscapes of tests/test_samplers.py (60 designs, 20 seeds)
            multivariate=True,
            constant_liar=False,
            seed=seed,
        )
        self._axes = dict(sorted(axes.items()))

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Axes:
        return self._axes


class Tpe(Thinned):
    """Tree-structured Parzen estimator of all axes together.

    Its time grows with the designs shown, hence 320: the 60 best of all, of which the best 32 (a tenth of those shown)
    are what Optuna calls good, and a sample.
    """

    most = 320
    best = 60

    def __init__(self, space: Space, *, seed: int, objectives: int) -> None:
        super().__init__(space, seed=seed, objectives=objectives)
        self._flat = Flat(space)
        self._axes = _axes(self._flat)
        self._trials: dict[int, FrozenTrial] = {}  # by the identity of what was told, which stays

    def propose(self, draw: int, taken: Taken) -> AttentionDesign | None:
        rng = self.chance(draw)
        if len(self.measured) < self.start:
            return self.anything(rng, taken)
        sampler = _OverAxes(self._axes, seed=rng.getrandbits(32), startup=self.start)
        trials = [self._trial(number, told) for number, told in enumerate(self.shown())]
        return _free(_study(trials, sampler, self.objectives), self._flat, rng, taken)

    def _trial(self, number: int, told: Told) -> FrozenTrial:
        trial = self._trials.get(id(told))
        if trial is None:
            values = told.values or (0.0,) * self.objectives
            trial = _trial(number, self._flat.params(told.design), self._axes, values, violation=told.violation)
            self._trials[id(told)] = trial
        trial.number = trial._trial_id = number
        return trial


class NsgaII(Memory):
    """NSGA-II: each `population` designs measured are a generation; it and its parents choose who breeds the next.

    Optuna knows a generation by a mark that it sets on the trials it asked for itself; what is told here carries it.
    Only the parents are kept, so a proposal costs the same after any number of designs. What is over a limit breeds
    nothing: any measured design goes before it.
    """

    population = 16

    def __init__(self, space: Space, *, seed: int, objectives: int) -> None:
        super().__init__(space, seed=seed, objectives=objectives)
        self._flat = Flat(space)
        self._axes = _axes(self._flat)
        self.parents: list[Told] = []

    def _add(self, told: Told) -> None:
        super()._add(told)
        if told.values and len(self.measured) % self.population == 0:
            generation = [*self.parents, *self.measured[-self.population :]]
            sampler = self._sampler(0)
            elite = sampler.get_parent_population(self._study(generation, sampler), generation=1)
            self.parents = [generation[trial.number] for trial in elite]

    def propose(self, draw: int, taken: Taken) -> AttentionDesign | None:
        rng = self.chance(draw)
        if not self.parents:
            return self.anything(rng, taken)
        return _free(self._study(self.parents, self._sampler(rng.getrandbits(32))), self._flat, rng, taken)

    def _sampler(self, seed: int) -> NSGAIISampler:
        return NSGAIISampler(population_size=self.population, seed=seed)

    def _study(self, generation: Sequence[Told], sampler: NSGAIISampler) -> optuna.Study:
        """A study whose generation 0 is `generation`."""
        trials = [self._trial(number, told) for number, told in enumerate(generation)]
        return _study(trials, sampler, self.objectives)

    def _trial(self, number: int, told: Told) -> FrozenTrial:
        mark = {NSGAIISampler._get_generation_key(): 0}
        return _trial(number, self._flat.params(told.design), self._axes, told.values, **mark)


class _OverDesigns(GPSampler):
    """Optuna's Gaussian process, whose acquisition is evaluated at the points given, and nowhere else.

    Optuna climbs it over the product of the axes, most of which is no design, or one that was trained before.
    """

    def __init__(self, axes: Axes, points: NDArray[np.float64], *, seed: int) -> None:
        super().__init__(seed=seed, n_startup_trials=1, warn_independent_sampling=False)
        self._axes, self._points = axes, points

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Axes:
        return self._axes

    def _optimize_acqf(self, acqf: Any, best_params: NDArray[np.float64] | None) -> NDArray[np.float64]:
        parts = np.array_split(self._points, len(self._points) // 64 + 1)  # all at once takes gigabytes
        return self._points[int(np.argmax(np.concatenate([acqf.eval_acqf_no_grad(part) for part in parts])))]


class GaussianProcess(Thinned):
    """Gaussian process with expected (hypervolume) improvement over the free designs (4,096 of them at most).

    Its time grows with the cube of the designs shown, hence 100: the 50 best of all and a sample. Three and more
    objectives are weighted into one, differently at each draw (ParEGO, Knowles 2006): the volume under a front of
    many objectives takes seconds. An infeasible design counts as the worst measured in everything: it has no values.
    """

    most = 100
    best = 50

    def __init__(self, space: Space, *, seed: int, objectives: int) -> None:
        super().__init__(space, seed=seed, objectives=objectives)
        self._flat = Flat(space)
        self._axes = _axes(self._flat)

    def propose(self, draw: int, taken: Taken) -> AttentionDesign | None:
        rng = self.chance(draw)
        if len(self.measured) < self.start:
            return self.anything(rng, taken)
        free = [index for index, design in enumerate(self.space.distinct()) if not taken(design)]
        if not free:
            return None
        points = self._flat.points[sorted(rng.sample(free, min(4096, len(free))))]
        sampler = _OverDesigns(self._axes, points, seed=rng.getrandbits(32))
        shown = self.shown()
        values = self._values(shown, rng)
        trials = [
            _trial(number, self._flat.params(told.design), self._axes, values[number])
            for number, told in enumerate(shown)
        ]
        return self._flat.design(_study(trials, sampler, values.shape[1]).ask(self._axes).params, rng)

    def _values(self, shown: Sequence[Told], rng: random.Random) -> NDArray[np.float64]:
        """[n, objectives], or [n, 1] of more than two."""
        worst = np.max([told.values for told in shown if told.values], axis=0)
        values = np.array([told.values or worst for told in shown])
        if self.objectives <= 2:
            return values
        low, high = values.min(axis=0), values.max(axis=0)
        weights = np.array([rng.expovariate(1.0) for _ in range(self.objectives)])
        weighted = (values - low) / np.where(high > low, high - low, 1.0) * weights / weights.sum()
        return (weighted.max(axis=1) + 0.05 * weighted.sum(axis=1))[:, np.newaxis]
