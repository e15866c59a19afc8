"""What fresh seeds say of a design that was chosen before they ran, and of what it is held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from results.row import CONTEXT, Row
from results.spread import Spread, interval, spread

if TYPE_CHECKING:
    from results.store import Store
    from results.studies import Study

Run = tuple[str, int]
"""(network key, seed)."""


@dataclass(frozen=True, slots=True)
class Mean:
    """Over `n` fresh seeds, with a 95 % interval by the spread pooled over the designs reported, cut at 0 and 1;
    `failed` gave none."""

    design: str
    network: str
    n: int
    failed: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Gap:
    """Accuracy of the leader less that of a reference, of which `n` seeds trained both, with a 95 % interval.

    `paired` by seed, or else by the spread pooled over the designs reported, as `results.comparison.difference` has it.
    """

    against: str
    n: int
    paired: bool
    gap: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Report:
    """What fresh seeds say of the leader and the references; `wanted` are the runs that are still to come.

    `second_look`: on a test split of which something had been measured before.
    """

    study: str
    split: str
    recipe: str
    epochs: int
    seeds: tuple[int, ...]
    means: tuple[Mean, ...]
    gaps: tuple[Gap, ...]
    second_look: bool
    wanted: tuple[Run, ...]


def rows_of(study: Study, store: Store) -> dict[Run, Row]:
    """The finished rows of what a plan names, whoever trained them, without curves."""
    plan = study.config
    context = {name: plan[name] for name in CONTEXT}
    seeds = [*plan["seeds"], *plan.get("report_seeds", [])]
    rows, _ = store.changes(-1, **context, seed=seeds, network_key=plan["networks"])
    return {(row.network_key, row.seed): row for row in rows if row.status in ("complete", "failed")}


def report_of(study: Study, rows: Mapping[Run, Row], measured: Mapping[str, str], seeds: tuple[int, ...]) -> Report:
    """`measured`: {network: what it is called}, the leader first; `seeds` are those that report."""
    plan = study.config
    designs = dict(zip(plan["networks"], plan["designs"], strict=True))
    values = {network: np.array([accuracy_of(rows, (network, seed)) for seed in seeds]) for network in measured}
    leader, *references = measured
    luck = _pooled(values)
    return Report(
        study=study.name,
        split=plan["split"],
        recipe=plan["recipe"],
        epochs=plan["epochs"],
        seeds=seeds,
        means=tuple(_means(values, designs, {n: sum(has_failed(rows, (n, s)) for s in seeds) for n in values}, luck)),
        gaps=tuple(_gap(measured[network], values[leader], values[network], luck) for network in references),
        second_look=plan.get("second_look", False),
        wanted=tuple((network, seed) for seed in seeds for network in measured if (network, seed) not in rows),
    )


def _pooled(values: Mapping[str, np.ndarray[Any, Any]]) -> Spread | None:
    known = {network: runs[np.isfinite(runs)] for network, runs in values.items()}
    pooled = np.concatenate(list(known.values()))
    return spread(pooled, np.repeat(list(known), [len(runs) for runs in known.values()])) if len(pooled) else None


def _means(
    values: Mapping[str, np.ndarray[Any, Any]],
    designs: Mapping[str, str],
    failed: Mapping[str, int],
    luck: Spread | None,
) -> Iterable[Mean]:
    for network, given in values.items():
        runs = given[np.isfinite(given)]
        n, mean = len(runs), float(runs.mean()) if len(runs) else float("nan")
        half = float(luck.half_width(n)) if luck is not None and n else float("nan")
        yield Mean(designs[network], network, n, failed[network], mean, *interval(mean, half))


def _gap(against: str, leader: np.ndarray[Any, Any], other: np.ndarray[Any, Any], luck: Spread | None) -> Gap:
    import pandas as pd

    from results.comparison import difference

    both = pd.Series(leader).dropna(), pd.Series(other).dropna()  # by the number of their seed
    if luck is None or any(runs.empty for runs in both):
        return Gap(against, 0, True, *[float("nan")] * 3)
    found = difference(*both, luck)
    low, high = found.value - found.half, found.value + found.half
    return Gap(against, found.common_seeds, found.method == "paired", found.value, low, high)


def accuracy_of(rows: Mapping[Run, Row], run: Run) -> float:
    """NaN where it has not run, or failed."""
    row = rows.get(run)
    return float("nan") if row is None or row.accuracy is None else row.accuracy


def has_failed(rows: Mapping[Run, Row], run: Run) -> bool:
    return run in rows and rows[run].status == "failed"
