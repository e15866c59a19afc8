"""What the report says of confirmations, effects, noise and fidelities: the words and numbers of their own commands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from results.confirmed import CONFIRM, Confirmation, confirmation, is_a
from results.report import Note
from results.report_facts import Table
from results.row import CONTEXT
from results.together import p_in_words
from search.wording import points
from search_space.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from results.effects import Explained
    from results.store import Store


def confirmed(stores: Sequence[Store]) -> tuple[list[Note], list[str]]:
    """A note of every confirmation, and the leaders whose fresh seeds are all in.

    Of a confirmation that several storages hold, as one does after an import, that with the most runs is told.
    """
    known: dict[str, list[Confirmation]] = {}
    for store in stores:
        for study in store.studies.list():
            if is_a(study, CONFIRM):
                known.setdefault(study.id, []).append(confirmation(study, store))
    states = [max(found, key=_runs) for found in known.values()]
    done = [state.report for state in states if state.report is not None and not state.report.wanted]
    return [_confirmation(state) for state in states], [report.means[0].design for report in done if report.means[0].n]


def _runs(state: Confirmation) -> int:
    return sum(arm.n for arm in state.arms) + sum(mean.n for mean in (state.report.means if state.report else ()))


def _confirmation(state: Confirmation) -> Note:
    from search.verdict import verdict

    _, _, *told = "\n".join(verdict(state)).split("\n\n")  # the context and the race stand beside it here
    rows = [
        [
            arm.design,
            f"{arm.n}",
            points(arm.mean, unknown="–"),
            _between(arm.low, arm.high),
            "failed" if arm.failure else f"out after {arm.out_after} seeds" if arm.out_after else "stands",
        ]
        for arm in sorted(state.arms, key=lambda arm: (arm.out_after is not None, -arm.mean))
    ]
    level = f"{100 * (1 - state.alpha):g} % interval less the best other"
    table = Table(("design", "seeds", "mean %", level, ""), rows, frozenset({1, 2, 3}))
    sentences = [line.strip() for block in told for line in block.splitlines()]
    return Note("confirmation", f"Confirmation {state.study}", sentences, table, _context(state.context))


def explained(frame: pd.DataFrame) -> list[Explained]:
    """The model of each context; none where no row was measured."""
    from results.effects import explain

    with suppress(UserError):
        return explain(frame, every_context=True)
    return []


def effects(models: Sequence[Explained]) -> Iterator[Note]:
    """How much of the spread is each axis's."""
    for one in models:
        if one.shortage is not None:
            continue  # the picture that isn't there says so
        rows = [
            [
                line["axis"],
                f"{line['levels']}",
                f"{line['designs']:,}",
                _share(line),
                "–" if math.isnan(line["p_holm"]) else p_in_words(line["p_holm"]),
                line["note"] or "",
            ]
            for line in one.axes().to_dict("records")
        ]
        columns = ("axis", "levels", "designs", "share of variance", "p (Holm)", "")
        said = ["Share: partial omega squared with its 95 % interval; p: F test, Holm's correction over the axes."]
        table = Table(columns, rows, frozenset({1, 2, 3, 4}))
        yield Note("effects", "How much of the spread is whose", said, table, _context(one.about))


def _share(line: Mapping[Any, Any]) -> str:
    if math.isnan(line["share"]):
        return "–"
    share, low, high = (f"{100 * line[name]:.0f} %" for name in ("share", "share_low", "share_high"))
    return f"{share} ({low} to {high})"


def noise(frame: pd.DataFrame) -> Iterator[Note]:
    """How many seeds a gap needs, and what this spread lets a ranking reach."""
    from results.power import seeds_in_words
    from results.statistics import GAPS
    from results.statistics import noise as spread

    with suppress(UserError):
        for line in spread(frame).to_dict("records"):
            rows = [[f"{gap:g} points", seeds_in_words(line[f"seeds_for_{gap:g}"])] for gap in GAPS]
            table = Table(("a gap of", "seeds of each of two designs"), rows, frozenset({1}))
            said = (
                f"With {line['seeds']:.2g} seeds a design, as here, a ranking is expected to agree with the truth to a "
                f"Spearman correlation of {line['spearman_truth']:.2f} ({line['spearman_truth_low']:.2f} to "
                f"{line['spearman_truth_high']:.2f}), with another such ranking to {line['spearman_again']:.2f}. "
                "No cheaper proxy can be expected to agree better with this one."
            )
            heading = "Seeds that find a gap (level 95 %, power 80 %)"
            yield Note("noise", heading, [said], table, _context(line))


def fidelities(frame: pd.DataFrame) -> Iterator[Note]:
    """How well each cheaper fidelity, MACs and params order the designs of the dearest, in the part of that."""
    from results.fidelity import fidelity

    with suppress(UserError):
        found = fidelity(frame)
        dear = [name for name in CONTEXT if f"dear_{name}" in found.columns]
        for _, lines in found.groupby([f"dear_{name}" for name in dear], sort=False):
            first = lines.iloc[0]
            about = {name: first[f"dear_{name}"] if name in dear else first[name] for name in CONTEXT}
            yield Note(
                "fidelity", "How well cheaper measures order these designs", [], _agreement(lines), _context(about)
            )


def _agreement(lines: pd.DataFrame) -> Table:
    rows = [
        [
            f"{line['recipe']}, {line['epochs']} of {line['schedule_epochs']} epochs"
            if line["measure"] == "accuracy"
            else str(line["measure"]),
            f"{line['designs']:,}",
            *(_correlation(line, name) for name in ("kendall", "spearman")),
            "–" if math.isnan(line["spearman_ceiling"]) else f"{line['spearman_ceiling']:.2f}",
            _correlation(line, "recall"),
        ]
        for line in lines.to_dict("records")
    ]
    columns = ("measure", "designs", "Kendall", "Spearman", "its ceiling", f"recall of the top {lines['k'].iloc[0]}")
    return Table(columns, rows, frozenset(range(1, 6)))


def _correlation(line: Mapping[Any, Any], name: str) -> str:
    if math.isnan(line[name]):
        return "–"
    return f"{line[name]:.2f} ({line[f'{name}_low']:.2f} to {line[f'{name}_high']:.2f})"


def _context(about: Mapping[Any, Any]) -> tuple[Any, ...]:
    return tuple(about[name] for name in CONTEXT)


def _between(low: float, high: float) -> str:
    return "–" if math.isnan(low) else f"{100 * low:+.2f} to {100 * high:+.2f}"
