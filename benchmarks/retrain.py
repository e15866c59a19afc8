"""Retraining beside timm's own: the same network, recipe, images and machine, in turn. Writes benchmarks/retrain.md.

python -m benchmarks.retrain --data PATH [--backbone regnetx_002] [--epochs 2] [--repeats 3] [--output FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.tables import commit, machine, write

SIDES = {"timm": "timm's loader, optimiser, schedule and loss", "attnas": "`attnas retrain`"}


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.retrain", description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--backbone", default="regnetx_002")
    arguments.add_argument("--image-size", type=int, default=64)
    arguments.add_argument("--epochs", type=int, default=2)
    arguments.add_argument("--batch-size", type=int, default=128)
    arguments.add_argument("--float32", action="store_true", help="instead of bfloat16 and channels_last")
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    options = arguments.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for seed in range(options.repeats):
        for side in list(SIDES) if seed % 2 else list(SIDES)[::-1]:  # neither always runs first
            runs[side].append(_run(side, options, seed))
            print(side, seed, json.dumps(runs[side][-1]), file=sys.stderr, flush=True)
    write(options.output, _report(runs, options))


def _run(side: str, options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """The epochs of one training in a process of its own, and the most memory that it had."""
    with tempfile.TemporaryDirectory() as folder:
        if side == "timm":
            how = {"side": options.image_size, "epochs": options.epochs, "batch": options.batch_size}
            how |= {"half": not options.float32, "workers": 1, "seed": seed}
            words = ["benchmarks.retrain_timm", options.data, options.backbone, json.dumps(how)]
        else:
            words = ["search", "retrain", "none", "--data", options.data, "--backbone", options.backbone]
            words += ["--image-size", options.image_size, "--epochs", options.epochs]
            words += ["--batch-size", options.batch_size, "--set", "warmup_epochs=0", "--set", "crop_area=0.35"]
            words += ["--workers", 1, "--threads", 1, "--seed", seed]
            words += ["--precision", "float32" if options.float32 else "bfloat16", "--device", "cpu"]
            words += ["--storage", f"sqlite:///{folder}/rows.db", "--output", folder]
        command = [sys.executable, "-m", *map(str, words)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment()) as process:
            assert process.stdout is not None
            said = process.stdout.read().decode()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, (side, said)
        return {"epochs": _epochs(side, said, Path(folder)), "memory": used.ru_maxrss * 1024}


def _epochs(side: str, said: str, folder: Path) -> list[dict[str, float]]:
    if side == "timm":
        return [json.loads(line) for line in said.splitlines()]
    table = next(folder.glob("*/epochs.csv")).read_text().splitlines()
    names = table[0].split(",")
    return [dict(zip(names, map(float, line.split(",")), strict=True)) for line in table[1:]]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}


def _report(runs: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> str:
    rates = {side: [each["images_per_second"] for run in runs[side] for each in run["epochs"]] for side in SIDES}
    pairs = zip(runs["attnas"], runs["timm"], strict=True)
    ratios = [_median_rate(ours) / _median_rate(theirs) for ours, theirs in pairs]
    memory = {side: [run["memory"] / 2**20 for run in runs[side]] for side in SIDES}
    facts = [
        f"| {words} | {_spread(rates[side], '.0f')} | {_spread(memory[side], ',.0f')} |"
        for side, words in SIDES.items()
    ]
    curve = [
        f"| {words} | {epoch + 1} | "
        + " | ".join(
            _spread([run["epochs"][epoch][name] * factor for run in runs[side]], ".3f" if factor == 1 else ".2f")
            for name, factor in (("train_loss", 1), ("loss", 1), ("accuracy", 100))
        )
        + " |"
        for side, words in SIDES.items()
        for epoch in range(options.epochs)
    ]
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm", "torchvision"))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    half = "float32" if options.float32 else "bfloat16, channels_last"
    return f"""# Retraining beside timm's own training

The network `{options.backbone}` without attention on {options.data.name} at {options.image_size} px, recipe `fca` with
batch {options.batch_size}, crops of at least 0.35 of an image and no warm-up, {options.epochs} epochs, {half}; one
thread that trains and one process that decodes. timm's side ([retrain_timm.py](retrain_timm.py)) is made of timm's
functions in the order of its training script. {options.repeats} seeds each, in turn; median (least to most).

{machine()}, {packages}; commit `{commit()}`, {date.today()}; load average at the end {load}. Made by
`python -m benchmarks.retrain --data {options.data.name}`.

| | images a second, training | memory of the largest process, MiB |
| --- | --- | --- |
{chr(10).join(facts)}

Ratio of attnas to timm in images a second, by pairs: {_spread(ratios, ".2f")}.

| | epoch | training loss | loss on `val` | top-1 on `val`, % |
| --- | --- | --- | --- | --- |
{chr(10).join(curve)}
"""


def _median_rate(run: dict[str, Any]) -> float:
    return statistics.median(epoch["images_per_second"] for epoch in run["epochs"])


def _spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


if __name__ == "__main__":
    main()
