"""The neighbours of a design that differ from it in one axis, trained with the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from results.ablation import ablation
from results.confirmed import is_a
from results.factors import named_axes
from results.plans import ABLATE
from results.row import COLUMNS, CONTEXT, Row
from results.store import Store
from search.clock import Clock, clock
from search.confirm import first_fresh_seed, plan_name
from search.objective import Setting
from search.replicate import Watch, replicate
from search_space import AttentionDesign, DesignError, Layered, find_design
from search_space.errors import UserError
from search_space.words import neighbours


@dataclass(frozen=True)
class Ablation:
    """A design and what it is compared with: `axis_of` and `designs` by network key, the design's own (`base`) first.

    `impossible` are the texts of neighbours that can't be on the backbone, with the reason.
    """

    base: str
    designs: dict[str, AttentionDesign]
    axis_of: dict[str, str]
    impossible: dict[str, str] = field(default_factory=dict)

    @property
    def axes(self) -> dict[str, int]:
        """{axis: neighbours}."""
        names = list(self.axis_of.values())
        return {axis: names.count(axis) for axis in dict.fromkeys(names)}


@dataclass(frozen=True)
class Work:
    """Trainings in all and still to do, and how long one takes.

    `studied` are the seeds of which a study trained the design itself: it may have been chosen for its luck with them.
    """

    trainings: int
    left: int
    clock: Clock
    studied: tuple[int, ...] = ()

    @property
    def seconds(self) -> float:
        return self.left * self.clock.seconds_each


def choices(design: AttentionDesign | Layered, axes: Sequence[str] | None = None) -> dict[str, list[str]]:
    """{axis: texts} of the designs one axis away (`search_space.words.neighbours`), of all axes or of `axes`.

    Raises:
        UserError: it is a list of designs or `none`, or has no such axis.
    """
    if not isinstance(design, AttentionDesign):
        raise UserError(f"{str(design)!r} has a design for each place, and so no neighbours; give one design.")
    if design.squeeze == "none":
        raise UserError(
            "none has no axis that could be varied: every other design would be its neighbour. Ablate one that has "
            "attention, as attnas ablate se; `none` is the baseline of attnas confirm and attnas results compare."
        )
    found = neighbours(design)
    names = list(found) if axes is None else named_axes(axes, found)
    lacking = ", ".join(name for name in names if name not in found)
    if lacking:
        raise UserError(f"{design} has no axis {lacking} that could be varied; it has: {', '.join(found) or 'none'}.")
    return {axis: found[axis] for axis in names}


def plan(design: AttentionDesign | Layered, found: Mapping[str, Sequence[str]], setting: Setting) -> Ablation:
    """The distinct networks among the designs that `choices` found.

    Raises:
        DesignError: the design can't be on this backbone.
        UserError: no neighbour can be trained.
    """
    assert isinstance(design, AttentionDesign), "choices refuses others"
    setting.check(design)
    base = setting.network_key(design)
    made = Ablation(base, {base: design}, {})
    for axis, texts in found.items():
        for text in texts:
            _take(made, axis, text, setting)
    if not made.axis_of:
        raise UserError(f"{design} has no neighbour on {setting.backbone} that is another network.")
    return made


def _take(made: Ablation, axis: str, text: str, setting: Setting) -> None:
    other = find_design(text)
    assert isinstance(other, AttentionDesign)
    try:
        setting.check(other)
    except DesignError as error:
        made.impossible[text] = str(error)
        return
    network = setting.network_key(other)
    if network not in made.designs:  # where channels are few another spelling may be the same network
        made.designs[network] = other
        made.axis_of[network] = axis


def seeds_ahead(made: Ablation, count: int, setting: Setting, store: Store) -> list[int]:
    """The seeds of an ablation of this design: those of earlier ones of it, then fresh ones. Writes nothing.

    Fresh ones lie above every seed that the context has seen: the design is worth an ablation because it was lucky with
    some of those, and its neighbours were not chosen so.
    """
    context = {name: setting.context[name] for name in CONTEXT}
    known: dict[int, None] = {}
    for study in store.studies.list():
        plan = study.config
        if is_a(study, ABLATE) and plan["base"] == made.base and all(plan[name] == context[name] for name in CONTEXT):
            known |= dict.fromkeys(plan["seeds"])
    first = first_fresh_seed(setting, store)
    return [*known, *range(first, first + count)][:count]


def begin(made: Ablation, count: int, setting: Setting, store: Store) -> list[int]:
    """`seeds_ahead`, kept, so that the same command goes on with the same; of several at once all take the oldest's."""
    config = {
        "kind": ABLATE,
        **setting.context,
        "base": made.base,
        "designs": [str(design) for design in made.designs.values()],
        "networks": list(made.designs),
        "seeds": seeds_ahead(made, count, setting, store),
    }
    store.studies.begin(config, None, plan_name(setting, ABLATE))
    return seeds_ahead(made, count, setting, store)


def work(made: Ablation, seeds: Sequence[int], setting: Setting, store: Store) -> Work:
    """What is still to be trained, and how long it takes: as the rows of this context took, or a few steps take now."""
    context = {name: setting.context[name] for name in CONTEXT}
    rows, _ = store.changes(-1, **context)
    finished = [row for row in rows if row.status != "running"]
    done = {(row.network_key, row.seed) for row in finished} & {(key, seed) for key in made.designs for seed in seeds}
    trainings = len(made.designs) * len(seeds)
    left = trainings - len(done)
    studied = studied_seeds(made, [row for row in finished if row.seed in seeds])
    return Work(trainings, left, clock(finished, made.designs[made.base], setting) if left else Clock(0.0), studied)


def studied_seeds(made: Ablation, rows: Sequence[Row]) -> tuple[int, ...]:
    """Of the design itself those that a search or a confirmation trained."""
    return tuple(sorted(row.seed for row in rows if row.network_key == made.base and row.study is not None))


def ablate(
    made: Ablation, seeds: Sequence[int], setting: Setting, store: Store, watch: Watch | None = None
) -> tuple[pd.DataFrame, list[Row]]:
    """Train what the storage lacks; what each choice is worth (`results.ablation.ablation`), and the rows."""
    rows = replicate(list(made.designs.values()), seeds, setting, store, watch)
    frame = pd.DataFrame([{name: getattr(row, name) for name in COLUMNS} for row in rows])
    return ablation(frame, made.base, made.axis_of), rows
