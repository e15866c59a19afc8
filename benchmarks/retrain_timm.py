"""One training with timm's parts alone, in the order of its own training script: what `benchmarks.retrain` compares.

Prints a JSON record an epoch: epoch, train_loss, accuracy, loss, images_per_second.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from trainers.timm_import import prepare

prepare()
from timm import create_model  # noqa: E402
from timm.data import create_dataset, create_loader  # noqa: E402
from timm.loss import LabelSmoothingCrossEntropy  # noqa: E402
from timm.optim import create_optimizer_v2  # noqa: E402
from timm.scheduler import create_scheduler_v2  # noqa: E402
from timm.utils import accuracy  # noqa: E402


def train(
    data: Path, backbone: str, *, side: int, epochs: int, batch: int, half: bool, workers: int, seed: int
) -> None:
    torch.manual_seed(seed)
    parts = ("train", "val")
    folders = {part: create_dataset("", root=str(data), split=part, is_training=part == "train") for part in parts}
    classes = len(folders["train"].reader.class_to_idx)
    layout = torch.channels_last if half else torch.contiguous_format
    net: Any = create_model(backbone, num_classes=classes).to(memory_format=layout)
    common: dict[str, Any] = {"input_size": (3, side, side), "interpolation": "bilinear", "device": torch.device("cpu")}
    common |= {"batch_size": batch, "num_workers": workers}
    crops: dict[str, Any] = {"scale": (0.35, 1.0), "ratio": (0.8, 1.25), "color_jitter": 0.0}
    loaders = {
        "train": create_loader(folders["train"], is_training=True, **crops, **common),
        "val": create_loader(folders["val"], crop_pct=0.875, **common),
    }
    optimiser = create_optimizer_v2(net, opt="sgd", lr=0.1 * batch / 256, momentum=0.9, weight_decay=1e-4)
    updates = len(loaders["train"])
    schedule, _ = create_scheduler_v2(
        optimiser, num_epochs=epochs, warmup_epochs=0, step_on_epochs=False, updates_per_epoch=updates
    )
    smoothed, step = LabelSmoothingCrossEntropy(0.1), 0
    for epoch in range(1, epochs + 1):
        net.train()
        total, seen, begin = 0.0, 0, time.perf_counter()
        for images, labels in loaders["train"]:
            with _cast(half):
                loss = smoothed(net(images.contiguous(memory_format=layout)), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
            schedule.step_update(step)
            total, seen = total + loss.item() * len(labels), seen + len(labels)
        rate = seen / (time.perf_counter() - begin)
        found = {"epoch": epoch, "train_loss": total / seen, **_measure(net, loaders["val"], half, layout)}
        print(json.dumps(found | {"images_per_second": rate}), flush=True)


@torch.inference_mode()
def _measure(net: Any, loader: Any, half: bool, layout: torch.memory_format) -> dict[str, float]:
    net.eval()
    hits, loss, seen = 0.0, 0.0, 0
    for images, labels in loader:
        with _cast(half):
            logits = net(images.contiguous(memory_format=layout)).float()
        hits += accuracy(logits, labels)[0].item() / 100 * len(labels)
        loss += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        seen += len(labels)
    return {"accuracy": hits / seen, "loss": loss / seen}


def _cast(half: bool) -> Any:
    return torch.autocast("cpu", torch.bfloat16) if half else nullcontext()


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]), sys.argv[2], **json.loads(sys.argv[3]))
