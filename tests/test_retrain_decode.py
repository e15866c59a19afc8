"""Decoding one image: timm's own transforms and Pillow are the oracles."""

from __future__ import annotations

import io
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

from trainers.image_batches import reproducible
from trainers.image_decode import ImageError, View, augmenting, central, decoded
from trainers.imagenet import RetrainRecipe

RECIPE = RetrainRecipe()
FULL = replace(RECIPE, reduced_decoding=False)


def photograph(width: int, height: int, format: str = "JPEG") -> bytes:
    """Smooth colours with edges: what a JPEG is for."""
    y, x = np.mgrid[:height, :width] / 40
    pixels = np.stack([np.sin(x) + np.cos(y), np.sin(x * y / 3), np.sign(np.sin(x + y))], axis=-1)
    buffer = io.BytesIO()
    Image.fromarray((127 + 60 * pixels).clip(0, 255).astype(np.uint8)).save(buffer, format, quality=95)
    return buffer.getvalue()


def seeded(view: View, content: bytes, seed: int = 0) -> torch.Tensor:
    with reproducible(seed):
        return view(content)


@pytest.mark.parametrize("recipe", [RECIPE, FULL], ids=["reduced", "full"])
@pytest.mark.parametrize("seed", range(5))
def test_an_image_without_pixels_to_spare_is_what_timm_makes_of_it(recipe: RetrainRecipe, seed: int) -> None:
    content = photograph(60, 50)
    theirs = create_transform(
        48, is_training=True, scale=(0.1, 1.0), ratio=(1 / 1.25, 1.25), color_jitter=None, normalize=False
    )
    with reproducible(seed):
        expected = theirs(Image.open(io.BytesIO(content)).convert("RGB"))
    assert torch.equal(seeded(augmenting(recipe, 48), content, seed), expected)
    measured = create_transform(48, is_training=False, crop_pct=0.875, crop_mode="center", normalize=False)
    assert torch.equal(central(recipe, 48)(content), measured(Image.open(io.BytesIO(content)).convert("RGB")))


@pytest.mark.parametrize("seed", range(5))
def test_of_a_large_image_crops_are_those_of_a_full_decoding_but_for_a_grey_level_or_two(seed: int) -> None:
    content = photograph(800, 600)
    for make in (augmenting, central):
        less, all_of_it = (seeded(make(recipe, 64), content, seed).float() for recipe in (RECIPE, FULL))
        assert (less - all_of_it).abs().mean() < 2.5, make


@pytest.mark.parametrize(
    "size, spare, decoded_to",
    [
        ((800, 600), 1.9, (800, 600)),
        ((800, 600), 2.0, (400, 300)),
        ((800, 600), 3.9, (400, 300)),
        ((801, 601), 4.0, (201, 151)),
        ((800, 600), 9.9, (100, 75)),
        ((15, 700), 8.0, (2, 88)),
    ],
)
def test_a_jpeg_is_decoded_at_the_least_side_that_is_enough(
    size: tuple[int, int], spare: float, decoded_to: tuple[int, int]
) -> None:
    assert decoded(Image.open(io.BytesIO(photograph(*size))), spare).size == decoded_to


def test_other_formats_are_decoded_whole() -> None:
    assert decoded(Image.open(io.BytesIO(photograph(80, 60, "PNG"))), 8).size == (80, 60)


@pytest.mark.parametrize(
    "content, said",
    [(b"", "cannot identify"), (b"no image", "cannot identify"), (photograph(80, 60)[:900], "runcated")],
    ids=["empty", "text", "cut"],
)
@pytest.mark.parametrize("make", [augmenting, central])
def test_what_is_no_image_is_an_error_that_says_so(make: object, content: bytes, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        seeded(make(RECIPE, 32), content)  # type: ignore[operator]


def test_the_random_numbers_of_all_three_generators_are_put_back() -> None:
    """timm's RandAugment draws from NumPy's, the crop from Python's, the mirror from torch's."""

    def drawn() -> tuple[float, float, float]:
        return random.random(), float(np.random.random()), torch.rand(1).item()

    def seed() -> None:
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)

    seed()
    expected = drawn()
    seed()
    with reproducible(5):
        inside = drawn()
    assert drawn() == expected
    with reproducible(5):
        assert drawn() == inside
