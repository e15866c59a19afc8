"""What a retraining trains, as one value: a design with a seed, in a backbone, on images, by a recipe."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from search_space import AttentionDesign, Layered, UserError
from trainers.backbones import initialised
from trainers.factories import versioned
from trainers.image_set import ImageSet
from trainers.imagenet_recipe import RetrainRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Raises `UserError` if there are fewer images than a batch has."""

    design: AttentionDesign | Layered
    images: ImageSet
    backbone: str
    image_size: int
    recipe: RetrainRecipe
    seed: int

    def __post_init__(self) -> None:
        number = len(self.images.train.labels)
        if number < self.recipe.batch_size:
            given = f"{self.recipe.batch_size} with {number} training images of {self.images.name}"
            raise UserError(f"batch size: {given}; allowed: at most the number of images.")

    @property
    def identity(self) -> str:
        """What makes two trainings one. Not the workers and not the device: they change no image."""
        images, recipe = self.images, self.recipe
        data = f"{images.name} ({images.content_hash[:24]}, {len(images.classes)} classes)"
        trained = (
            f"recipe {recipe.name} {recipe.hash}, {recipe.epochs} epochs, "
            f"batch {recipe.batch_size}, peak {recipe.peak:g}"
        )
        where = f"{versioned(self.backbone)} at {self.image_size} px"
        return f"{self.design} in {where} on {data}, {trained}, seed {self.seed}"

    def network(self) -> nn.Module:
        """With the weights that the seed draws."""
        return initialised(
            self.backbone,
            self.design,
            self.recipe,
            seed=self.seed,
            num_classes=len(self.images.classes),
            image_size=self.image_size,
            drop_path=self.recipe.drop_path,
        )
