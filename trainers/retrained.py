"""Weights that a retraining left, with what they are: a folder, its `model.pt` or its `last.pt`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from search_space import AttentionDesign, Layered, UserError
from trainers import model_facts
from trainers.checkpoint import read
from trainers.environment import commit, hardware, versions
from trainers.execution import Execution
from trainers.factories import versioned
from trainers.imagenet_recipe import RetrainRecipe
from trainers.keeping import BEST, LAST
from trainers.model_facts import ModelFacts
from trainers.timm_import import prepare
from trainers.training import Training

prepare()
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD  # noqa: E402

State = dict[str, Tensor]


def facts_of(
    design: AttentionDesign | Layered, backbone: str, image_size: int, classes: tuple[str, ...], recipe: RetrainRecipe
) -> ModelFacts:
    """Of a network as the recipe starts it, with the weights of seed 0; untrained."""
    return ModelFacts(
        design=str(design),
        key=design.key,
        backbone=versioned(backbone),
        image_size=image_size,
        classes=classes,
        scale=recipe.scale,
        gate_start=recipe.gate_start,
        crop_pct=recipe.crop_pct,
        interpolation=recipe.interpolation,
        reduced_decoding=recipe.reduced_decoding,
        mean=tuple(IMAGENET_DEFAULT_MEAN),
        std=tuple(IMAGENET_DEFAULT_STD),
        seed=0,
    )


def facts_of_training(training: Training, execution: Execution) -> ModelFacts:
    """Of a retraining as it is carried out (settled), for `model_facts.write`."""
    images, recipe = training.images, training.recipe
    return replace(
        facts_of(training.design, training.backbone, training.image_size, images.classes, recipe),
        seed=training.seed,
        identity=training.identity,
        precision=execution.precision,
        recipe={"name": recipe.name, "hash": recipe.hash, "epochs": recipe.epochs, **recipe.content},
        data={
            "name": images.name,
            "content_hash": images.content_hash,
            "train_images": len(images.train.labels),
            "val_images": len(images.val.labels),
        },
        environment={
            "hardware": hardware(execution.place),
            "processes": execution.processes.world,
            "accumulate": execution.accumulate,
            "norm_batch": execution.norm_batch(recipe),
            "commit": commit(),
            **versions(),
        },
    )


def retrained(path: Path) -> tuple[ModelFacts, State]:
    """Facts and weights of a folder (its `model.pt`, else its `last.pt`) or of either file; nothing in it is executed.

    Of a `last.pt` the averaged weights, where the recipe has them, as a training measures and keeps them. Raises
    `UserError` for what is damaged, foreign, or not what `model.json` beside it is about.
    """
    if path.is_dir():
        found = [path / name for name in (model_facts.WEIGHTS, LAST) if (path / name).is_file()]
        if not found:
            raise UserError(f"{path} holds neither model.pt nor last.pt: no folder of a retraining.")
        path = found[0]
    if path.suffix != ".pt":
        raise UserError(f"{path} is no checkpoint of a retraining; allowed: its folder, model.pt or last.pt.")
    facts = model_facts.read(path.parent / model_facts.NAME)
    try:
        content = read(path)
    except Exception as error:  # a damaged file makes the readers raise almost anything
        raise _foreign(path, error) from error
    if "identity" in content:
        return _of_checkpoint(path, facts, content)
    if facts.weights_sha256 != model_facts.sha256_of(path):
        why = "its training has not ended" if facts.weights_sha256 is None else "it was changed, or is another one"
        raise UserError(
            f"{path} is not the file that {model_facts.NAME} beside it is about: {why}. Give the last.pt of the "
            "training, or the same `attnas retrain` again, which writes both."
        )
    return facts, _tensors(path, content)


def _of_checkpoint(path: Path, facts: ModelFacts, content: dict[str, Any]) -> tuple[ModelFacts, State]:
    if content["identity"] != facts.identity:
        raise UserError(
            f"{path} is the checkpoint of another run than {model_facts.NAME} beside it is about:\n"
            f"  there: {content['identity']}\n  {model_facts.NAME}: {facts.identity}"
        )
    try:
        later = content.get("updates")  # than the last measurement
        facts = replace(facts, measured=None) if later else facts.with_last(content["curves"])
        reached = {"epochs": len(content["curves"]), "updates": int(later or 0), "chosen": path.name == BEST}
        facts = replace(facts, reached=reached)
        weights = content["average"] if content.get("average") is not None else content["model"]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise _foreign(path, error) from error
    return facts, _tensors(path, weights)


def _foreign(path: Path, error: Exception) -> UserError:
    why = str(error).partition("\n")[0]
    return UserError(f"{path} is damaged or is no checkpoint of `attnas retrain` ({why}). Nothing of it was used.")


def _tensors(path: Path, weights: Any) -> State:
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise _foreign(path, ValueError("no state dict of tensors"))
    return weights
