"""Every block against a second, slow writing of its equation in NumPy, SciPy or PyWavelets, with trained weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import pywt
import torch
from numpy.typing import NDArray
from scipy import ndimage, signal, special
from torch import nn

from search_space.blocks import BLOCKS
from search_space.blocks.wavenet_ae import analysis, synthesis
from search_space.design import AttentionDesign

Array = NDArray[np.float64]
Weights = dict[str, Array]
sigmoid = special.expit
SIZES = [(5, 4), (1, 3), (2, 2), (7, 7)]


def trained(text: str, channels: int, *sources: Sequence[int]) -> nn.Module:
    """The block in evaluation mode with random weights and statistics, none at its start; float64."""
    design = AttentionDesign.parse(text)
    block = BLOCKS[design.squeeze](design, channels, *sources, dtype=torch.float64).eval()
    generator = torch.Generator().manual_seed(channels)
    for name, tensor in block.state_dict().items():
        if tensor.is_floating_point():
            values = torch.randn(tensor.shape, generator=generator, dtype=torch.float64) * 0.5
            tensor.copy_(values.abs() + 0.5 if name.endswith("running_var") else values)
    return block


def weights(block: nn.Module) -> Weights:
    return {name: tensor.numpy() for name, tensor in block.state_dict().items()}


def maps(channels: int, height: int, width: int) -> Array:
    return np.random.default_rng(channels + height).normal(0.3, 1.0, (2, channels, height, width))


def agree(block: nn.Module, oracle: Callable[[Weights, Array], Array], x: Array) -> None:
    with torch.no_grad():
        found = block(torch.from_numpy(x)).numpy()
    expected = np.stack([oracle(weights(block), image) for image in x])  # an image at a time: no leak between images
    np.testing.assert_allclose(found, expected, atol=1e-10)


def conv(x: Array, kernel: Array, bias: Array | None = None) -> Array:
    """[I, H, W] with [O, I, k, k] -> [O, H, W], zero-padded."""
    out = np.stack([sum(signal.correlate2d(x[i], row[i], "same") for i in range(len(x))) for row in kernel])
    return out if bias is None else out + bias[:, None, None]


def normalised(x: Array, w: Weights, name: str) -> Array:
    """Batch norm in evaluation of [C, ...]."""
    shape = (-1,) + (1,) * (x.ndim - 1)
    mean, variance, scale, shift = (
        w[f"{name}.{part}"].reshape(shape) for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_simam_is_its_equation_an_element_at_a_time(height: int, width: int) -> None:
    def oracle(_: Weights, x: Array) -> Array:
        y = np.empty_like(x)
        for c, i, j in np.ndindex(x.shape):
            v = np.var(x[c], ddof=1)
            y[c, i, j] = x[c, i, j] * sigmoid((x[c, i, j] - x[c].mean()) ** 2 / (4 * (v + 1e-4)) + 0.5)
        return y

    agree(trained("simam", 3), oracle, maps(3, height, width))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_ema_is_its_equation_a_group_and_a_position_at_a_time(height: int, width: int) -> None:
    def group(w: Weights, u: Array) -> Array:
        strip_weight, strip_bias = w["strips.weight"][:, :, 0, 0], w["strips.bias"]
        h = strip_weight @ u.mean(2) + strip_bias[:, None]
        v = strip_weight @ u.mean(1) + strip_bias[:, None]
        p = np.empty_like(u)
        for c in range(len(u)):
            gated = u[c] * sigmoid(h[c])[:, None] * sigmoid(v[c])[None, :]
            p[c] = (gated - gated.mean()) / np.sqrt(gated.var() + 1e-5) * w["norm.weight"][c] + w["norm.bias"][c]
        q = conv(u, w["local.weight"], w["local.bias"])
        a, b = special.softmax(p.mean((1, 2))), special.softmax(q.mean((1, 2)))
        logits = np.array([[a @ q[:, i, j] + b @ p[:, i, j] for j in range(width)] for i in range(height)])
        return u * sigmoid(logits)

    def oracle(w: Weights, x: Array) -> Array:
        return np.concatenate([group(w, x[3 * g : 3 * g + 3]) for g in range(4)])

    agree(trained("ema-g4", 12), oracle, maps(12, height, width))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_sge_is_its_equation_a_group_at_a_time(height: int, width: int) -> None:
    def group(weight: float, bias: float, u: Array) -> Array:
        t = sum(u[c] * u[c].mean() for c in range(len(u)))
        return u * sigmoid(weight * (t - np.mean(t)) / (np.std(t, ddof=1) + 1e-5) + bias)

    def oracle(w: Weights, x: Array) -> Array:
        scales, shifts = w["weight"].ravel(), w["bias"].ravel()
        return np.concatenate([group(scales[g], shifts[g], x[3 * g : 3 * g + 3]) for g in range(4)])

    agree(trained("sge-g4", 12), oracle, maps(12, height, width))


@pytest.mark.parametrize(("height", "width"), [*SIZES, (1, 1)])
def test_cbam_gates_channels_and_then_positions(height: int, width: int) -> None:
    def mlp(w: Weights, z: Array) -> Array:
        hidden = np.maximum(w["mlp.0.weight"] @ z + w["mlp.0.bias"], 0)
        return w["mlp.2.weight"] @ hidden + w["mlp.2.bias"]

    def oracle(w: Weights, x: Array) -> Array:
        u = x * sigmoid(mlp(w, x.mean((1, 2))) + mlp(w, x.max((1, 2))))[:, None, None]
        planes = conv(np.stack([u.max(0), u.mean(0)]), w["spatial.conv.weight"])
        return u * sigmoid(normalised(planes, w, "spatial.norm"))

    agree(trained("cbam-r2", 6), oracle, maps(6, height, width))


def entropies(rows: Array) -> Array:
    """Of the softmax of every row of [n, m], min-max normalised over the rows."""
    found = np.array([-sum(p * np.log(p) for p in special.softmax(row)) for row in rows])
    spread = np.ptp(found)
    return (found - found.min()) / spread if spread > 1e-5 else np.zeros_like(found)


@pytest.mark.parametrize(("height", "width"), [*SIZES, (1, 1)])
def test_cat_mixes_three_poolings_and_two_gates(height: int, width: int) -> None:
    """The convolution is applied to each of the three planes, as published; scipy blurs."""

    def oracle(w: Weights, x: Array) -> Array:
        blurred = np.stack([ndimage.gaussian_filter(plane, 1.0, radius=2, mode="nearest") for plane in x])
        squeezes = [x.mean((1, 2)), blurred.max((1, 2)), entropies(x.reshape(len(x), -1))]
        through = [w["mlp.2.weight"] @ np.maximum(w["mlp.0.weight"] @ z, 0) for z in squeezes]
        channel = sigmoid(sum(f * z for f, z in zip(w["channel_factors"], through, strict=True)))
        planes = [x.mean(0), blurred.max(0), entropies(x.reshape(len(x), -1).T).reshape(x.shape[1:])]
        through = [conv(plane[None], w["conv.weight"])[0] for plane in planes]
        spatial = sigmoid(sum(f * m for f, m in zip(w["spatial_factors"], through, strict=True)))
        share = special.softmax(w["mix"])
        return x * (share[0] * channel[:, None, None] + share[1] * spatial)

    agree(trained("cat-r2", 6), oracle, maps(6, height, width))


@pytest.mark.parametrize(("height", "width"), [*SIZES, (1, 1)])
def test_coordinate_gates_every_row_and_every_column(height: int, width: int) -> None:
    def features(w: Weights, z: Array) -> Array:
        z = normalised(w["reduce.weight"][:, :, 0, 0] @ z + w["reduce.bias"], w, "norm")
        return z * np.clip(z + 3, 0, 6) / 6

    def oracle(w: Weights, x: Array) -> Array:
        y = np.empty_like(x)
        for i, j in np.ndindex(height, width):
            row = w["rows.weight"][:, :, 0, 0] @ features(w, x[:, i].mean(1)) + w["rows.bias"]
            column = w["columns.weight"][:, :, 0, 0] @ features(w, x[:, :, j].mean(1)) + w["columns.bias"]
            y[:, i, j] = x[:, i, j] * sigmoid(row) * sigmoid(column)
        return y

    agree(trained("coordinate-r2", 18), oracle, maps(18, height, width))


@pytest.mark.parametrize(("height", "width"), [*SIZES, (1, 1)])
def test_triplet_averages_a_plane_gate_over_each_pair_of_axes(height: int, width: int) -> None:
    """The published way: turn the whole map so that the pooled axis stands first, gate it, turn it back."""

    def branch(w: Weights, name: str, turned: Array) -> Array:
        planes = conv(np.stack([turned.max(0), turned.mean(0)]), w[f"{name}.conv.weight"])
        return turned * sigmoid(normalised(planes, w, f"{name}.norm"))

    def oracle(w: Weights, x: Array) -> Array:
        cw = branch(w, "cw", x.transpose(1, 0, 2)).transpose(1, 0, 2)
        hc = branch(w, "hc", x.transpose(2, 1, 0)).transpose(2, 1, 0)
        return (cw + hc + branch(w, "hw", x)) / 3

    agree(trained("triplet-k3", 5), oracle, maps(5, height, width))


@pytest.mark.parametrize(("height", "width"), [*SIZES, (1, 1)])
def test_wavenet_ae_gates_the_bands_that_pywavelets_finds(height: int, width: int) -> None:
    def oracle(w: Weights, x: Array) -> Array:
        padded = np.pad(x, ((0, 0), (0, height % 2), (0, width % 2)))
        approximation, details = pywt.dwt2(padded, "haar")
        z = np.concatenate([approximation.mean((1, 2)), *(abs(band).mean((1, 2)) for band in details)])
        gate = sigmoid(w["expand.weight"] @ np.maximum(w["reduce.weight"] @ z, 0)).reshape(4, -1, 1, 1)
        bands = gate[0] * approximation, tuple(gate[1:] * details)
        return pywt.idwt2(bands, "haar")[:, :height, :width]

    agree(trained("wavenet-ae-r4", 3), oracle, maps(3, height, width))


@pytest.mark.parametrize(("height", "width"), [*SIZES, (1, 1), (8, 6)])
def test_the_haar_pair_is_pywavelets_and_one_undoes_the_other(height: int, width: int) -> None:
    x = maps(3, height, width)
    bands = analysis(torch.from_numpy(x))
    approximation, details = pywt.dwt2(x, "haar", mode="zero")
    np.testing.assert_allclose(bands.numpy(), np.stack([approximation, *details], 1), atol=1e-12)
    np.testing.assert_allclose(synthesis(bands).numpy()[:, :, :height, :width], x, atol=1e-12)
    assert (bands**2).sum().item() == pytest.approx((x**2).sum())  # Parseval: orthonormal


def test_wavenet_ae_with_open_gates_is_the_identity() -> None:
    """Weights of zero gate every band by 1/2; a gain of 2 opens them all."""
    block = BLOCKS["wavenet-ae"](AttentionDesign.parse("wavenet-ae-r4"), 3, gain=2.0, dtype=torch.float64)
    nn.init.zeros_(block.expand.weight)
    for height, width in [*SIZES, (1, 1)]:
        x = torch.from_numpy(maps(3, height, width))
        torch.testing.assert_close(block(x), x, atol=1e-12, rtol=0)


def test_a_half_precision_map_comes_back_from_the_bands_to_the_last_bit() -> None:
    """Analysis and synthesis in float32 lose less than the 8 bits of bfloat16 resolve."""
    block = BLOCKS["wavenet-ae"](AttentionDesign.parse("wavenet-ae-r4"), 3, gain=2.0, dtype=torch.bfloat16)
    nn.init.zeros_(block.expand.weight)
    x = torch.from_numpy(maps(3, 7, 8)).bfloat16()
    assert torch.equal(block(x), x)
