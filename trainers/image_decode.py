"""One encoded image to uint8 pixels: cropped, resized, and decoded at no more pixels than that takes.

A JPEG can be decoded at a half, a quarter or an eighth of its side: the high frequencies of its blocks are left out.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable

from PIL import Image
from torch import Tensor

from trainers.folder_decode import UNREADABLE, require_8_bits, why_unreadable
from trainers.imagenet_recipe import RetrainRecipe
from trainers.timm_import import prepare

prepare()
from timm.data import create_transform  # noqa: E402
from timm.data.transforms import RandomResizedCropAndInterpolation  # noqa: E402
from torchvision.transforms.functional import pil_modes_mapping, resized_crop  # noqa: E402

View = Callable[[bytes], Tensor]
"""From the content of an image file to uint8 [3, S, S]; raises `ImageError`. May draw from `random` and from torch."""

_MARGIN = 2
"""How many times more pixels a side than it needs a central crop is decoded at: then the resize alone decides how
it looks. A random crop, which no two epochs share, does with 1."""


class ImageError(ValueError):
    """Content that can't be used as an image; the message says why."""


def augmenting(recipe: RetrainRecipe, size: int) -> View:
    """timm's random crops, mirrors and policies of augmentation."""
    aspect = recipe.crop_aspect
    steps = create_transform(
        size,
        is_training=True,
        scale=(recipe.crop_area, 1.0),
        ratio=(1 / aspect, aspect),
        hflip=0.5 if recipe.mirror else 0.0,
        color_jitter=None,  # type: ignore[arg-type]  # timm's hint forgets its own way to turn it off
        auto_augment=recipe.auto_augment or None,
        interpolation=recipe.interpolation,
        normalize=False,  # done on the device: bytes travel four times as fast
    ).transforms
    crop = steps[0]
    assert type(crop) is RandomResizedCropAndInterpolation, f"timm crops otherwise now: {crop}"
    return _view(_crop_first(crop, reduced=recipe.reduced_decoding), *steps[1:])


def central(recipe: RetrainRecipe, size: int) -> View:
    """timm's central crop of `crop_pct` of the shorter side."""
    measured_by = "bilinear" if recipe.interpolation == "random" else recipe.interpolation
    steps = create_transform(
        size,
        is_training=False,
        crop_pct=recipe.crop_pct,
        crop_mode="center",
        interpolation=measured_by,
        normalize=False,
    )

    def decode(image: Image.Image) -> Image.Image:
        spare = min(image.size) * recipe.crop_pct / size / _MARGIN
        return decoded(image, spare if recipe.reduced_decoding else 1)

    return _view(decode, *steps.transforms)


def glance(content: bytes) -> None:
    """Read an image to its end, at an eighth of its side. Raises `ImageError` for what training can't use."""
    _view(lambda image: decoded(image, 8))(content)


def _view(*steps: Callable[[Image.Image], Image.Image]) -> View:
    def view(content: bytes) -> Tensor:
        try:
            with Image.open(io.BytesIO(content)) as image:
                require_8_bits(image)
                pixels = steps[0](image)
        except UNREADABLE as error:
            raise ImageError(why_unreadable(error)) from error
        for step in steps[1:]:
            pixels = step(pixels)
        return pixels  # type: ignore[return-value]  # the last step makes a tensor

    return view


def _crop_first(crop: RandomResizedCropAndInterpolation, *, reduced: bool) -> Callable[[Image.Image], Image.Image]:
    """The same crop as timm's, chosen before a pixel is decoded."""

    def decode(image: Image.Image) -> Image.Image:
        top, left, height, width = crop.get_params(image, crop.scale, crop.ratio)
        ways = crop.interpolation
        interpolation = random.choice(ways) if isinstance(ways, tuple | list) else ways
        full = image.size
        small = decoded(image, min(height / crop.size[0], width / crop.size[1]) if reduced else 1)
        if small.size == full:
            return resized_crop(small, top, left, height, width, list(crop.size), interpolation)
        x, y = (small.size[axis] / full[axis] for axis in (0, 1))
        box = (left * x, top * y, (left + width) * x, (top + height) * y)  # not rounded: it would shift the image
        return small.resize(crop.size[::-1], pil_modes_mapping[interpolation], box)

    return decode


def decoded(image: Image.Image, spare: float) -> Image.Image:
    """An opened image as RGB, at one of its sides' eighth, quarter or half if it is `spare` times as long as needed."""
    width, height = image.size
    for factor in (8, 4, 2):
        if spare >= factor:
            image.draft(None, (width // factor, height // factor))  # of formats other than JPEG nothing happens
            break
    return image.convert("RGB")
