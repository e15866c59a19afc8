"""How well cheap trainings, parameters and MACs foretell the ranking by the dearest training there is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from results.agreement import agreement
from results.power import kendall_of, ratio_interval, reliability, spearman_of
from results.row import CONTEXT, LABELS, MEASURED
from results.spread import LEVEL, spread
from search_space.errors import UserError

FEWEST_DESIGNS = 5
FAMILY = ("data_hash", "split", "backbone", "image_size", "num_classes")
FIDELITY = ("recipe_hash", "epochs", "schedule_epochs")
BASELINES = ("params", "macs")

NEEDED = (*CONTEXT, *LABELS, "network_key", "key", "status", "seed", "accuracy", *BASELINES, "macs_convention")
"""The columns of `Store.frame` that it takes."""

_DEAR = ("data", "data_hash", "backbone", "image_size", "recipe", *FIDELITY)
COLUMNS = (
    *("measure", "recipe", "epochs", "schedule_epochs", "designs", "of"),
    *("kendall", "kendall_low", "kendall_high", "kendall_ceiling", "kendall_ceiling_low", "kendall_ceiling_high"),
    *("spearman", "spearman_low", "spearman_high"),
    *("spearman_ceiling", "spearman_ceiling_low", "spearman_ceiling_high"),
    *("recall", "recall_low", "recall_high", "same_training"),
)


def fidelity(frame: pd.DataFrame, k: int = 5, draws: int = 2000, *, across: bool = False) -> pd.DataFrame:
    """One line a cheap fidelity, and two for params and MACs, in each family (`FAMILY`: data, split, backbone).

    MACs have no line where the dearest rows count them under several conventions.

    The dearest fidelity of a family is that of the most epochs with `FEWEST_DESIGNS` complete designs; every other one,
    complete or stopped, is held against it over the designs (network keys) that both measured, by their means over
    seeds. With `across` the dearest of all families is the measure of every fidelity of the others, by design key.

    Columns: the cheap one's context and labels; dear_* (what it is held against); measure (accuracy, params, macs);
    designs (measured at both), of (measured at the cheap one: where a search promoted the best, a correlation over what
    is left is not that over all); kendall, spearman, recall (at k), each with its interval _low, _high (see
    `results.agreement`); kendall_ceiling, spearman_ceiling (what the luck of seeds in both lets one expect at most over
    these designs, with its 95 % interval; NaN where none of them has a second seed); same_training (designs of which
    one training was measured at both: they share its luck, so the agreement flatters, and the ceiling does not bound
    it). All NaN below `FEWEST_DESIGNS` designs.

    Raises:
        UserError: k or draws below 1, or no family has two fidelities or enough designs.
    """
    for name, value in (("k", k), ("bootstrap", draws)):
        if value < 1:
            raise UserError(f"{name}: {value} given; allowed: 1 or more")
    measured = frame[frame["status"].isin(MEASURED)].drop_duplicates([*CONTEXT, "network_key", "seed"])
    pairs = _pairs_across(measured) if across else _pairs_within(measured)
    found = [_compared(cheap, dear, measure, by, k, draws) for cheap, dear, measure, by in pairs]
    if not found:
        raise UserError(
            f"fidelity: no training of {FEWEST_DESIGNS} designs or more to hold cheaper ones, parameters and MACs "
            "against; a search makes them (`attnas search`), or `attnas train` with as many designs."
        )
    return pd.DataFrame(found)


_Pair = tuple[pd.DataFrame, pd.DataFrame, str, str]


def _pairs_within(measured: pd.DataFrame) -> Iterator[_Pair]:
    """(cheap rows, dear rows, measure, the column that joins them)."""
    for _, family in measured.groupby(list(FAMILY), sort=False):
        dear = _dearest(family)
        if dear is None:
            continue
        for cheap in _fidelities(family):
            if not _same(cheap, dear, FIDELITY):
                yield cheap, dear, "accuracy", "network_key"
        for baseline in BASELINES:
            if baseline != "macs" or dear["macs_convention"].nunique() == 1:
                yield dear, dear, baseline, "network_key"


def _pairs_across(measured: pd.DataFrame) -> Iterator[_Pair]:
    dear = _dearest(measured)
    if dear is None:
        return
    for _, family in measured.groupby(list(FAMILY), sort=False):
        if not _same(family, dear, FAMILY):
            yield from ((cheap, dear, "accuracy", "key") for cheap in _fidelities(family))


def _dearest(rows: pd.DataFrame) -> pd.DataFrame | None:
    """The complete rows of the most epochs, of those the most designs."""
    complete = rows[rows["status"] == "complete"]
    groups = [group for _, group in complete.groupby([*FAMILY, *FIDELITY], sort=False)]
    groups = [group for group in groups if group["network_key"].nunique() >= FEWEST_DESIGNS]
    return max(groups, key=lambda group: (group["epochs"].iloc[0], group["network_key"].nunique()), default=None)


def _fidelities(family: pd.DataFrame) -> list[pd.DataFrame]:
    """The cheapest first."""
    groups = [group for _, group in family.groupby(list(FIDELITY), sort=False)]
    return sorted(groups, key=lambda group: (group["epochs"].iloc[0], group["schedule_epochs"].iloc[0]))


def _same(one: pd.DataFrame, other: pd.DataFrame, columns: tuple[str, ...]) -> bool:
    return all(one[name].iloc[0] == other[name].iloc[0] for name in columns)


def _compared(cheap: pd.DataFrame, dear: pd.DataFrame, measure: str, by: str, k: int, draws: int) -> dict[str, Any]:
    first = cheap.iloc[0]
    both = pd.DataFrame({"cheap": cheap.groupby(by)[measure].mean(), "dear": dear.groupby(by)["accuracy"].mean()})
    both = both.dropna()
    found: dict[str, Any] = {name: first[name] for name in (*LABELS, *CONTEXT)}
    found |= {f"dear_{name}": dear[name].iloc[0] for name in _DEAR}
    found |= {"measure": measure, "designs": len(both), "of": cheap[by].nunique(), "k": k}
    found |= dict.fromkeys((name for name in COLUMNS if name not in found), math.nan)
    found["same_training"] = _same_trainings(cheap, dear) if measure == "accuracy" and by == "network_key" else 0
    if len(both) >= FEWEST_DESIGNS:
        for name, (point, low, high) in agreement(both["cheap"], both["dear"], k, draws)._asdict().items():
            found |= {name: point, f"{name}_low": low, f"{name}_high": high}
        found |= _ceilings(cheap, dear, both.index, measure, by)
    return found


def _same_trainings(cheap: pd.DataFrame, dear: pd.DataFrame) -> int:
    """Designs with a training that was measured at both: a rung of the same seed under the same schedule."""
    same = ["network_key", "seed", "recipe_hash", "schedule_epochs", *FAMILY]
    return int(cheap[same].merge(dear[same], on=same)["network_key"].nunique())


def _ceilings(
    cheap: pd.DataFrame, dear: pd.DataFrame, designs: pd.Index[Any], measure: str, by: str
) -> dict[str, float]:
    """If both order the designs alike but for luck: the root of the product of their reliabilities (Spearman 1904).

    Where both are noisy each interval has half of the 5 % (Bonferroni), so that both hold at once.
    """
    noisy = [dear, cheap] if measure == "accuracy" else [dear]
    level = 1 - (1 - LEVEL) / len(noisy)
    correlations = np.prod([_reliability(rows, designs, by, level) for rows in noisy], axis=0) ** 0.5
    found = {}
    for end, correlation in zip(("", "_low", "_high"), correlations, strict=True):
        found[f"kendall_ceiling{end}"] = float(kendall_of(correlation))
        found[f"spearman_ceiling{end}"] = float(spearman_of(correlation))
    return found


def _reliability(rows: pd.DataFrame, designs: pd.Index[Any], by: str, level: float) -> list[float]:
    """Of the means of these designs, with its interval."""
    here = rows[rows[by].isin(designs)]
    luck = spread(here["accuracy"], here[by])
    if luck.df < 1 or luck.designs < 2:
        return [math.nan] * 3
    return [float(reliability(ratio, luck.seeds)) for ratio in (luck.ratio, *ratio_interval(luck, level))]
