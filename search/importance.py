"""Optuna's importances of the axes, from the lines that `results.effects` explains."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import create_trial

from results.factors import FACTORS

if TYPE_CHECKING:
    from results.effects import Explained

TOP = 0.1
"""PED-ANOVA asks how the choices of this best part of the designs differ from those of all."""
ENOUGH = 50
"""Designs from which on that part has five, which Optuna advises for a stable answer."""


def beside(one: Explained) -> dict[str, float]:
    """The importances that stand beside a model's effects; none where it has too few designs for these."""
    return {} if one.shortage is not None else importances(one.lines, one.on, list(one.model.axes))


def importances(lines: pd.DataFrame, on: str = "accuracy", axes: Sequence[str] = FACTORS) -> dict[str, float]:
    """{axis: importance} by Optuna's PedAnovaImportanceEvaluator, its default; they sum to 1.

    `lines` are those of `results.factors.experiment` of one context: a design is one trial, whose value is the mean
    over its seeds and whose parameters are its levels on the axes it has (conditional ones are allowed:
    arXiv 2601.20800). Empty if no axis has two levels. Has no interval and says nothing of luck.
    """
    levels = {axis: sorted(lines[axis].dropna().unique()) for axis in axes}
    choices = {axis: CategoricalDistribution(words) for axis, words in levels.items() if len(words) > 1}
    if not choices or len(lines) < 2:
        return {}
    study = _quiet_study(StudyDirection.MAXIMIZE if on == "accuracy" else StudyDirection.MINIMIZE)
    for line in lines.to_dict("records"):
        params = {axis: line[axis] for axis in choices if line[axis] is not None}
        distributions: dict[str, BaseDistribution] = {axis: choices[axis] for axis in params}
        study.add_trial(create_trial(value=line["mean"], params=params, distributions=distributions))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=TOP)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few trials, which whoever prints the numbers says in our words
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=list(choices))
    return {axis: float(found[axis]) for axis in choices}


def _quiet_study(direction: StudyDirection) -> optuna.Study:
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(direction=direction)
    finally:
        optuna.logging.set_verbosity(level)
