"""Confirmations: what was planned, read from the stored plan, and what its rows say so far. Trains nothing.

A confirmation is a study of the kind "confirm": arms (the finalists, `none` and `se`), seeds that no row had when it
began, and alpha. The choosing seeds run the race of `results.best`. The reporting seeds come after the choice, for the
winner, `none` and `se` alone: no run that chose the winner is part of what is reported of it, so its mean is not the
luck that made it win. A study of the kind "final" measures the same three on the test split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from results import plans
from results.best import Look, Race, race
from results.reported import Report, Run, accuracy_of, has_failed, report_of, rows_of
from results.row import CONTEXT

if TYPE_CHECKING:
    from results.store import Store
    from results.studies import Study

CONFIRM, FINAL = "confirm", "final"


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
    """Whether a study is of this kind, and its plan can be read; searches have none."""
    return study.config.get("kind") == kind and plans.problem(study.config) is None


def is_search(study: Study) -> bool:
    return "kind" not in study.config


def confirmation(study: Study, store: Store) -> Confirmation:
    """Where a study of the kind "confirm" stands."""
    plan = study.config
    networks, seeds = plan["networks"], tuple(plan["seeds"])
    rows = rows_of(study, store)
    planned = [(network, seed) for seed in seeds for network in networks]
    failures = {run[0]: rows[run].failure for run in planned if has_failed(rows, run)}
    runs = [[accuracy_of(rows, (network, seed)) for network in networks] for seed in seeds]
    now = race(runs, plan["alpha"], [networks.index(network) for network in failures])
    arms = _arms(plan, now, failures)
    leader = now.leader if now.is_over else None
    report = final = None
    wanted = tuple((networks[arm], seeds[now.n_next]) for arm in now.missing)
    if leader is not None:
        measured = _reported(plan, networks[leader], failures)
        report = report_of(study, rows, measured, tuple(plan["report_seeds"]))
        wanted = report.wanted
        final = _final(study, plan["designs"][leader], store)
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


def _reported(plan: Mapping[str, Any], leader: str, failures: Mapping[str, object]) -> dict[str, str]:
    """{network: name} of the leader and of the references that train at all."""
    named = {network: name for name, network in plan["references"].items() if network not in failures}
    return {leader: named.get(leader, "the leader")} | named


def _final(study: Study, leader: str, store: Store) -> Report | None:
    """Of the newest study of the kind "final" that measures this leader of this confirmation."""
    found = [
        each
        for each in store.studies.list()
        if is_a(each, FINAL) and each.config["confirms"] == study.id and each.config["designs"][0] == leader
    ]
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
