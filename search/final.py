"""The evaluation on the test split that ends a confirmation: once, with seeds that are fresh there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from results.confirmed import FINAL, Confirmation, final_report, is_a
from results.counted import counted
from results.reported import Report, rows_of
from results.row import CONTEXT, Row
from results.store import Store
from results.studies import Study
from results.suggest import command
from results.turn import Turn
from search.confirm import ConfirmError, first_fresh_seed, plan_name, train_runs
from search.objective import Setting
from search.replicate import Unwatched, Watch
from search_space import find_design

_TESTED = "results query \"split == 'test'\""


def begin_final(
    of: Study,
    state: Confirmation,
    setting: Setting,
    store: Store,
    seeds: int,
    *,
    second_look: bool = False,
    retry_failed: bool = False,
) -> Study:
    """The plan: the leader of the confirmation `of`, `none` and `se`, on the test split; or the plan that was begun.

    A plan that has ended is gone on with unless a `second_look` is wanted, and then too where its failed trainings are
    to be begun again (`retry_failed`, which is for the caller to do).

    Raises `ConfirmError` where anything has been measured on these test images before, unless it is to be a
    `second_look`.
    """
    assert state.report is not None and setting.split == "test"
    designs = {mean.network: find_design(mean.design) for mean in state.report.means}
    networks = [setting.network_key(design) for design in designs.values()]
    names = {network: name for name, network in of.config["references"].items()}
    begun = partial(_begun, of, networks[0], setting, seeds)
    found = begun(store.studies.list())
    if found is not None and (not second_look or retry_failed or final_report(found, store).wanted):
        return found
    with store.turn() as turn:
        meanwhile = begun(turn.studies())
        if meanwhile is not None and meanwhile != found:
            return meanwhile
        seen = _rows_on_test(setting, turn)
        if seen and not second_look:
            raise ConfirmError(_seen_before(seen))
        first = max(first_fresh_seed(setting, turn), of.config["report_seeds"][-1] + 1)
        config = {
            "kind": FINAL,
            **setting.context,
            "confirms": of.id,
            "designs": [str(design) for design in designs.values()],
            "networks": networks,
            "names": [names.get(network, "the leader") for network in designs],
            "seeds": list(range(first, first + seeds)),
            "second_look": bool(seen),
            "precision": setting.precision,
        }
        return turn.begin_study(config, plan_name(setting, FINAL))


def finish(study: Study, setting: Setting, store: Store, watch: Watch | None = None) -> Report:
    """Train what the plan lacks."""
    told = watch or Unwatched()
    runs = len(study.config["networks"]) * len(study.config["seeds"])
    told.begin(runs, list(rows_of(study, store).values()))
    while (report := final_report(study, store)).wanted:
        train_runs(report.wanted, study, setting, store, told)
    return report


def _begun(of: Study, leader: str, setting: Setting, seeds: int, studies: Sequence[Study]) -> Study | None:
    """The newest final of this confirmation and this leader (its network key) that asks the same."""
    found = [
        study
        for study in studies
        if is_a(study, FINAL)
        and study.config["confirms"] == of.id
        and study.config["networks"][0] == leader
        and len(study.config["seeds"]) == seeds
        and all(study.config[name] == setting.context[name] for name in CONTEXT)
    ]
    return found[-1] if found else None


def _rows_on_test(setting: Setting, turn: Turn) -> list[Row]:
    """What was measured on these test images, of whatever network."""
    rows, _ = turn.changes(-1, data_hash=setting.context["data_hash"], split="test")
    return [row for row in rows if row.accuracy is not None]


def _seen_before(rows: Sequence[Row]) -> str:
    seen = f"{counted(len(rows), 'row')}, of {', '.join(dict.fromkeys(row.design for row in rows))}"
    return (
        f"the test split of {rows[0].data} has been looked at before ({seen}). A second look, with another winner, "
        "other seeds or another recipe, lets one pick the luckier number: then it is no test any more. "
        f"`{command(_TESTED)}` prints what there is; --second-look measures once more, and "
        "whoever reports it must say that it is the second look."
    )
