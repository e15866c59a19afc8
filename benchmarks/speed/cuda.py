"""Images a second on a CUDA device: the plain training, attnas, several of its trainings at a time."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

import torch

from benchmarks.speed import plain
from benchmarks.speed.clock import ratios
from benchmarks.speed.loop import Task, few
from benchmarks.speed.scale import Scale
from benchmarks.tables import figures, spread, table
from search.at_once import Job, rates, to_try
from search.halving import Rungs
from search.request import Request
from search_space import AttentionDesign
from trainers.data import ImageData, load_data
from trainers.recipe import PROXY
from trainers.way import Way
from trainers.ways import pick_way

EPOCHS = 5  # that are counted, after one that is not
UNMEASURED = "unmeasured: no such device was at hand"
_TURN_SECONDS = 5.0
_HEAD = ["network", "batch", "plain", "attnas", "way", "ratio", "several at a time", "wanted"]
_SE = AttentionDesign.parse("avg/mlp-r4")


@dataclass(frozen=True)
class Line:
    backbone: str
    batch_size: int
    wanted: str


LINES = (
    Line("resnet20", PROXY.batch_size, "20 times plain, on an H200"),
    Line("resnet18", PROXY.batch_size, "85,000 images a second, on an H200"),
    Line("resnet18", 512, "85,000 images a second, on an H200"),
)


def section(scale: Scale) -> str:
    torch.set_num_threads(1)
    data = load_data("synthetic")
    if scale.small:  # wherever
        line, way = Line("resnet8", 32, ""), Way("float32", "contiguous")
        rows = [measured(line, few(data, 128), torch.device("cpu"), way, scale)]
    elif torch.cuda.is_available():
        rows = [measured(line, data, torch.device("cuda"), None, scale) for line in LINES]
    else:
        rows = [[line.backbone, str(line.batch_size), *[UNMEASURED] * 5, line.wanted] for line in LINES]
    return f"""## On a CUDA device

Images of the training split a second, synthetic ones of 32 px, evaluation after every epoch included, with
`avg/mlp-r4`; {_epochs(scale)} epochs after one that is not counted, in turn; n = {scale.repeats}, median (least to
most). *Plain*: [plain.py](speed/plain.py) with a process that loads for every second core, eight at most, pinned
memory, autocast in bfloat16 and channels_last. *Attnas*: one training, in the way that was measured to be fastest.
*Several*: steps of that training by so many processes at a time, without evaluation; the best of two turns. *Ratio*:
of one to one, by rounds.

{_device()}{scale.where("torchvision", "timm")}

{table(_HEAD, rows)}
"""


def _device() -> str:
    return f"{torch.cuda.get_device_name()}; " if torch.cuda.is_available() else ""


def _loader_workers() -> int:
    return min(8, (os.cpu_count() or 2) // 2)


def _epochs(scale: Scale) -> int:
    return 1 if scale.small else EPOCHS


def measured(line: Line, data: ImageData, device: torch.device, way: Way | None, scale: Scale) -> list[str]:
    """A row. `way`: None for the fastest."""
    scale.say(f"cuda: {line.backbone}, batch {line.batch_size}")
    recipe = PROXY.changed(epochs=1 + _epochs(scale), batch_size=line.batch_size)
    options = {"name": line.backbone, "image_size": data.image_size, "batch_size": line.batch_size}
    way = way or pick_way("auto", None, steps=10**9, device=device, **options)
    task = Task(data, line.backbone, _SE, recipe)
    each = {"plain": list[float](), "attnas": list[float]()}
    for repeat in range(scale.repeats):
        scale.say(f"cuda: {line.backbone}, {way}, {repeat}")
        each["plain"].append(plain_rate(task, device))
        each["attnas"].append(own_rate(task, way, device))
    several = at_a_time(task, way, device, 0.5 if scale.small else _TURN_SECONDS)
    faster = spread(ratios(each["attnas"], each["plain"]))
    return [
        line.backbone,
        str(line.batch_size),
        spread(each["plain"]),
        spread(each["attnas"]),
        str(way),
        faster,
        ", ".join(f"{number}: {figures(rate)}" for number, rate in several.items()),
        line.wanted,
    ]


def plain_rate(task: Task, device: torch.device) -> float:
    arrays, form = plain.arrays_of(task.data), plain.FORMS[-1]
    options = {"backbone": task.backbone, "recipe": task.recipe, "form": form, "workers": _loader_workers()}
    with torch.backends.cudnn.flags(enabled=True, benchmark=True):  # which no search of attnas's does
        records = list(plain.train(task.design, task.seed, arrays, device=device, **options))
    return rate_of(task, records)


def own_rate(task: Task, way: Way, device: torch.device) -> float:
    run = task.run(way, device)
    return rate_of(task, list(run.train_to(run.steps)))


def rate_of(task: Task, records: list[dict[str, float]]) -> float:
    images = (len(records) - 1) * len(task.data.train.labels)
    return images / (records[-1]["seconds"] - records[0]["seconds"])


def at_a_time(task: Task, way: Way, device: torch.device, turn_seconds: float) -> dict[int, float]:
    """Images a second of all of so many processes."""
    numbers = to_try(os.cpu_count() or 1, 1) if device.type == "cuda" else [1, 2]
    request = Request(rungs=Rungs((1,)), device=str(device))
    size, batch_size = task.data.image_size, task.recipe.batch_size
    job = Job(task.backbone, size, batch_size, asdict(way), str(device), threads=1, cores=1)
    found = rates(job, request, numbers, turn_seconds)
    return {number: rate * batch_size for number, rate in found.items()}
