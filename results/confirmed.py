"""Confirmations: what was planned, read from the stored plan, and what its rows say so far. Trains nothing.

A confirmation is a study of the kind "confirm": arms (the finalists, `none` and `se`), seeds that no row had when it
began, and alpha. The choosing seeds run the race of `results.best`. The reporting seeds come after the choice, for the
winner, `none` and `se` alone: no run that chose the winner is part of what is reported of it, so its mean is not the
luck that made it win. A study of the kind "final" measures the same three on the test split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from results.best import Look, Race, race
from results.row import CONTEXT, Row
from results.spread import LEVEL, spread

if TYPE_CHECKING:
    from results.store import Store
    from results.studies import Study

CONFIRM, FINAL = "confirm", "final"

Run = tuple[str, int]
"""(network key, seed)."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One design in the race. `mean` is over its `n` choosing seeds: it chose, so it flatters whoever leads.

    `low`, `high`: simultaneous interval of its true mean less the best of the others'. `out_after`: the seeds after
    which it was sent out. `failure`: the class of the training that failed, which takes it out of the comparison.
    """

    design: str
    network: str
    n: int
    mean: float
    low: float
    high: float
    out_after: int | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class Mean:
    """Over `n` fresh seeds, with a 95 % interval by the spread pooled over the designs reported; `failed` gave none."""

    design: str
    network: str
    n: int
    failed: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Gap:
    """Accuracy of the leader less that of a reference, paired by seed (n pairs), with Student's 95 % interval."""

    against: str
    n: int
    gap: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Report:
    """What fresh seeds say of the leader and the references; `wanted` are the runs that are still to come."""

    study: str
    split: str
    recipe: str
    epochs: int
    seeds: tuple[int, ...]
    means: tuple[Mean, ...]
    gaps: tuple[Gap, ...]
    wanted: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A confirmation as its rows stand. `wanted` are the runs that bring it on, in this order; none when it is over.

    `winner` is the design that alone stands at the end; None before, and where several can't be told apart: they are
    `standing`, of which `leader` has the highest mean.
    """

    study: str
    context: dict[str, Any]
    alpha: float
    seeds: tuple[int, ...]
    report_seeds: tuple[int, ...]
    arms: tuple[Arm, ...]
    looks: tuple[Look, ...]
    decided: bool
    standing: tuple[str, ...]
    leader: str | None
    winner: str | None
    report: Report | None
    final: Report | None
    wanted: tuple[Run, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values; the caller turns NaN into null."""
        return asdict(self)


def confirmations(store: Store) -> list[Confirmation]:
    """Every confirmation of a storage, oldest first."""
    return [confirmation(study, store) for study in store.studies.list() if is_a(study, CONFIRM)]


def is_a(study: Study, kind: str) -> bool:
    """Whether a study is of this kind; searches have none."""
    return study.config.get("kind") == kind


def is_search(study: Study) -> bool:
    return "kind" not in study.config


def confirmation(study: Study, store: Store) -> Confirmation:
    """Where a study of the kind "confirm" stands."""
    plan = study.config
    networks, seeds = plan["networks"], tuple(plan["seeds"])
    rows = rows_of(study, store)
    failures = {
        network: rows[network, seed].failure for seed in seeds for network in networks if _failed(rows, (network, seed))
    }
    runs = [[_accuracy(rows, (network, seed)) for network in networks] for seed in seeds]
    now = race(runs, plan["alpha"], [networks.index(network) for network in failures])
    arms = _arms(plan, now, failures)
    leader = now.leader if now.is_over else None
    report = final = None
    wanted = tuple((networks[arm], seeds[now.n_next]) for arm in now.missing)
    if leader is not None:
        measured = _reported(plan, networks[leader], failures)
        report = report_of(study, rows, measured, tuple(plan["report_seeds"]))
        wanted = report.wanted
        final = _final(study, store)
    return Confirmation(
        study=study.name,
        context={name: plan[name] for name in ("data", "recipe", *CONTEXT)},
        alpha=plan["alpha"],
        seeds=seeds,
        report_seeds=tuple(plan["report_seeds"]),
        arms=arms,
        looks=now.looks,
        decided=now.is_over,
        standing=tuple(plan["designs"][arm] for arm in now.standing),
        leader=None if leader is None else plan["designs"][leader],
        winner=plan["designs"][leader] if leader is not None and len(now.standing) == 1 else None,
        report=report,
        final=final,
        wanted=wanted,
    )


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
    values = {network: np.array([_accuracy(rows, (network, seed)) for seed in seeds]) for network in measured}
    leader, *references = measured
    return Report(
        study=study.name,
        split=plan["split"],
        recipe=plan["recipe"],
        epochs=plan["epochs"],
        seeds=seeds,
        means=tuple(_means(values, designs, {n: sum(_failed(rows, (n, s)) for s in seeds) for n in values})),
        gaps=tuple(_gap(measured[network], values[leader] - values[network]) for network in references),
        wanted=tuple((network, seed) for seed in seeds for network in measured if (network, seed) not in rows),
    )


def _reported(plan: Mapping[str, Any], leader: str, failures: Mapping[str, object]) -> dict[str, str]:
    """{network: name} of the leader and of the references that train at all."""
    named = {network: name for name, network in plan["references"].items() if network not in failures}
    return {leader: named.get(leader, "the leader")} | named


def _final(study: Study, store: Store) -> Report | None:
    """Of the newest study of the kind "final" that belongs to this confirmation."""
    found = [each for each in store.studies.list() if is_a(each, FINAL) and each.config["confirms"] == study.id]
    return final_report(found[-1], store) if found else None


def final_report(study: Study, store: Store) -> Report:
    """Of a study of the kind "final"."""
    plan = study.config
    return report_of(
        study, rows_of(study, store), dict(zip(plan["networks"], plan["names"], strict=True)), tuple(plan["seeds"])
    )


def _arms(plan: Mapping[str, Any], now: Race, failures: Mapping[str, str | None]) -> tuple[Arm, ...]:
    return tuple(
        Arm(
            design=design,
            network=network,
            n=int(now.n[arm]),
            mean=float(now.mean[arm]),
            low=float(now.low[arm]),
            high=float(now.high[arm]),
            out_after=now.out_after(arm),
            failure=failures.get(network),
        )
        for arm, (design, network) in enumerate(zip(plan["designs"], plan["networks"], strict=True))
    )


def _means(
    values: Mapping[str, np.ndarray[Any, Any]], designs: Mapping[str, str], failed: Mapping[str, int]
) -> Iterable[Mean]:
    known = {network: runs[np.isfinite(runs)] for network, runs in values.items()}
    pooled = np.concatenate(list(known.values()))
    luck = spread(pooled, np.repeat(list(known), [len(runs) for runs in known.values()])) if len(pooled) else None
    for network, runs in known.items():
        n, mean = len(runs), float(runs.mean()) if len(runs) else float("nan")
        half = float(luck.half_width(n)) if luck is not None and n else float("nan")
        yield Mean(designs[network], network, n, failed[network], mean, mean - half, mean + half)


def _gap(against: str, differences: np.ndarray[Any, Any]) -> Gap:
    pairs = differences[np.isfinite(differences)]
    n, gap = len(pairs), float(pairs.mean()) if len(pairs) else float("nan")
    half = float("nan")
    if n > 1:
        half = float(stdtrit(n - 1, 0.5 + LEVEL / 2) * pairs.std(ddof=1) / n**0.5)
    return Gap(against, n, gap, gap - half, gap + half)


def _accuracy(rows: Mapping[Run, Row], run: Run) -> float:
    row = rows.get(run)
    return float("nan") if row is None or row.accuracy is None else row.accuracy


def _failed(rows: Mapping[Run, Row], run: Run) -> bool:
    return run in rows and rows[run].status == "failed"
