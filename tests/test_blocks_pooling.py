"""The statistics that blocks and squeezes share, on values known without them."""

from __future__ import annotations

import pytest
import torch

from search_space import pooling


def test_entropy_of_a_known_softmax() -> None:
    """Golden, section 4.4 of the reference: softmax([1, 2, 3, 4]) has .94753696 nats."""
    found = pooling.spatial_entropy(torch.tensor([[[[1.0, 2], [3, 4]]]], dtype=torch.float64))
    assert found.shape == (1, 1)
    assert found.item() == pytest.approx(0.94753696, abs=1e-8)


def test_entropy_survives_logits_that_underflow() -> None:
    """p of the smaller one is 0 in float32, its logarithm is not finite: 0 log 0 is 0."""
    x = torch.tensor([[[[0.0, 1000.0]]]], requires_grad=True)
    found = pooling.spatial_entropy(x)
    found.sum().backward()
    assert found.item() == 0
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (9, 5)])
def test_the_blur_keeps_constants_at_any_size(height: int, width: int) -> None:
    x = torch.full((1, 2, height, width), 3.7)
    torch.testing.assert_close(pooling.gaussian_blur(x), x)


def test_min_max_of_equal_numbers_is_zero_and_of_others_reaches_both_ends() -> None:
    z = torch.tensor([[4.0, 4.0, 4.0], [1.0, 2.0, 5.0]])
    assert pooling.min_max(z, 1).tolist() == [[0, 0, 0], [0, 0.25, 1]]


def test_a_half_precision_average_does_not_overflow() -> None:
    """56 x 56 values of 30 sum to 94,080; the largest half is 65,504 (reference, 5.7)."""
    assert pooling.average(torch.full((1, 1, 56, 56), 30.0, dtype=torch.float16), (2, 3)).item() == 30


def test_entropies_of_half_maps_are_not_rounded_to_halves() -> None:
    """Between 4 and 8 nats bfloat16 counts in steps of 1/32, wider than channels differ; oracle: float64 of the map."""
    x = torch.randn(2, 8, 16, 16, generator=torch.Generator().manual_seed(0)).bfloat16()
    found = pooling.spatial_entropy(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), pooling.spatial_entropy(x.double()), atol=1e-5, rtol=0)
