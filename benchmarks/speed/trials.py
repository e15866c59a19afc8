"""Trials an hour of `attnas search` beside the plain trials: equal designs, seeds, recipe and images, two at a time."""

from __future__ import annotations

import csv
import tempfile
from collections import defaultdict
from dataclasses import asdict, fields, replace
from pathlib import Path
from statistics import mean, median

import torch
from scipy import stats

from benchmarks.speed.clock import alternated
from benchmarks.speed.plain import FORMS, Form, optimiser_of, train_step
from benchmarks.speed.scale import Scale
from benchmarks.speed.trial_sets import (
    BY_SEARCH,
    CORES,
    ONE,
    OURS,
    PLAIN,
    TUNED,
    Carried,
    Kind,
    Place,
    Trial,
    carry_out,
)
from benchmarks.tables import figures, spread, table
from search_space import NONE
from trainers.backbones import initialised

_DESIGNS = ("none", "avg/mlp-r4", "avg/conv1d", "dct-top4/mlp-r4")
_SHORT = {"epochs": 2, "crop_padding": 0}  # with crops two epochs of synthetic images end at chance
KINDS = {
    kind.name: kind
    for kind in (
        Kind("few", "resnet8", _SHORT, _DESIGNS, 3, (PLAIN, TUNED, OURS, ONE)),
        Kind("many", "resnet8", _SHORT, _DESIGNS, 6, (PLAIN, OURS)),
        Kind("long", "resnet20", {"epochs": 10}, _DESIGNS[:2], 1),
    )
}
SMALL = Kind(
    "small", "resnet8", {"epochs": 1, "crop_padding": 0}, _DESIGNS[:2], 2, (PLAIN, TUNED, OURS, ONE), image_size=16
)


def section(scale: Scale, name: str) -> str:
    torch.set_num_threads(1)
    kind = replace(SMALL, name=name) if scale.small else KINDS[name]
    if scale.epochs:
        kind = replace(kind, changes={**kind.changes, "epochs": scale.epochs})
    found = of_kind(kind, scale)
    return f"""## Trials an hour: {name}

*{PLAIN.capitalize()}* ([plain.py](speed/plain.py), [plain_tune.py](speed/plain_tune.py)): PIL and torchvision in a
`DataLoader` with one worker, eager PyTorch in the form that is fastest here, Ray Tune with a process for each trial;
*tuned*: no process that loads, which would share a core with one that trains, and processes that go on with the next
trial. *attnas*: `attnas search --workers {CORES} --no-halving` with the designs as its warm start; *{ONE[8:]}*: one
process on {CORES} cores instead of one on each. From the start of the first process to the end of the last, in turn;
median (least to most) of n = {scale.repeats} sets with new seeds. *Once before*: what attnas measures of a machine and
a network, how it trains fastest, compiling included. The fewer trials a set has, the more weighs what comes before the
first. Images: {scale.data.rpartition("/")[2]}, decoded already for all.

{scale.where("torchvision", "timm", "ray")}

{found}"""


def of_kind(kind: Kind, scale: Scale) -> str:
    form = fastest(kind)
    scale.say(f"{kind.name}: the plain network is fastest in {form}")
    found: dict[str, list[Carried]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="ab-") as kept:
        places = {side: Place(side, Path(kept, side.replace(" ", "-"))) for side in kind.sides}
        once = {side: places[side].measure(kind) for side in kind.sides if side in BY_SEARCH}
        scale.say(f"{kind.name}, measured once: {once}")
        for repeat in range(scale.repeats):
            for side in kind.sides if repeat % 2 else kind.sides[::-1]:
                seeds = list(range(repeat * kind.seeds, (repeat + 1) * kind.seeds))
                carried = carry_out(kind, seeds, scale.data, form, places[side])
                found[side].append(carried)
                scale.say(f"{kind.name}, {side}, {repeat}: {carried.wall:.1f} s")
    path = scale.output.with_name(f"{scale.output.stem}_{kind.name}.csv")
    write_trials(path, found)
    return f"{report(kind, found, once)}\n\nEvery trial: [{path.name}]({path.name})."


def fastest(kind: Kind) -> Form:
    """The form in which the plain network takes a step soonest here: the baseline gets it."""
    generator = torch.Generator().manual_seed(0)
    size = (kind.recipe.batch_size, 3, kind.image_size, kind.image_size)
    images, labels = torch.randn(size, generator=generator), torch.zeros(size[0], dtype=torch.long)
    steps = {}
    for form in FORMS:
        net = initialised(kind.backbone, NONE, kind.recipe, seed=0, num_classes=100, image_size=kind.image_size)
        net = net.train().to(memory_format=form.memory_format)  # type: ignore[call-overload]
        given = (net, images, labels, optimiser_of(net, kind.recipe), kind.recipe, form)
        steps[form] = lambda given=given: train_step(*given)
    times = alternated(steps, 5)
    return min(FORMS, key=lambda form: min(times[form].wall))


def agreement(ours: list[Trial], theirs: list[Trial], of: str = "accuracy") -> tuple[float, float, float]:
    """Difference of the means, and the ends of its 95 % interval (Student) over the seeds. Trials of one seed start
    from the same weights and see the same batches whatever their design: they are no repeats of each other."""
    of_theirs = {(trial.design, trial.seed): getattr(trial, of) for trial in theirs}
    of_seeds = defaultdict(list)
    for trial in ours:
        of_seeds[trial.seed].append(getattr(trial, of) - of_theirs[trial.design, trial.seed])
    found = stats.ttest_1samp(differences := [mean(each) for each in of_seeds.values()], 0).confidence_interval()
    return mean(differences), float(found.low), float(found.high)


def write_trials(path: Path, found: dict[str, list[Carried]]) -> None:
    """A line a trial, for who would count otherwise."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["side", "set", *(field.name for field in fields(Trial))], lineterminator="\n")
        writer.writeheader()
        for side, sets in found.items():
            for number, carried in enumerate(sets):
                writer.writerows({"side": side, "set": number} | asdict(trial) for trial in carried.trials)


def report(kind: Kind, found: dict[str, list[Carried]], once: dict[str, float]) -> str:
    """Of the sets of each side, in rounds; `once` are the seconds that some spend before all."""
    rows = []
    for side in kind.sides:
        trials = [trial for carried in found[side] for trial in carried.trials]
        accuracy = 100 * mean(trial.accuracy for trial in trials)
        numbers = [spread([carried.an_hour for carried in found[side]]), spread([one.wall for one in found[side]])]
        before = figures(once[side]) if side in once else ""
        numbers += [before, spread([trial.seconds for trial in trials]), f"{accuracy:.2f}"]
        rows.append([side, found[side][0].how, *numbers])
    head = ["", "form", "trials an hour", "wall seconds", "once before, s", "seconds a training", "top-1, %"]
    every = {side: [trial for carried in found[side] for trial in carried.trials] for side in kind.sides}
    difference, low, high = (100 * value for value in agreement(every[OURS], every[PLAIN]))
    more, least, most = agreement(every[OURS], every[PLAIN], "train_loss")
    overhead = [seconds for carried in found[OURS] for seconds in carried.between]
    training = median(trial.seconds for trial in every[OURS])
    lines = [
        f"{kind.backbone}, recipe `proxy` with {', '.join(f'{name}={value}' for name, value in kind.changes.items())}; "
        f"{len(kind.designs)} designs with {kind.seeds} seed{'s' * (kind.seeds > 1)}: {kind.trials} trials a set",
        table(head, rows),
        f"Ratio of trials an hour, attnas to plain, by rounds: {spread(_ratios(found[OURS], found[PLAIN]))}; wanted: 2 "
        "or more.",
        *(f"{OURS} to {TUNED}: {spread(_ratios(found[OURS], found[TUNED]))}." for _ in {TUNED} & found.keys()),
        *(f"{ONE} to {OURS}: {spread(_ratios(found[ONE], found[OURS]))}." for _ in {ONE} & found.keys()),
        f"Agreement, attnas less plain, {len({trial.seed for trial in every[OURS]})} seeds with {len(kind.designs)} "
        f"designs each: accuracy {difference:+.2f} points (95 % interval {low:+.2f} to {high:+.2f}), training loss of "
        f"the last epoch {more:+.4f} ({least:+.4f} to {most:+.4f}).",
    ]
    if overhead:  # none where each worker carries out one trial
        lines.append(
            f"Engine and bookkeeping between trainings: {spread([1000 * value for value in overhead])} ms a trial, "
            f"{100 * median(overhead) / training:.2g} % of a training; wanted: 2 % of a 5-second training or less."
        )
    return "\n\n".join(lines)


def _ratios(ours: list[Carried], theirs: list[Carried]) -> list[float]:
    """Of trials an hour, by rounds."""
    return [one.an_hour / other.an_hour for one, other in zip(ours, theirs, strict=True)]
