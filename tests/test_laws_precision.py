"""Laws of number formats and memory layouts, for presets and a sample of the space."""

from __future__ import annotations

import copy

import pytest
import torch
from test_laws_subjects import CHANNELS, PRODUCTS, SUBJECTS, maps, trained
from torch import Tensor

# bits of mantissa are 8 and 11: an output may be off by a few roundings of itself and of the gate's inputs
TOLERANCE = {torch.bfloat16: 0.03, torch.float16: 0.004, torch.float32: 1e-5}


def near(found: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    torch.testing.assert_close(found.float(), expected.float(), atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_layer_in_half_precision_says_what_it_says_in_float32(name: str, dtype: torch.dtype) -> None:
    """Oracle: float32 of the same rounded map and weights."""
    half = trained(name).eval().to(dtype)
    x = maps().to(dtype)
    y = half(x)
    assert y.dtype == dtype
    near(y, copy.deepcopy(half).float()(x.float()), dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", SUBJECTS)
def test_under_autocast_the_maps_own_dtype_is_kept(name: str, dtype: torch.dtype) -> None:
    """A map is of either dtype there, because residual sums may be float32. Oracle: the same without autocast."""
    layer = trained(name).eval()
    for map_dtype in (dtype, torch.float32):
        x = maps().to(map_dtype)
        with torch.autocast("cpu", dtype=dtype):
            y = layer(x)
        assert y.dtype == map_dtype
        near(y, layer(x.float()), dtype)


@pytest.mark.parametrize("name", SUBJECTS)
def test_gradients_flow_under_autocast(name: str) -> None:
    layer, x = trained(name).train(), maps().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = layer(x).float().square().mean()
    loss.backward()
    assert x.grad is not None and bool(torch.isfinite(x.grad).all())
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in layer.parameters())


# neighbouring channels of different size, so that what is standardised over them is more than their rounding
LARGE = (maps(56, 56) * 20 + 60).mul(torch.tensor([0.25, 0.5, 0.75, 1] * (CHANNELS // 4))[:, None, None]).half()


def test_the_large_map_is_beyond_what_half_precision_sums() -> None:
    assert LARGE.float().sum((2, 3)).max() > 65_504
    assert LARGE.float().square().sum((2, 3)).min() > 65_504


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_squeeze_accumulates_in_float32(name: str) -> None:
    """Oracle: the float32 squeeze of the same map, rounded to half precision. The context's softmax is of what a
    half-precision convolution gives: logits near 100, in steps of 1/16."""
    layer = trained(name).half().eval()
    z = layer.squeeze(LARGE)
    expected = copy.deepcopy(layer).float().squeeze(LARGE.float())
    assert z.dtype == torch.float16
    tolerance = 0.02 if SUBJECTS[name].squeeze == "context" else 2e-3
    torch.testing.assert_close(z, expected.half(), atol=1e-3, rtol=tolerance)


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_large_half_precision_map_overflows_nowhere(name: str) -> None:
    layer = trained(name).half().eval()
    torch.testing.assert_close(layer(LARGE).float(), copy.deepcopy(layer).float()(LARGE.float()), atol=0.5, rtol=0.02)


@pytest.mark.parametrize("name", SUBJECTS)
def test_channels_last_maps_give_what_contiguous_ones_give(name: str) -> None:
    layer, x = trained(name).eval(), maps()
    near(layer(x.contiguous(memory_format=torch.channels_last)), layer(x), torch.float32)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(7, 5), (8, 8)])
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_layout_is_kept(name: str, size: tuple[int, int], layout: torch.memory_format) -> None:
    x = maps(*size).contiguous(memory_format=layout)
    assert trained(name)(x).is_contiguous(memory_format=layout)
