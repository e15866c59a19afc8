"""What an update of a retraining is measured by: images mixed, then a loss. All of it timm's."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from trainers.image_batches import derived_seed, reproducible
from trainers.imagenet_recipe import RetrainRecipe
from trainers.timm_import import prepare

prepare()
from timm.data import Mixup  # noqa: E402
from timm.loss import BinaryCrossEntropy  # noqa: E402

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of logits [B, C] and classes [B] or their shares [B, C]."""


class Mixing:
    """Mixup and CutMix, one or the other a batch (Zhang et al. 2018, Yun et al. 2019); none where a recipe has none."""

    def __init__(self, recipe: RetrainRecipe, classes: int, seed: int) -> None:
        self.seed = seed
        self._mixup = None
        if recipe.mixup or recipe.cutmix:
            smoothing = recipe.label_smoothing
            self._mixup = Mixup(recipe.mixup, recipe.cutmix, label_smoothing=smoothing, num_classes=classes)

    def __call__(self, images: Tensor, labels: Tensor, step: int, batch: int = 0) -> tuple[Tensor, Tensor]:
        """Images [B, 3, S, S], B even, and classes [B] of a batch of an update, mixed as seed, step and batch say; the
        images in place."""
        if self._mixup is None:
            return images, labels
        with reproducible(derived_seed(self.seed, step, 2, batch)):
            mixed, shares = self._mixup(images, labels)
        return mixed, shares


def loss_of(recipe: RetrainRecipe) -> Loss:
    """Labels that were mixed are smoothed already."""
    if recipe.loss == "bce":
        bce: Loss = BinaryCrossEntropy(recipe.label_smoothing, target_threshold=recipe.bce_threshold)
        return bce
    smoothing = 0.0 if recipe.mixup or recipe.cutmix else recipe.label_smoothing
    return lambda logits, labels: F.cross_entropy(logits, labels, label_smoothing=smoothing)
