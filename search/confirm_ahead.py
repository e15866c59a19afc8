"""What a confirmation will come to, before it begins or goes on: who is in it and why, how many trainings, how long."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from results.best import FEWEST_SEEDS
from results.confirmed import Confirmation, confirmation
from results.counted import counted
from results.exchange import readable
from results.published import presets, with_name
from results.row import CONTEXT
from results.store import Store
from results.studies import Study
from search.clock import Clock, clock
from search.objective import Setting
from search.wording import duration, points, span
from search_space import find_design

if TYPE_CHECKING:
    import pandas as pd

    from trainers import Recipe

_REPORTED = 3
"""The leader, none and se."""


def still_to_train(state: Confirmation) -> tuple[int, int]:
    """The fewest trainings that are to come, if all but one design go at the next look, and the most, if none goes."""
    if state.decided:
        return len(state.wanted), len(state.wanted)
    standing = [arm for arm in state.arms if arm.design in state.standing]
    done = standing[0].n  # seeds of every one of them; of the round that is under way only `wanted` lacks
    under_way = len(standing) - len(state.wanted)
    look = max(FEWEST_SEEDS, done + 1)
    fewest, most = (len(standing) * (seeds - done) - under_way for seeds in (look, len(state.seeds)))
    reported = min(_REPORTED, len(standing))
    return fewest + min(reported, 2) * len(state.report_seeds), most + reported * len(state.report_seeds)


def ahead(plan: Study, setting: Setting, store: Store, rows: pd.DataFrame) -> dict[str, Any]:
    """As JSON values; `plan` need not be stored, `rows` are those that choose (complete, of its context)."""
    state = confirmation(plan, store)
    fewest, most = still_to_train(state)
    context = {name: plan.config[name] for name in CONTEXT}
    pace = clock(store.changes(-1, **context)[0], find_design(plan.config["designs"][0]), setting)
    return {
        "study": plan.name if plan.id else None,
        "context": {name: plan.config[name] for name in ("data", "recipe", *CONTEXT)},
        "designs": _designs(plan, rows),
        "seeds": list(state.seeds),
        "report_seeds": list(state.report_seeds),
        "trainings_at_least": fewest,
        "trainings_at_most": most,
        "seconds_at_least": fewest * pace.seconds_each,
        "seconds_at_most": most * pace.seconds_each,
        "processes": 1,
        "final": None,
        **asdict(pace),
    }


def final_ahead(found: dict[str, Any], recipe: Recipe, seeds: int, store: Store) -> dict[str, Any]:
    """The same with what `--final` adds; how long is told by the seconds of an epoch."""
    context = found["context"]
    tested, _ = store.changes(-1, data_hash=context["data_hash"], split="test")
    trainings = seeds * min(_REPORTED, len(found["designs"]))
    final = {
        "recipe": recipe.name,
        "epochs": recipe.epochs,
        "seeds": seeds,
        "trainings": trainings,
        "seconds": trainings * found["seconds_each"] * recipe.epochs / context["epochs"],
        "rows_on_the_test_split": sum(row.accuracy is not None for row in tested),
    }
    return found | {"final": final}


def ahead_lines(found: dict[str, Any]) -> list[str]:
    """For people."""
    fewest, most = found["trainings_at_least"], found["trainings_at_most"]
    known = any(one["expected"] is not None for one in found["designs"])
    by = "what fresh seeds would give (expected %)" if known else "their means (%; no design has a second seed)"
    names = [with_name(one["design"]) for one in found["designs"]]
    width = max(map(len, names))
    lines = [f"{found['study'] or 'a new confirmation'}: {counted(len(names), 'design')}, by {by}:"]
    for name, one in zip(names, found["designs"], strict=True):
        value = points(one["expected"] if known else one["accuracy"], unknown="-")
        role = "  reference" if one["reference"] else ""
        lines.append(f"  {name:{width}}  {value:>6}  n = {one['n']}{role}")
    report = f"{span(found['report_seeds'])} to report of the leader, none and se"
    lines.append(f"seeds that no row and no plan had before: {span(found['seeds'])} to choose, {report}")
    trainings, time = counted(most, "training"), duration(found["seconds_at_most"])
    if fewest < most:
        trainings, time = f"{fewest:,} to {trainings}", f"{duration(found['seconds_at_least'])} to {time}"
    pace = Clock(**{name: found[name] for name in Clock.__dataclass_fields__})
    why = ", the fewest if all but a reference are left out at the next look" if fewest < most else ""
    lines.append(f"{trainings} to come{why}: about {time} in one process ({pace})")
    return list(map(readable, [*lines, *_final_lines(found["final"])]))


def _final_lines(final: dict[str, Any] | None) -> list[str]:
    if final is None:
        return []
    recipe = f"the recipe {final['recipe']} ({counted(final['epochs'], 'epoch')})"
    lines = [
        f"--final: {counted(final['trainings'], 'training')} more, of the leader, none and se with "
        f"{counted(final['seeds'], 'seed')} each, by {recipe}, measured once on the "
        f"test split: about {duration(final['seconds'])} at the same seconds an epoch"
    ]
    if final["rows_on_the_test_split"]:
        looked = counted(final["rows_on_the_test_split"], "row")
        lines.append(f"the test split has been looked at before ({looked}): another look takes --second-look")
    return lines


def _designs(plan: Study, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """In the order of the plan; a design without a row, as one that was named may be, has n = 0."""
    from results.summary import summarise

    known = {line["network_key"]: line for line in summarise(rows).to_dict("records")}
    references = set(plan.config["references"].values())
    found = []
    for design, network in zip(plan.config["designs"], plan.config["networks"], strict=True):
        line = known.get(network, {})
        [preset] = presets([design], [line.get("key", design)])
        numbers = {name: _number(line.get(name)) for name in ("accuracy", "expected")}
        about = {"design": design, "preset": preset, "network": network, "reference": network in references}
        found.append(about | {"n": int(line.get("n", 0)), **numbers})
    return found


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
