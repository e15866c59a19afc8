"""How a retraining is carried out by the machine at hand.

Nothing here makes it another training to go on with. Batch norm, Mixup and CutMix see one batch at a time, so that
`accumulate`, the number of processes and `sync_norm` change numbers: each epoch's record has the `norm_batch`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from search_space.errors import UserError
from trainers.environment import pick_device
from trainers.imagenet_recipe import RetrainRecipe
from trainers.precision import PRECISIONS, check_precision
from trainers.processes import ALONE, Processes
from trainers.ways import pick_precision

FULL_PRECISIONS = (*PRECISIONS, "float16", "float64")
"""float16 is autocast with a scaled loss; float64, plain, is for comparing what should be equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """`accumulate` batches, one after the other in each of `processes`, make an update of the recipe's batch size.

    `workers` decode images, in each process. Up to `most_corrupt` images that can't be read are left out. The last
    `keep` checkpoints stay, and the best. With `sync_norm` batch norm sees the batches of all processes as one.
    """

    device: str | None = None
    precision: str = "auto"
    workers: int = 4
    accumulate: int = 1
    sync_norm: bool = False
    compiled: bool = False
    deterministic: bool = False
    most_corrupt: int = 0
    keep: int = 2
    processes: Processes = ALONE

    @property
    def place(self) -> torch.device:
        return pick_device(self.device)

    def micro(self, recipe: RetrainRecipe) -> int:
        """Images of a batch, of which `accumulate` in every process make an update."""
        return recipe.batch_size // self.parts

    def norm_batch(self, recipe: RetrainRecipe) -> int:
        """Images that batch norm sees together."""
        return self.micro(recipe) * (self.processes.world if self.sync_norm else 1)

    @property
    def parts(self) -> int:
        return self.accumulate * self.processes.world

    def check(self, recipe: RetrainRecipe) -> None:
        """Raises `UserError` if the recipe can't be carried out so."""
        if self.workers < 0:
            raise UserError(f"workers: {self.workers} given; allowed: 0 (decode in the training process) or more.")
        check_precision(self.precision, FULL_PRECISIONS)
        mixes = bool(recipe.mixup or recipe.cutmix)
        least = 2  # batch norm needs as many, and mixing a pair
        if recipe.batch_size % self.parts or self.micro(recipe) < least or (mixes and self.micro(recipe) % 2):
            shares = (
                f"{recipe.batch_size} over {self.processes.world} x {self.accumulate} batches (processes x accumulate)"
            )
            needed = "an even number of images, as they are mixed by pairs" if mixes else "2 images or more"
            raise UserError(f"batch size: {shares} given; allowed: what gives each of them the same, and {needed}.")
        if self.sync_norm and self.place.type != "cuda":
            raise UserError(
                f"synchronised batch norm: given on {self.place.type}; allowed: on cuda, where PyTorch has it."
            )

    def settled(self, saved_precision: str | None) -> Execution:
        """With the device and the precision that it comes to, the same in all processes."""
        chosen = saved_precision
        if chosen is None:
            plain = self.precision in FULL_PRECISIONS
            chosen = self.precision if plain else self.processes.share(pick_precision("auto", self.place))
        return replace(self, device=str(self.place), precision=chosen)

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """PyTorch set to the same results every time, or to the fastest kernels, as long as the block lasts."""
        strict, cudnn = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn
        before = cudnn.benchmark, cudnn.deterministic
        if self.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else CUDA's matrix products refuse to run
            torch.use_deterministic_algorithms(True)
        cudnn.benchmark, cudnn.deterministic = not self.deterministic, self.deterministic
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict)
            cudnn.benchmark, cudnn.deterministic = before
