"""Do squeezes differ on `synthetic`, and do permuted labels give chance? Writes benchmarks/synthetic_squeezes.md.

    python benchmarks/synthetic_squeezes.py [--seeds 5] [--epochs 3]

Oracle of the first: a difference of means above three standard errors over the seeds. Of the second: 1 / classes.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import mean, stdev

import torch

from search_space import AttentionDesign, find_design
from trainers import SMOKE, ImageData, Recipe, load_data, train
from trainers.data import Split
from trainers.environment import commit, hardware, pick_device

SQUEEZES = ("avg", "max", "std", "energy", "dct-top16", "haar-d2-all", "haar-d2-all-energy")
EXCITATION = "pfca"  # one for all, without weights that could make up for the squeeze: what differs is the squeeze


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--epochs", type=int, default=SMOKE.epochs)
    arguments.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    options = arguments.parse_args()
    recipe = SMOKE.changed(epochs=options.epochs)
    data = load_data("synthetic")
    arms = {f"{squeeze}/{EXCITATION}": find_design(f"{squeeze}/{EXCITATION}") for squeeze in SQUEEZES}
    arms = {"none": find_design("none")} | arms
    found = {name: accuracies(design, data, recipe, options.seeds) for name, design in arms.items()}
    permuted = accuracies(arms[f"avg/{EXCITATION}"], with_permuted_labels(data), recipe, options.seeds)
    text = report(found, permuted, data, recipe, options)
    options.output.write_text(text, encoding="utf-8")
    print(text)


def accuracies(design: AttentionDesign, data: ImageData, recipe: Recipe, seeds: int) -> list[float]:
    found = []
    for seed in range(seeds):
        outcome = train(design, data, backbone="resnet8", recipe=recipe, seed=seed)
        assert outcome.accuracy is not None, outcome.error
        found.append(outcome.accuracy)
    return found


def with_permuted_labels(data: ImageData) -> ImageData:
    order = torch.randperm(len(data.train.labels), generator=torch.Generator().manual_seed(0))
    return replace(data, train=Split(data.train.images, data.train.labels[order]))


def report(
    found: dict[str, list[float]],
    permuted: list[float],
    data: ImageData,
    recipe: Recipe,
    options: argparse.Namespace,
) -> str:
    n, chance = options.seeds, 1 / data.num_classes
    gaps = {
        (a, b): abs(mean(found[a]) - mean(found[b])) / ((stdev(found[a]) ** 2 + stdev(found[b]) ** 2) / n) ** 0.5
        for a, b in combinations(found, 2)
    }
    (first, second), widest = max(gaps.items(), key=lambda item: item[1])
    images = n * len(data.validation)
    off = (mean(permuted) - chance) / (chance * (1 - chance) / images) ** 0.5
    lines = [
        "# Squeezes on `synthetic`",
        "",
        f"Synthetic textures, {data.num_classes} classes, 32 px, validation split; ResNet-8, recipe {recipe.name} "
        f"({recipe.hash}), {recipe.epochs} epochs, n = {n} seeds an arm.",
        f"{hardware(pick_device())}, precision measured per process, commit {commit()}.",
        f"`python benchmarks/synthetic_squeezes.py --seeds {n} --epochs {recipe.epochs}`",
        "",
        "| design | accuracy %, mean | sd |",
        "|---|---|---|",
        *(f"| `{name}` | {100 * mean(values):.2f} | {100 * stdev(values):.2f} |" for name, values in found.items()),
        f"| `avg/{EXCITATION}`, labels permuted | {100 * mean(permuted):.2f} | {100 * stdev(permuted):.2f} |",
        "",
        f"Widest gap: `{first}` against `{second}`, {widest:.1f} standard errors; "
        f"{sum(gap > 3 for gap in gaps.values())} of {len(gaps)} pairs are more than 3 apart.",
        f"Permuted labels: chance is {100 * chance:.2f} %; the mean is {off:+.1f} standard errors from it "
        f"(binomial, {images:,} answers).",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
