"""One small retraining and its export, for the tests of what is taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from retrain_tree import carried_out, make_tree
from torch import Tensor, nn

from search_space import find_design
from trainers import backbone
from trainers.image_set import image_set
from trainers.imagenet import RetrainRecipe, retrain

RECIPE = RetrainRecipe(name="short", epochs=2, batch_size=8, learning_rate=0.1, ema=0.5, reduced_decoding=True)
FOLDER = "dct-top16_mlp-r16-resnet8-0"


def train(root: Path, output: Path, design: str = "fca-ts", **options: Any) -> Path:
    """A retraining on the tree `root/pets`, which is made if it is not there; its folder."""
    tree = root / "pets"
    if not tree.exists():
        make_tree(tree)
    fixed: dict[str, Any] = {"backbone": "resnet8", "image_size": 32, "recipe": RECIPE}
    outcome = retrain(find_design(design), image_set(tree), output=output, **carried_out(fixed | options))
    assert outcome.status == "complete", outcome.error
    return output


def as_trained(folder: Path, design: str = "fca-ts") -> nn.Module:
    """The network that the training left, without anything of the export."""
    net = backbone("resnet8", find_design(design), num_classes=6, scale=RECIPE.scale, gate_start=RECIPE.gate_start)
    net.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    return net.eval()


def images(batch: int) -> Tensor:
    return torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(batch))


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)
