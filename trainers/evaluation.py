"""How right and how fast an export is: top-1 and top-5 on images, throughput and latency on this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import torch
from torch import Tensor

from search_space import UserError
from trainers import model_facts
from trainers.augment import normalise
from trainers.execution import Execution
from trainers.export import CONFIG, ONNX, SUMS, WEIGHTS, in_a_line, sums_of
from trainers.folder import list_classes
from trainers.image_batches import Batches
from trainers.image_parquet import find_parquet
from trainers.image_set import ImageSet, Subset, image_set
from trainers.image_tree import tree_part
from trainers.imagenet_recipe import RetrainRecipe
from trainers.latency import repeated
from trainers.model_facts import ModelFacts
from trainers.onnx_export import require_onnx, runner, session
from trainers.precision import autocast, memory_format
from trainers.timm_import import prepare

prepare()
import timm  # noqa: E402

Logits = Callable[[Tensor], Tensor]
"""Normalised images, on the device, -> logits."""

SPLITS = ("val", "train")
RUNTIMES = ("torch", "onnx")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Images that were right at the first guess, and among the first five where there are more than five classes."""

    images: int
    top1: int
    top5: int | None
    corrupt: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds a batch over `n` turns: median and quartiles."""

    batch: int
    n: int
    median: float
    lower_quartile: float
    upper_quartile: float


def facts_of_export(folder: Path) -> ModelFacts:
    """Raises `UserError` for what `attnas export` did not write."""
    if (folder / model_facts.NAME).is_file():
        raise UserError(f"{folder} is of `attnas retrain`; `attnas export {folder} --to DIR` makes what is measured.")
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder} holds no {CONFIG} with {WEIGHTS}: no folder that `attnas export` wrote.")
    try:
        return model_facts.checked(json.loads((folder / CONFIG).read_text(encoding="utf-8"))["attnas"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{folder / CONFIG} is none that `attnas export` wrote: {error!r}") from error


def opened(folder: Path, runtime: str, device: torch.device, precision: str, threads: int) -> Logits:
    """The export as timm loads it, or its ONNX graph in ONNX Runtime on the CPU. Raises `UserError`."""
    if runtime == "onnx":
        require_onnx("onnxruntime")
        if not (folder / ONNX).is_file():
            there_was = ONNX in sums_of(folder)
            why = "it was exported with one, which was removed" if there_was else "it was exported with --no-onnx"
            raise UserError(f"{folder} holds no {ONNX}: {why}. Export it again.")
        _require_unchanged(folder, CONFIG, ONNX)
        return runner(session(folder / ONNX, threads))
    _require_unchanged(folder, CONFIG, WEIGHTS)
    try:
        net = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    except UserError:
        raise
    except Exception as error:  # timm, torch and safetensors say in their own ways that files are damaged
        raise UserError(f"{folder} can't be loaded: {in_a_line(error)}. Export it again.") from error
    net = net.to(device, memory_format=memory_format(precision))  # type: ignore[call-overload]

    def logits(images: Tensor) -> Tensor:
        with torch.inference_mode(), autocast(precision, device):
            found: Tensor = net(images)
        return found.float()

    return logits


def _require_unchanged(folder: Path, *names: str) -> None:
    sums = sums_of(folder)
    changed = [name for name in names if name in sums and sums[name] != model_facts.sha256_of(folder / name)]
    if changed:
        raise UserError(
            f"{folder}: {' and '.join(changed)} changed since the export, says {SUMS}: numbers of it would be of "
            f"something else. Export it again, or remove {SUMS} if the change was meant."
        )


def images_at(path: Path, split: str, facts: ModelFacts) -> ImageSet:
    """What is to be measured on, as the `val` of a set: a split of what `retrain` takes, or PATH/<class>/* alone.

    Raises `UserError`, also where the classes are not the export's in its order: its answers would be counted wrong.
    """
    root = path.expanduser().resolve()
    if root.is_dir() and not (root / "train").is_dir() and not find_parquet(root):
        root = root / "val" if (root / "val").is_dir() else root
        classes, paths = list_classes(root.parent, root.name)
        part = tree_part(root.parent, classes, paths)
        images = ImageSet(f"folder:{root.name}", "", classes, part, part)
    else:
        images = image_set(path)
        images = images if split == "val" else replace(images, val=images.train)
    _require_same_classes(images, facts)
    return images


def limited(images: ImageSet, limit: int | None) -> ImageSet:
    """Of its `val` so many images, evenly spread over their order, so over the classes of a tree."""
    count = len(images.val.labels)
    if limit is None or limit >= count:
        return images
    return replace(images, val=Subset(images.val, np.arange(limit, dtype=np.int64) * count // limit))


def _require_same_classes(images: ImageSet, facts: ModelFacts) -> None:
    ours, theirs = facts.classes, images.classes
    if len(ours) == len(theirs) and (ours == theirs or _numbers(ours) or _numbers(theirs)):
        return
    if len(ours) != len(theirs):
        what = f"{len(theirs)} classes"
    elif sorted(ours) == sorted(theirs):
        what = "the same classes in another order"
    else:
        place = next(number for number, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1])
        what = f"other classes (number {place}: {theirs[place]!r} instead of {ours[place]!r})"
    raise UserError(
        f"{images.name} has {what}; allowed: the {len(ours)} of the export, by the same names in the same order."
    )


def _numbers(classes: tuple[str, ...]) -> bool:
    """Where the data have no names."""
    return classes == tuple(map(str, range(len(classes))))


def accuracy(
    logits: Logits,
    facts: ModelFacts,
    images: ImageSet,
    *,
    batch_size: int,
    workers: int,
    device: torch.device,
    layout: torch.memory_format = torch.contiguous_format,
    most_corrupt: int = 0,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Accuracy:
    """Of every image of the set's `val`, decoded and cropped as in its training.

    Raises `UserError` for corrupt ones."""
    recipe = RetrainRecipe(
        batch_size=batch_size,
        crop_pct=facts.crop_pct,
        interpolation=facts.interpolation,
        reduced_decoding=facts.reduced_decoding,
    )
    execution = Execution(device=str(device), workers=workers, most_corrupt=most_corrupt)
    batches = Batches(images, recipe, image_size=facts.image_size, seed=0, execution=execution)
    mean, std = (torch.tensor(values, device=device) for values in (facts.mean, facts.std))
    guesses = min(5, len(facts.classes))
    hits, seen = torch.zeros(guesses, dtype=torch.int64), 0
    start = time.perf_counter()
    with closing(batches.val()) as pairs:
        for pixels, labels in pairs:
            normalised = normalise(pixels.to(device, non_blocking=True), mean, std, memory_format=layout)
            best = logits(normalised).topk(guesses).indices.cpu()
            hits += (best == labels[:, None]).sum(0)
            seen += len(labels)
            on_batch(len(labels))
    if not seen:
        raise UserError(f"no image of {images.name} can be read: nothing can be measured")
    seconds = time.perf_counter() - start
    top5 = int(hits.sum()) if len(facts.classes) > 5 else None
    return Accuracy(seen, int(hits[0]), top5, len(batches.corrupt), seconds)


def speed(
    logits: Logits,
    facts: ModelFacts,
    *,
    batch: int,
    repeats: int,
    device: torch.device,
    threads: int,
    layout: torch.memory_format = torch.contiguous_format,
) -> Speed:
    """Of batches that lie on the device already, after a warm-up."""
    shape = (batch, 3, facts.image_size, facts.image_size)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device, memory_format=layout)
    seconds = repeated(lambda: logits(images), repeats=repeats, threads=threads)
    low, _, high = quantiles(seconds, n=4, method="inclusive")
    return Speed(batch, len(seconds), median(seconds), low, high)
