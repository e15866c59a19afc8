"""The recipe of a retraining: its values, its schedule, its hash."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from retrain_tree import make_tree

from search_space import find_design
from trainers import backbone
from trainers.image_batches import Batches
from trainers.image_set import image_set
from trainers.imagenet import RetrainRecipe
from trainers.imagenet_run import Run
from trainers.recipe import RecipeError


def run_of(tree: Path, recipe: RetrainRecipe) -> Run:
    """24 training images."""
    facts = image_set(tree)
    net = backbone("resnet8", find_design("se"), num_classes=6)
    batches = Batches(facts, recipe, image_size=32, seed=0, workers=0, pinned=False)
    return Run(net, batches, recipe=recipe, seed=0, device=torch.device("cpu"), precision="float32")


def test_the_published_values_are_the_defaults() -> None:
    """Oracle: main.py of cfzd/FcaNet (defaults, HybridTrainPipe, val_size 256) and the paper, section 4.1."""
    recipe = RetrainRecipe()
    assert (recipe.epochs, recipe.batch_size, recipe.peak, recipe.momentum) == (100, 256, 0.1, 0.9)
    assert (recipe.weight_decay, recipe.label_smoothing, recipe.warmup_epochs) == (1e-4, 0.1, 5)
    assert (recipe.crop_area, recipe.crop_aspect, recipe.crop_pct) == (0.1, 1.25, 224 / 256)
    assert (recipe.name, recipe.gate_start, recipe.scale) == ("imagenet", "paper", "paper")


def test_the_learning_rate_scales_with_the_batch() -> None:
    assert RetrainRecipe(batch_size=1024).peak == 0.4
    assert RetrainRecipe(batch_size=1024, learning_rate=0.3).peak == 0.3


def test_the_hash_covers_everything_but_the_epochs() -> None:
    recipe = RetrainRecipe()
    assert recipe.hash == replace(recipe, epochs=3).hash == replace(recipe, learning_rate=0.1).hash
    changes = {
        "batch_size": 128,
        "learning_rate": 0.2,
        "momentum": 0.8,
        "nesterov": False,
        "weight_decay": 0.0,
        "decay_norms": True,
        "warmup_epochs": 3,
        "label_smoothing": 0.0,
        "crop_area": 0.08,
        "crop_aspect": 1.3,
        "mirror": False,
        "crop_pct": 1.0,
        "reduced_decoding": False,
        "gate_start": "identity",
        "scale": "unit",
    }
    assert changes.keys() == RetrainRecipe.__dataclass_fields__.keys() - {"epochs", "name"}
    hashes = {replace(recipe, **{field: value}).hash for field, value in changes.items()}  # type: ignore[arg-type]
    assert len(hashes | {recipe.hash}) == len(changes) + 1


@pytest.mark.parametrize(
    "field, value",
    [
        ("epochs", 0),
        ("batch_size", 1),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("label_smoothing", 1.0),
        ("crop_pct", 0.0),
        ("crop_aspect", 0.5),
        ("scale", "big"),
    ],
)
def test_a_value_that_makes_no_training_is_refused_by_its_field(field: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"{field}.*{value!r} given; allowed"):
        RetrainRecipe(**{field: value})  # type: ignore[arg-type]


def test_the_warm_up_is_five_epochs_but_at_most_a_fifth() -> None:
    assert RetrainRecipe().warmup_steps(5000) == 25_000
    assert RetrainRecipe(epochs=10).warmup_steps(5000) == 10_000


def test_the_rate_rises_linearly_and_falls_as_a_cosine_to_a_last_useful_update(tmp_path: Path) -> None:
    """Oracle: FcaNet's utils/utils.py written out: peak k / W, then peak (1 + cos(pi j / T)) / 2. Theirs ends on a
    rate of zero, an update without effect; here T is one longer."""
    recipe = RetrainRecipe(epochs=10, batch_size=8, learning_rate=0.5)  # 3 updates an epoch, 6 of 30 warm up
    run = run_of(make_tree(tmp_path / "tree"), recipe)
    rates = []
    for step in range(30):
        run.schedule.step_update(step + 1)
        rates.append(run.optimiser.param_groups[0]["lr"])
    rising = [0.5 * k / 6 for k in range(1, 7)]
    falling = [0.5 * (1 + math.cos(math.pi * j / 25)) / 2 for j in range(1, 25)]
    assert rates == pytest.approx(rising + falling)
    assert rates[-1] > 0


def test_a_training_of_one_update_has_a_rate(tmp_path: Path) -> None:
    recipe = RetrainRecipe(epochs=1, batch_size=24)
    run = run_of(make_tree(tmp_path / "tree"), recipe)
    run.schedule.step_update(1)
    assert run.optimiser.param_groups[0]["lr"] > 0


def test_norms_and_biases_do_not_decay_unless_asked(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    groups = run_of(tree, RetrainRecipe(batch_size=8)).optimiser.param_groups
    assert {group["weight_decay"]: {p.ndim > 1 for p in group["params"]} for group in groups} == {
        0.0: {False},
        1e-4: {True},
    }
    assert all(group["nesterov"] and group["momentum"] == 0.9 for group in groups)
    everything = run_of(tree, RetrainRecipe(batch_size=8, decay_norms=True, nesterov=False)).optimiser.param_groups
    assert [(group["weight_decay"], group["nesterov"]) for group in everything] == [(1e-4, False)]


def test_the_training_loss_is_smoothed(tmp_path: Path) -> None:
    """Oracle: the equation of Szegedy et al. 2016, section 7, with epsilon = 0.1 over six classes."""
    run = run_of(make_tree(tmp_path / "tree"), RetrainRecipe(batch_size=8))
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8) % 6
    log_p = run.net(images).log_softmax(1)  # in training mode, as the step itself
    target = torch.full((8, 6), 0.1 / 6) + 0.9 * torch.eye(6)[labels]
    assert run._train_step(images, labels).item() == pytest.approx(-(target * log_p).sum(1).mean().item(), rel=1e-5)
