"""The recipe of a retraining: its values, its schedule, its hash."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from retrain_tree import make_tree

from search_space import UserError, find_design
from trainers import backbone
from trainers.execution import Execution
from trainers.image_batches import Batches
from trainers.image_set import image_set
from trainers.imagenet import RetrainRecipe
from trainers.imagenet_loss import Loss, Mixing, loss_of
from trainers.imagenet_recipe import RETRAIN_RECIPES
from trainers.imagenet_run import Run
from trainers.recipe import RecipeError


def run_of(tree: Path, recipe: RetrainRecipe) -> Run:
    """24 training images."""
    facts = image_set(tree)
    net = backbone("resnet8", find_design("se"), num_classes=6)
    batches = Batches(facts, recipe, image_size=32, seed=0, execution=Execution(device="cpu", workers=0))
    return Run(net, batches, recipe=recipe, seed=0, execution=Execution(device="cpu", precision="float32"))


def test_fca_is_as_published() -> None:
    """Oracle: main.py of cfzd/FcaNet (defaults, HybridTrainPipe, val_size 256) and the paper, section 4.1."""
    recipe = RETRAIN_RECIPES["fca"]
    assert (recipe.epochs, recipe.batch_size, recipe.peak, recipe.momentum) == (100, 256, 0.1, 0.9)
    assert (recipe.weight_decay, recipe.label_smoothing, recipe.warmup_epochs) == (1e-4, 0.1, 5)
    assert (recipe.crop_area, recipe.crop_aspect, recipe.crop_pct) == (0.1, 1.25, 224 / 256)
    assert (recipe.gate_start, recipe.scale, recipe.optimiser, recipe.loss) == ("paper", "paper", "sgd", "ce")


@pytest.mark.parametrize(
    "name, epochs, rate, train, smoothing, drop_path, repeats, policy",
    [
        ("rsb-a2", 300, 5e-3, 224, 0.0, 0.05, 3, "rand-m7-mstd0.5-inc1"),
        ("rsb-a3", 100, 8e-3, 160, 0.0, 0.0, 1, "rand-m6-mstd0.5-inc1"),
    ],
)
def test_the_procedures_of_resnet_strikes_back_are_as_published(
    name: str, epochs: int, rate: float, train: int, smoothing: float, drop_path: float, repeats: int, policy: str
) -> None:
    """Oracle: Wightman, Touvron and Jegou 2021, table 2, columns A2 and A3."""
    recipe = RETRAIN_RECIPES[name]
    assert (recipe.epochs, recipe.batch_size, recipe.optimiser, recipe.peak) == (epochs, 2048, "lamb", rate)
    assert (recipe.weight_decay, recipe.warmup_epochs, recipe.loss) == (0.02, 5, "bce")
    assert (recipe.train_size(224), recipe.crop_pct, recipe.mirror) == (train, 0.95, True)
    assert (recipe.label_smoothing, recipe.drop_path, recipe.repeats) == (smoothing, drop_path, repeats)
    assert (recipe.auto_augment, recipe.mixup, recipe.cutmix) == (policy, 0.1, 1.0)


def test_rates_grow_by_the_batch_or_by_its_root() -> None:
    assert replace(RETRAIN_RECIPES["rsb-a3"], batch_size=512).peak == pytest.approx(8e-3 / 2)
    assert replace(RETRAIN_RECIPES["rsb-a3"], batch_size=512, rate_rule="linear").peak == pytest.approx(8e-3 / 4)
    assert replace(RETRAIN_RECIPES["rsb-a3"], batch_size=512, rate_rule="none").peak == 8e-3


def test_recipes_that_come_to_one_rate_are_one_recipe() -> None:
    """0.1 at 256 by the linear rule is 0.4 at 1024."""
    ruled = RetrainRecipe(batch_size=1024)
    others = [RetrainRecipe(batch_size=1024, base_rate=0.4, base_batch=1024), replace(ruled, learning_rate=0.4)]
    assert {recipe.hash for recipe in others} == {ruled.hash}
    assert {str(recipe.content) for recipe in others} == {str(ruled.content)}


def test_recipes_of_different_names_have_different_hashes() -> None:
    assert len({recipe.hash for recipe in RETRAIN_RECIPES.values()}) == len(RETRAIN_RECIPES) == 4


def test_fields_are_set_by_text_and_refused_by_name() -> None:
    changed = RETRAIN_RECIPES["fca"].changed(["mixup=0.2", "mirror=false", "auto_augment=rand-m9", "learning_rate=0.3"])
    assert (changed.mixup, changed.mirror, changed.auto_augment, changed.peak) == (0.2, False, "rand-m9", 0.3)
    for text, said in (("mixup=x", "'x' is not a float"), ("mixdown=1", "FIELD=VALUE with one of the fields epochs")):
        with pytest.raises(RecipeError, match=said):
            RETRAIN_RECIPES["fca"].changed([text])


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
        "reduced_decoding": True,
        "optimiser": "lamb",
        "loss": "bce",
        "bce_threshold": 0.1,
        "mixup": 0.2,
        "cutmix": 0.5,
        "train_fraction": 0.5,
        "interpolation": "bicubic",
        "auto_augment": "rand-m6-mstd0.5-inc1",
        "repeats": 2,
        "drop_path": 0.1,
        "ema": 0.9,
        "gate_start": "identity",
        "scale": "unit",
    }
    assert changes.keys() == RetrainRecipe.__dataclass_fields__.keys() - {
        "epochs",
        "name",
        "base_rate",
        "base_batch",
        "rate_rule",
    }
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
        ("optimiser", "magic"),
        ("loss", "l2"),
        ("rate_rule", "cubic"),
        ("ema", 1.0),
        ("repeats", 0),
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


def some_images() -> torch.Tensor:
    return torch.randint(256, (8, 3, 32, 32), dtype=torch.uint8)


def test_the_training_loss_is_smoothed(tmp_path: Path) -> None:
    """Oracle: the equation of Szegedy et al. 2016, section 7, with epsilon = 0.1 over six classes."""
    run = run_of(make_tree(tmp_path / "tree"), RetrainRecipe(batch_size=8))
    images, labels = some_images(), torch.arange(8) % 6
    log_p = run.net(run._input(images)).log_softmax(1)  # in training mode, as the update itself
    target = torch.full((8, 6), 0.1 / 6) + 0.9 * torch.eye(6)[labels]
    assert run.update([(images, labels)]).item() == pytest.approx(-(target * log_p).sum(1).mean().item(), rel=1e-5)


def parts_of(recipe: RetrainRecipe, classes: int = 6) -> tuple[Mixing, Loss]:
    return Mixing(recipe, classes, seed=0), loss_of(recipe)


def test_the_binary_loss_takes_what_mixing_left_above_the_threshold_for_there() -> None:
    """Oracle: the definition written out, with targets of 1 where a class has more than a fifth of the image."""
    mixing, loss = parts_of(replace(RETRAIN_RECIPES["rsb-a3"], batch_size=8))
    labels = torch.arange(8) % 6
    _, shares = mixing(torch.randn(8, 3, 32, 32), labels, step=4)
    assert torch.allclose(shares.sum(1), torch.ones(8)) and shares.shape == (8, 6)
    logits = torch.randn(8, 6)
    there = (shares > 0.2).float()
    p = logits.sigmoid()
    expected = -(there * p.log() + (1 - there) * (1 - p).log()).mean()
    assert loss(logits, shares).item() == pytest.approx(expected.item(), rel=1e-5)


def test_mixing_follows_from_seed_and_step_and_leaves_the_callers_random_numbers_alone() -> None:
    mixing, _ = parts_of(RetrainRecipe(mixup=0.2, cutmix=1.0))
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8) % 6
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    first, again, other = (mixing(images.clone(), labels, step)[0] for step in (5, 5, 6))
    assert np.random.random() == expected
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_without_mixing_images_and_labels_stay(tmp_path: Path) -> None:
    mixing, _ = parts_of(RetrainRecipe())
    images, labels = torch.randn(7, 3, 8, 8), torch.arange(7)
    assert mixing(images, labels, 0) == (images, labels)


def test_the_average_of_weights_follows_its_equation(tmp_path: Path) -> None:
    """Oracle: average = decay * average + (1 - decay) * weights after each update, from those of the first one on."""
    run = run_of(make_tree(tmp_path / "tree"), RetrainRecipe(batch_size=8, ema=0.75))
    weight = run.net.head.weight  # type: ignore[union-attr]
    run.update([(some_images(), torch.arange(8) % 6)])
    expected = weight.detach().clone()
    for _ in range(3):
        run.update([(some_images(), torch.arange(8) % 6)])
        expected = 0.75 * expected + 0.25 * weight.detach()
    assert torch.allclose(run.measured.head.weight, expected, atol=1e-7)  # type: ignore[union-attr,arg-type]


def test_lamb_is_timms_and_has_no_momentum_of_its_own(tmp_path: Path) -> None:
    run = run_of(make_tree(tmp_path / "tree"), RetrainRecipe(batch_size=8, optimiser="lamb"))
    assert type(run.optimiser).__name__ == "Lamb" and "momentum" not in run.optimiser.param_groups[0]


def test_repeated_augmentation_shows_a_third_of_the_images_three_times_in_three_ways(tmp_path: Path) -> None:
    images = image_set(make_tree(tmp_path / "tree"))
    recipe = RetrainRecipe(batch_size=8, repeats=3)
    batches = Batches(images, recipe, image_size=32, seed=0, execution=Execution(device="cpu", workers=0))
    order = batches.order(1)
    assert len(order) == 24 and len({number % 24 for number in order}) == 8 and len(set(order)) == 24
    views = batches.augmented(1)
    first, second = (views[number] for number in order[:2])
    assert not torch.equal(first[0], second[0]) and first[1] == second[1]


def test_stochastic_depth_is_timms_and_refused_where_there_is_none() -> None:
    net = backbone("resnet18", num_classes=4, drop_path=0.1)
    rates = [module.drop_prob for module in net.modules() if type(module).__name__ == "DropPath"]
    assert max(rates) == pytest.approx(0.1)
    with pytest.raises(UserError, match=r"resnet20.*drop_path 0\.1 given; allowed: 0"):
        backbone("resnet20", num_classes=4, drop_path=0.1)
