"""The evaluation on the test split that ends a confirmation: once, with seeds that are fresh there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from results.confirmed import FINAL, Confirmation, final_report, is_a
from results.reported import Report, rows_of
from results.row import CONTEXT
from results.store import Store
from results.studies import Study
from search.confirm import ConfirmError, first_fresh_seed, plan_name, train_runs
from search.objective import Setting
from search.replicate import Unwatched, Watch
from search_space import AttentionDesign, Layered, find_design


def begin_final(
    of: Study, state: Confirmation, setting: Setting, store: Store, seeds: int, *, second_look: bool = False
) -> Study:
    """The plan: the leader of the confirmation `of`, `none` and `se`, on the test split; or the plan that was begun.

    Raises `ConfirmError` where the leader has been measured on these test images before, unless it is to be a
    `second_look`.
    """
    assert state.report is not None and setting.split == "test"
    found = _begun(of, setting, store, seeds)
    if found is not None and (final_report(found, store).wanted or not second_look):
        return found
    designs = {mean.network: find_design(mean.design) for mean in state.report.means}
    _check_unseen(next(iter(designs.values())), setting, store, second_look)
    first = max(first_fresh_seed(setting, store), of.config["report_seeds"][-1] + 1)
    names = {network: name for name, network in of.config["references"].items()}
    config = {
        "kind": FINAL,
        **setting.context,
        "confirms": of.id,
        "designs": [str(design) for design in designs.values()],
        "networks": [setting.network_key(design) for design in designs.values()],
        "names": [names.get(network, "the leader") for network in designs],
        "seeds": list(range(first, first + seeds)),
        "precision": setting.precision,
    }
    return store.studies.begin(config, None, plan_name(setting, FINAL))


def finish(study: Study, setting: Setting, store: Store, watch: Watch | None = None) -> Report:
    """Train what the plan lacks."""
    told = watch or Unwatched()
    runs = len(study.config["networks"]) * len(study.config["seeds"])
    told.begin(runs, list(rows_of(study, store).values()))
    while (report := final_report(study, store)).wanted:
        train_runs(report.wanted, study, setting, store, told)
    return report


def _begun(of: Study, setting: Setting, store: Store, seeds: int) -> Study | None:
    found = [
        study
        for study in store.studies.list()
        if is_a(study, FINAL) and study.config["confirms"] == of.id and _is_same(study.config, setting, seeds)
    ]
    return found[-1] if found else None


def _is_same(config: Mapping[str, Any], setting: Setting, seeds: int) -> bool:
    return len(config["seeds"]) == seeds and all(config[name] == setting.context[name] for name in CONTEXT)


def _check_unseen(leader: AttentionDesign | Layered, setting: Setting, store: Store, second_look: bool) -> None:
    key, data = setting.network_key(leader), setting.context["data_hash"]
    rows, _ = store.changes(-1, network_key=key, data_hash=data, split="test")
    measured = [row for row in rows if row.accuracy is not None]
    if measured and not second_look:
        raise ConfirmError(
            f"{leader} has been measured on the test split of {setting.data.name} before ({len(measured)} rows). A "
            "second look with other seeds or another recipe lets one pick the luckier number: then it is no test any "
            "more. `attnas results query \"split == 'test'\"` prints what there is; --second-look measures once more, "
            "and whoever reports it must say that it is the second look."
        )
