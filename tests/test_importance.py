"""`search.importance`: rows as Optuna's trials. Oracle: a study that Optuna made itself, define-by-run."""

from __future__ import annotations

import warnings

import optuna
import pytest
from test_results_ranking import frame_of
from test_results_row import a_row

from results.effects import explain
from search.importance import importances
from search_space import AttentionDesign, Space

SPACE = Space(
    squeeze=("avg", "max", "dct"), excitation=("mlp", "conv1d"), frequencies=("low4", "top8"), kernel=("k3", "k7")
)


def quality(design: AttentionDesign) -> float:
    """Distinct, so that the best tenth is one set."""
    numbers = (design.reduction or 0) / 1000 + (design.kernel or 0) / 5000 + 0.0003 * design.each
    return 0.5 + 0.2 * (design.squeeze == "dct") + 0.03 * (design.selection == "top8") - numbers


@pytest.mark.parametrize("on", ["accuracy", "loss"])
def test_rows_weigh_as_the_study_that_optuna_made_of_the_same_designs(on: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize" if on == "accuracy" else "minimize")
    for design in SPACE.distinct():
        study.enqueue_trial(dict(SPACE.choices(design)))
    study.optimize(lambda trial: quality(SPACE.suggest(trial)), n_trials=len(SPACE.distinct()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few trials
        expected = optuna.importance.get_param_importances(study)
    rows = [
        a_row(
            network_key=design.key, key=design.key, design=str(design), accuracy=quality(design), loss=quality(design)
        )
        for design in SPACE.distinct()
    ]
    [one] = explain(frame_of(rows), on)
    found = importances(one.lines, on)
    assert sum(found.values()) == pytest.approx(1)
    assert found == pytest.approx({axis: value for axis, value in expected.items() if axis in found})
    assert all(value == 0 for axis, value in expected.items() if axis not in found)  # axes of one level


def test_nothing_to_weigh_is_no_importance() -> None:
    [one] = explain(frame_of([a_row(), a_row(network_key="n1", key="avg/mlp-r16")]))
    assert importances(one.lines) == {}
