"""`confirm`: the finalists, `none` and `se` trained with fresh seeds until the best is told, and then reported."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from results import plans
from results.best import FEWEST_SEEDS
from results.confirmed import CONFIRM, Confirmation, confirmation, is_a
from results.reported import Run, rows_of
from results.row import CONTEXT, Row
from results.store import Store
from results.studies import Study
from results.turn import Turn
from search.failures import POLICIES
from search.objective import Setting
from search.recording import keep_recipe, record
from search.replicate import Unwatched, Watch
from search_space import AttentionDesign, Layered, UserError, find_design
from trainers import Outcome

if TYPE_CHECKING:
    import pandas as pd

REFERENCES = ("none", "se")
"""Designs that every finalist is held against."""

_POLL_SECONDS = 1.0


class ConfirmError(UserError):
    """A confirmation that can't be begun or gone on with."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a confirmation is asked for. The same words go on with the same confirmation.

    `designs` names the finalists instead of the best `top` by what the rows let one expect. `report_seeds` come after
    the choice.
    """

    top: int = 5
    seeds: int = 5
    report_seeds: int = 5
    alpha: float = 0.05
    where: str | None = None
    designs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        least = {"top": 1, "seeds": FEWEST_SEEDS, "report_seeds": 1}
        for name, allowed in least.items():
            if getattr(self, name) < allowed:
                raise ConfirmError(f"{name}: {getattr(self, name)} given; allowed: {allowed} or more")
        if not 0 < self.alpha <= 0.5:
            raise ConfirmError(f"alpha: {self.alpha:g} given; allowed: above 0 and up to 0.5")

    @property
    def words(self) -> dict[str, Any]:
        """As JSON values."""
        finalists = {"designs": list(self.designs)} if self.designs else {"top": self.top}
        counts = {"seeds": self.seeds, "report_seeds": self.report_seeds, "alpha": self.alpha}
        return {**finalists, **counts, "where": self.where}


def find(asked: Asked, context: Mapping[str, Any], store: Store) -> Study | None:
    """The newest confirmation that asks the same of this context."""
    return _among(store.studies.list(), asked, context)


def _among(studies: Sequence[Study], asked: Asked, context: Mapping[str, Any]) -> Study | None:
    found = [
        study
        for study in studies
        if is_a(study, CONFIRM)
        and study.config["asked"] == asked.words
        and all(study.config[name] == context[name] for name in CONTEXT)
    ]
    return found[-1] if found else None


def begin(asked: Asked, setting: Setting, store: Store, rows: pd.DataFrame, *, again: bool = False) -> Study:
    """A new confirmation of the finalists of `rows` (complete, of one context); trains nothing yet.

    Its seeds lie above every seed that the context has seen, in a row or in a plan, and are fixed now, whatever
    happens. Where another process of the same command was first, its confirmation is the one, unless a new one is
    wanted `again`. Raises `UserError`.
    """
    arms = _arms(asked, setting, rows)
    with store.turn() as turn:
        found = None if again else _among(turn.studies(), asked, setting.context)
        if found is not None:
            return found
        config = _config(asked, setting, arms, first_fresh_seed(setting, turn))
        return turn.begin_study(config, plan_name(setting, CONFIRM))


def draft(asked: Asked, setting: Setting, store: Store, rows: pd.DataFrame) -> Study:
    """What `begin` would begin; it has no id, for nothing is written."""
    config = _config(asked, setting, _arms(asked, setting, rows), first_fresh_seed(setting, store))
    return Study(id="", name=plan_name(setting, CONFIRM), config=config, created=time.time())


def _config(
    asked: Asked, setting: Setting, arms: Mapping[str, AttentionDesign | Layered], first: int
) -> dict[str, Any]:
    seeds = list(range(first, first + asked.seeds + asked.report_seeds))
    return {
        "kind": CONFIRM,
        **setting.context,
        "asked": asked.words,
        "alpha": asked.alpha,
        "designs": [str(design) for design in arms.values()],
        "networks": list(arms),
        "references": {name: setting.network_key(find_design(name)) for name in REFERENCES},
        "seeds": seeds[: asked.seeds],
        "report_seeds": seeds[asked.seeds :],
        "precision": setting.precision,
    }


def _arms(asked: Asked, setting: Setting, rows: pd.DataFrame) -> dict[str, AttentionDesign | Layered]:
    """{network: design}: the finalists, best first, then what of `none` and `se` is not among them."""
    from results.ranking import top

    texts = asked.designs or tuple(top(rows, asked.top, by="expected")["design"])
    arms: dict[str, AttentionDesign | Layered] = {}
    for text in [*texts, *REFERENCES]:
        design = find_design(text)
        setting.check(design)
        arms.setdefault(setting.network_key(design), design)
    return arms


def first_fresh_seed(setting: Setting, store: Store | Turn) -> int:
    """Above every seed of a row or a plan of this data, network and recipe: of either split, and of any epoch, as a
    training that stopped at a rung is the beginning of the one that would be called fresh."""
    scope = {name: setting.context[name] for name in CONTEXT if name not in ("split", "epochs")}
    rows, _ = store.changes(-1, **scope)
    seen = [row.seed for row in rows]
    for study in store.studies() if isinstance(store, Turn) else store.studies.list():
        if all(study.config.get(name) == value for name, value in scope.items()):
            seen += plans.seeds_of(study.config)
    return 1 + max(seen, default=-1)


def plan_name(setting: Setting, kind: str) -> str:
    """`confirm-cifar100-resnet20-proxy-10`."""
    words = f"{kind}-{setting.data.name}-{setting.backbone}-{setting.recipe.name}-{setting.recipe.epochs}"
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", words).strip("-")[:80]


class Teller(Watch, Protocol):
    """A `Watch` that is also told how the comparison stands."""

    def stands(self, state: Confirmation) -> None: ...


class Silent(Unwatched):
    """Says nothing."""

    def stands(self, state: Confirmation) -> None: ...


def confirm(study: Study, setting: Setting, store: Store, watch: Teller | None = None) -> Confirmation:
    """Train what the confirmation lacks, round by round; several processes that do so share the trainings.

    Raises `ConfirmError` when a training fails in a way that the next would, too.
    """
    told = watch or Silent()
    most = len(study.config["networks"]) * len(study.config["seeds"])
    told.begin(most + 3 * len(study.config["report_seeds"]), list(rows_of(study, store).values()))
    while True:
        state = confirmation(study, store)
        told.stands(state)
        if not state.wanted:
            return state
        train_runs(state.wanted, study, setting, store, told)


def train_runs(wanted: Sequence[Run], study: Study, setting: Setting, store: Store, watch: Watch) -> None:
    """Once over these runs; waits if others are at work on all of them."""
    designs = dict(zip(study.config["networks"], study.config["designs"], strict=True))
    keep_recipe(setting.recipe, store)
    moved = False
    for network, seed in wanted:
        design = find_design(designs[network])
        running = replace(setting.row(design, seed, network_key=network), study=study.id)
        row, trained = record(running, store, partial(_outcome, design, seed, setting, watch))
        if row.status != "running":
            moved = True
            watch.row(row, trained)
        if trained and row.failure is not None and POLICIES[row.failure].breaks:
            raise ConfirmError(_broken(row))
    if not moved:
        time.sleep(_POLL_SECONDS)


def _outcome(design: AttentionDesign | Layered, seed: int, setting: Setting, watch: Watch) -> Outcome:
    """Of a training on the test split only the end is kept: nobody is to choose an epoch by it."""
    outcome = setting.train(design, seed, on_epoch=watch.training(design))
    return replace(outcome, curves=outcome.curves[-1:]) if setting.split == "test" else outcome


def _broken(row: Row) -> str:
    cause = (row.error or "").strip().splitlines()
    return (
        f"stopped: {row.design} failed with seed {row.seed} ({row.failure}): {cause[-1] if cause else '?'} Finished "
        "rows are kept. Mend it and give the same command with --retry-failed; without, the same command goes on and "
        "leaves this design out of the comparison."
    )


def retry_failed(study: Study, store: Store) -> int:
    """Set the failed runs of a confirmation free to be begun again; returns how many."""
    context = {name: study.config[name] for name in CONTEXT}
    seeds = [*study.config["seeds"], *study.config.get("report_seeds", [])]
    rows, _ = store.changes(-1, **context, network_key=study.config["networks"], seed=seeds)
    return store.revive([row.identity for row in rows if row.status == "failed"])
