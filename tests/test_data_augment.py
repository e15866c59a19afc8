"""Crops and mirror images of batches against the same thing done one image at a time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.augment import augment, crop_and_mirror, normalise


def numbered(batch: int, height: int, width: int) -> torch.Tensor:
    """Random images without a zero, so that padding can be told from content."""
    return torch.randint(1, 256, (batch, 3, height, width), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 7), st.integers(1, 7), st.integers(0, 4), st.integers(0, 2**31))
def test_a_batch_is_cropped_and_mirrored_as_each_image_alone(batch, height, width, pad, seed) -> None:
    """Oracle: for each image, paste it into zeros, slice, reverse the columns."""
    generator = torch.Generator().manual_seed(seed)
    images = numbered(batch, height, width)
    offsets = torch.randint(0, 2 * pad + 1, (2, batch), generator=generator)
    mirrored = torch.rand(batch, generator=generator) < 0.5
    result = crop_and_mirror(images, pad, offsets, mirrored)
    assert result.dtype == torch.uint8 and result.is_contiguous() and result.shape == images.shape
    for b in range(batch):
        canvas = torch.zeros(3, height + 2 * pad, width + 2 * pad, dtype=torch.uint8)
        canvas[:, pad : pad + height, pad : pad + width] = images[b]
        row, column = int(offsets[0, b]), int(offsets[1, b])
        expected = canvas[:, row : row + height, column : column + width]
        assert torch.equal(result[b], expected[:, :, range(width - 1, -1, -1)] if mirrored[b] else expected)


def test_every_crop_occurs_mirrored_and_not_about_equally_often() -> None:
    """Oracle: of one image there are 5 x 5 crops x 2; 5,000 draws give each 100 times, within 6 deviations."""
    image = numbered(1, 8, 8)
    generator = torch.Generator().manual_seed(1)
    results = augment(image.expand(5000, -1, -1, -1), pad=2, flip=True, generator=generator)
    outcomes, counts = results.flatten(1).unique(dim=0, return_counts=True)
    assert len(outcomes) == 50
    assert counts.min() > 40 and counts.max() < 160


def test_without_flip_no_image_is_mirrored() -> None:
    image = numbered(1, 8, 8)
    results = augment(image.expand(500, -1, -1, -1), pad=1, flip=False, generator=torch.Generator().manual_seed(1))
    assert len(results.flatten(1).unique(dim=0)) == 9


def test_without_padding_and_flip_nothing_changes() -> None:
    images = numbered(16, 8, 8)
    assert torch.equal(augment(images, pad=0, flip=False, generator=torch.Generator()), images)


def test_the_same_seed_gives_the_same_batch_and_another_seed_another() -> None:
    images = numbered(16, 8, 8)
    one, same, other = (
        augment(images, pad=2, flip=True, generator=torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_given_images_are_left_alone() -> None:
    images = numbered(16, 8, 8)
    before = images.clone()
    augment(images, pad=2, flip=True, generator=torch.Generator()).zero_()
    augment(images, pad=0, flip=False, generator=torch.Generator()).zero_()
    assert torch.equal(images, before)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_normalise_is_the_formula_of_its_docstring(dtype: torch.dtype, memory_format: torch.memory_format) -> None:
    """Oracle: (x / 255 - mean) / std in float64."""
    images = numbered(4, 8, 8)
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.1])
    result = normalise(images, mean, std, dtype=dtype, memory_format=memory_format)
    expected = (images.double() / 255 - mean.double()[:, None, None]) / std.double()[:, None, None]
    assert result.dtype == dtype and result.is_contiguous(memory_format=memory_format)
    tolerance = 1e-5 if dtype == torch.float32 else 4e-3
    torch.testing.assert_close(result.double(), expected, rtol=tolerance, atol=tolerance)


def test_a_channel_that_never_changes_is_normalised_to_zero() -> None:
    images = torch.full((2, 3, 4, 4), 51, dtype=torch.uint8)
    result = normalise(images, torch.full((3,), 0.2), torch.zeros(3))
    assert result.abs().max() < 1e-4
