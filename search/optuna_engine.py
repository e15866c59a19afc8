"""Proposals by Optuna: ask and tell, on a study in memory replayed from rows. The only file that knows Optuna."""

from __future__ import annotations

import random

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from search_space import AttentionDesign, DesignError, Space

optuna.logging.set_verbosity(optuna.logging.WARNING)


class OptunaEngine:
    """Multi-objective TPE over the space's choices: accuracy up, cost down.

    A proposal depends on the seed, on what has been told and on `draw`, on nothing else: a search that was stopped and
    told the same rows again goes on as if it had never stopped.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self.space, self.seed = space, seed
        self.study = optuna.create_study(directions=["maximize", "minimize"], sampler=self._sampler(0))

    def tell(self, design: AttentionDesign, accuracy: float, cost: float) -> None:
        """Add one measured design of the space."""
        axes = self.space.axes()
        choices = self.space.choices(design)
        self.study.add_trial(
            create_trial(
                params=dict(choices),
                distributions={axis: CategoricalDistribution(axes[axis]) for axis in choices},
                values=[accuracy, cost],
            )
        )
        self._told = len(self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))

    _told = 0

    def propose(self, draw: int) -> AttentionDesign | None:
        """The draw-th proposal after what has been told; None if its choices exclude each other."""
        self.study.sampler = self._sampler(draw)
        trial = self.study.ask()
        try:
            return self.space.suggest(trial)
        except DesignError:
            return None
        finally:
            # what becomes of the proposal is told as a row; the asked trial itself must leave no trace in the sampler
            self.study.tell(trial, state=TrialState.FAIL)

    def _sampler(self, draw: int) -> optuna.samplers.BaseSampler:
        seed = random.Random(f"{self.seed} {self._told} {draw}").getrandbits(32)
        # both named: their defaults changed in Optuna 5
        return optuna.samplers.TPESampler(n_startup_trials=10, multivariate=False, constant_liar=False, seed=seed)
