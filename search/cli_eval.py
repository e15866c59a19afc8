"""`attnas eval`: how right and how fast an export is."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from results.exchange import readable
from search.options import CORES, DEVICE, JSON
from search_space.errors import UserError

if TYPE_CHECKING:
    from trainers.evaluation import Accuracy, Speed
    from trainers.image_set import ImageSet
    from trainers.model_facts import ModelFacts

EPILOG = """Examples:

attnas eval eca-resnet50 --data /path/to/imagenet

attnas eval eca-resnet50/model.onnx --data /path/to/imagenet --limit 5000

attnas eval eca-resnet50 --threads 1 --json     # no --data: only how fast it is"""


def eval_command(
    export: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder that `attnas export` wrote, or the model.onnx in it.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="Images as `attnas retrain` takes them, or PATH/<class>/* alone; none: only how fast it is."),
    ] = None,
    split: Annotated[str, typer.Option(help="val | train.")] = "val",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many images, evenly spread.")] = None,
    runtime: Annotated[str, typer.Option(help="torch (as timm loads it) | onnx (ONNX Runtime on the CPU).")] = "torch",
    backbone: Annotated[
        str | None, typer.Option(help="A function of yours, package.module:factory, that the export may import.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=2, help="Images a batch, of accuracy and throughput.")] = 64,
    repeats: Annotated[int, typer.Option(min=2, help="Turns of throughput and latency.")] = 15,
    workers: Annotated[int, typer.Option(min=0, help="Processes that decode images.")] = min(4, CORES),
    skip_corrupt: Annotated[int, typer.Option(min=0, help="Leave out so many images that can't be read.")] = 0,
    device: DEVICE = None,
    precision: Annotated[str, typer.Option(help="float32 | bfloat16.")] = "float32",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads, of torch or of ONNX Runtime.")] = CORES,
    as_json: JSON = False,
) -> None:
    """Top-1 and top-5 of an export on images, with intervals; throughput of batches and latency of one image.

    Images are decoded and cropped as in its training, so on the same images it says what `retrain` said.
    """
    from trainers.evaluation import RUNTIMES, SPLITS, facts_of_export, images_at, limited, opened, speed
    from trainers.precision import PRECISIONS

    if export.name == "model.onnx":
        export, runtime = export.parent, "onnx"
    for name, value, allowed in (
        ("split", split, SPLITS),
        ("runtime", runtime, RUNTIMES),
        ("precision", precision, PRECISIONS),
    ):
        if value not in allowed:
            raise UserError(f"{name}: {value!r} given; allowed: {', '.join(allowed)}.")
    if runtime == "onnx" and (precision != "float32" or device not in (None, "cpu")):
        raise UserError("--runtime onnx is float32 on the CPU; drop --precision and --device.")
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from trainers.environment import hardware, pick_device
    from trainers.evaluation import accuracy
    from trainers.precision import memory_format
    from trainers.timm_registry import allow

    torch.set_num_threads(threads)
    if backbone is not None:
        allow(backbone)
    place = pick_device("cpu" if runtime == "onnx" else device)
    facts = facts_of_export(export)
    images = None if data is None else limited(images_at(Path(str(data).removeprefix("folder:")), split, facts), limit)
    logits = opened(export, runtime, place, precision, threads)
    how: dict[str, Any] = {"device": place, "layout": memory_format(precision)}
    console = Console(stderr=True)
    seen = None
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        if images is not None:
            task = bar.add_task("measuring", total=len(images.val.labels))
            seen = accuracy(
                logits,
                facts,
                images,
                batch_size=batch_size,
                workers=workers,
                most_corrupt=skip_corrupt,
                on_batch=lambda number: bar.advance(task, number),
                **how,
            )
        bar.add_task("timing", total=None)
        speeds = [speed(logits, facts, batch=n, repeats=repeats, threads=threads, **how) for n in (batch_size, 1)]
    under = {"runtime": _runtime(runtime), "precision": precision, "hardware": hardware(place), "threads": threads}
    if as_json:
        print(json.dumps(_plain(facts, export, images, split, seen, speeds, under)))
    else:
        _say(facts, images, split, seen, speeds, under)


def _runtime(name: str) -> str:
    from importlib.metadata import version

    package = {"torch": "torch", "onnx": "onnxruntime"}[name]
    return f"{package} {version(package)}"


def _shares(seen: Accuracy) -> dict[str, tuple[float, float, float]]:
    """{measure: share, and its interval}."""
    from trainers.proportion import wilson

    hits = {"top-1": seen.top1} | ({} if seen.top5 is None else {"top-5": seen.top5})
    return {name: (number / seen.images, *wilson(number, seen.images)) for name, number in hits.items()}


def _reported(facts: ModelFacts, images: ImageSet, split: str, seen: Accuracy) -> float | None:
    """The top-1 that the training itself saw on just these images, if it did."""
    if facts.measured is None or facts.data is None or split != facts.measured["split"]:
        return None
    same = facts.data["content_hash"] == images.content_hash and facts.measured["images"] == seen.images + seen.corrupt
    return float(facts.measured["accuracy"]) if same else None


def _plain(
    facts: ModelFacts,
    export: Path,
    images: ImageSet | None,
    split: str,
    seen: Accuracy | None,
    speeds: list[Speed],
    under: dict[str, Any],
) -> dict[str, Any]:
    about: dict[str, Any] = {"directory": str(export), "design": facts.design, "backbone": facts.backbone}
    about |= {"image_size": facts.image_size, "trained": facts.trained, "state": facts.state, **under}
    if images is not None and seen is not None:
        about |= {"data": images.name, "data_hash": images.content_hash or None, "split": split}
        about |= {"images": seen.images, "corrupt": seen.corrupt, "seconds": seen.seconds}
        for name, (share, low, high) in _shares(seen).items():
            about[name.replace("-", "")] = {"share": share, "low": low, "high": high}
        about["reported_top1"] = _reported(facts, images, split, seen)
    for name, timing in zip(("throughput", "latency"), speeds, strict=True):
        about[name] = asdict(timing) | {"images_per_second": timing.batch / timing.median}
    return about


def _say(
    facts: ModelFacts,
    images: ImageSet | None,
    split: str,
    seen: Accuracy | None,
    speeds: list[Speed],
    under: dict[str, Any],
) -> None:
    print(readable(f"{facts.design} in {facts.network} at {facts.image_size} px, {len(facts.classes)} classes"))
    for told in facts.reservations:
        print(readable(told))
    if images is not None and seen is not None:
        corrupt = f", {seen.corrupt} more can't be read" if seen.corrupt else ""
        print(readable(f"{split} of {images.name}: {seen.images:,} images{corrupt}"))
        for name, (share, low, high) in _shares(seen).items():
            print(f"{name}       {share:.2%}  (95 % interval {low:.2%} to {high:.2%}, Wilson)")
        reported = _reported(facts, images, split, seen)
        if reported is not None:
            print(f"            its training saw {reported:.2%} on these images, in {readable(facts.precision)}")
    batch, one = speeds
    fast, slow = batch.batch / batch.lower_quartile, batch.batch / batch.upper_quartile
    print(f"throughput  {batch.batch / batch.median:,.1f} images/s  ({slow:,.1f} to {fast:,.1f}), batch {batch.batch}")
    low, middle, high = (1000 * seconds for seconds in (one.lower_quartile, one.median, one.upper_quartile))
    print(f"latency     {middle:.2f} ms  ({low:.2f} to {high:.2f}), batch 1")
    about = f"{under['runtime']}, {under['precision']}, {under['hardware']}"
    print(f"median (quartiles) of {one.n} turns after a warm-up, images on the device; {about}", file=sys.stderr)
