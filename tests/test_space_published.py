"""Published designs against their equations in plain NumPy loops, one channel and one image at a time.

Equations as in attention.md section 1; sizes small, float64, all weights random.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, log2, sqrt, tanh

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from test_space_oracles import random_maps, trained

from search_space import PRESETS

CHANNELS = 32
Array = NDArray[np.float64]
Weights = dict[str, Array]
Gate = Callable[[Array, Weights], list[float]]


def sigmoid(v: float) -> float:
    return 1 / (1 + exp(-v))


def mean(channel: Array) -> float:
    return sum(channel.flat) / channel.size


def std(channel: Array) -> float:
    return sqrt(sum((v - mean(channel)) ** 2 for v in channel.flat) / channel.size)


def entropy(channel: Array) -> float:
    total = sum(exp(v) for v in channel.flat)
    return -sum(exp(v) / total * log(exp(v) / total) for v in channel.flat)


def blurred_maximum(channel: Array) -> float:
    """5 x 5 Gaussian of sigma 1, the border pixel repeated."""
    taps = [exp(-(d**2) / 2) for d in (-2, -1, 0, 1, 2)]
    height, width = channel.shape
    best = -1e9
    for i in range(height):
        for j in range(width):
            total = 0.0
            for a in range(-2, 3):
                for b in range(-2, 3):
                    pixel = channel[min(max(i + a, 0), height - 1), min(max(j + b, 0), width - 1)]
                    total += taps[a + 2] * taps[b + 2] / sum(taps) ** 2 * pixel
            best = max(best, total)
    return best


def mlp(z: list[float], w: Weights) -> list[float]:
    """W2 relu(W1 z + b1) + b2; biases where there are any."""
    first, second = w["excitation.reduce.weight"], w["excitation.expand.weight"]
    b1 = w.get("excitation.reduce.bias", np.zeros(len(first)))
    b2 = w.get("excitation.expand.bias", np.zeros(len(second)))
    hidden = [max(0.0, sum(a * v for a, v in zip(row, z, strict=True)) + b) for row, b in zip(first, b1, strict=True)]
    return [sum(a * h for a, h in zip(row, hidden, strict=True)) + b for row, b in zip(second, b2, strict=True)]


def se(x: Array, w: Weights) -> list[float]:
    return [sigmoid(v) for v in mlp([mean(c) for c in x], w)]


def eca(x: Array, w: Weights) -> list[float]:
    t = int(abs((log2(len(x)) + 1) / 2))
    k = t if t % 2 else t + 1
    z = [0.0] * (k // 2) + [mean(c) for c in x] + [0.0] * (k // 2)
    kernel = w["excitation.conv.weight"][0, 0]
    return [sigmoid(sum(kernel[i] * z[c + i] for i in range(k))) for c in range(len(x))]


def cbam(x: Array, w: Weights) -> list[float]:
    average, maximum = mlp([mean(c) for c in x], w), mlp([max(c.flat) for c in x], w)
    return [sigmoid(a + m) for a, m in zip(average, maximum, strict=True)]


def cat(x: Array, w: Weights) -> list[float]:
    entropies = [entropy(c) for c in x]
    low, high = min(entropies), max(entropies)
    squeezed = ([mean(c) for c in x], [blurred_maximum(c) for c in x], [(e - low) / (high - low) for e in entropies])
    parts = [mlp(z, w) for z in squeezed]
    factors = w["excitation.mix"]
    return [sigmoid(sum(f * part[c] for f, part in zip(factors, parts, strict=True))) for c in range(len(x))]


def gc(x: Array, w: Weights) -> list[float]:
    """What is added to every position."""
    mask, bias = w["pooling.mask.weight"][0, :, 0, 0], w["pooling.mask.bias"][0]
    logits = sum(mask[c] * x[c] for c in range(len(x))) + bias
    weights = np.exp(logits) / sum(np.exp(logits).flat)
    z = np.array([sum((weights * c).flat) for c in x])
    t = w["excitation.reduce.weight"] @ z + w["excitation.reduce.bias"]
    t = (t - t.mean()) / np.sqrt(((t - t.mean()) ** 2).mean() + 1e-5)
    t = np.maximum(t * w["excitation.norm.weight"] + w["excitation.norm.bias"], 0)
    return list(w["excitation.expand.weight"] @ t + w["excitation.expand.bias"])


def lct(x: Array, w: Weights) -> list[float]:
    """Standardised in groups of 4 channels: 8 groups of 32."""
    gate = []
    for start in range(0, len(x), 4):
        z = [mean(c) for c in x[start : start + 4]]
        middle = sum(z) / 4
        spread = sqrt(sum((v - middle) ** 2 for v in z) / 4 + 1e-5)
        for c, v in enumerate(z, start):
            gate.append(sigmoid(w["excitation.weight"][c, 0] * (v - middle) / spread + w["excitation.bias"][c]))
    return gate


def moments(x: Array, second: Callable[[Array], float], w: Weights) -> list[float]:
    """MCA: conv1d over the channel axis, [mean, second moment] in, zero padding, bias."""
    kernel, bias = w["excitation.conv.weight"][0], w["excitation.conv.bias"][0]
    half = kernel.shape[1] // 2
    z = [[mean(c) for c in x], [second(c) for c in x]]
    gate = []
    for c in range(len(x)):
        total = bias
        for i in range(-half, half + 1):
            if 0 <= c + i < len(x):
                total += sum(kernel[k, i + half] * z[k][c + i] for k in range(2))
        gate.append(sigmoid(total))
    return gate


def skew(channel: Array) -> float:
    m = mean(channel)
    return sum((v - m) ** 3 for v in channel.flat) / channel.size / (std(channel) ** 3 + 1e-5)


def ese(x: Array, w: Weights) -> list[float]:
    z = [mean(c) for c in x]
    logits = w["excitation.full.weight"] @ z + w["excitation.full.bias"]
    return [min(max((v + 3) / 6, 0), 1) for v in logits]


def gct(x: Array, w: Weights) -> list[float]:
    """Published scale: the norm is the root of a sum of squares."""
    s = [a * sqrt(sum((c**2).flat) + 1e-5) for a, c in zip(w["excitation.alpha"], x, strict=True)]
    norm = sqrt(sum(v**2 for v in s) / len(s) + 1e-5)
    gamma, beta = w["excitation.gamma"], w["excitation.beta"]
    return [1 + tanh(g * v / norm + b) for g, v, b in zip(gamma, s, beta, strict=True)]


def pfca(x: Array, w: Weights) -> list[float]:
    z = [mean(c) for c in x]
    m = sum(z) / len(z)
    variance = sum((v - m) ** 2 for v in z) / (len(z) - 1)
    return [sigmoid(((v - m) ** 2 + 2 * (variance + 1e-4)) / (4 * (variance + 1e-4))) for v in z]


def gaussian(x: Array, w: Weights) -> list[float]:
    z = [mean(c) for c in x]
    m = sum(z) / len(z)
    variance = sum((v - m) ** 2 for v in z) / len(z)
    return [exp(-((v - m) ** 2 / (variance + 1e-5)) / (2 * 2**2)) for v in z]


GATES: dict[str, Gate] = {
    "se": se,
    "se-bias": se,
    "eca": eca,
    "cbam-channel": cbam,
    "cat-channel": cat,
    "gc": gc,
    "lct": lct,
    "mca-e": lambda x, w: moments(x, std, w),
    "mca-s": lambda x, w: moments(x, skew, w),
    "ese": ese,
    "gct": gct,
    "pfca": pfca,
    "gaussian-gct": gaussian,
}


@pytest.mark.parametrize("name", GATES)
def test_a_preset_is_its_papers_equation(name: str) -> None:
    layer = trained(str(PRESETS[name]), CHANNELS, scale="paper")
    weights: Weights = {key: value.numpy() for key, value in layer.state_dict().items()}
    x = random_maps(CHANNELS, 5, 6, images=2)
    y = layer(x).detach().numpy()
    for image, found in zip(x.numpy(), y, strict=True):
        gate = np.array(GATES[name](image, weights))[:, None, None]
        expected = image + gate if name == "gc" else image * gate
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("unbiased", [False, True])
def test_srm_is_its_equation_in_training_and_evaluation(unbiased: bool) -> None:
    """Eq. 1-5; the released code's unbiased deviation is a factor sqrt(n / (n - 1)), which its weight takes up."""
    layer = trained("avg+std/cfc", CHANNELS)
    x = random_maps(CHANNELS, 5, 6, images=4)
    w = {key: value.clone().numpy() for key, value in layer.state_dict().items()}
    factor = sqrt(30 / 29) if unbiased else 1.0
    style = np.array([[[mean(c), std(c) * factor] for c in image] for image in x.numpy()])
    weight = w["excitation.weight"] / np.array([1.0, factor])
    t = (style * weight).sum(2)
    normal = (t - t.mean(0)) / np.sqrt(t.var(0) + 1e-5) * w["excitation.norm.weight"] + w["excitation.norm.bias"]
    expected = x.numpy() / (1 + np.exp(-normal))[..., None, None]
    np.testing.assert_allclose(layer.train()(x).detach().numpy(), expected, rtol=1e-9, atol=1e-12)
    # momentum .1 from mean 0 and variance 1; running variance is unbiased
    running_mean, running_variance = 0.1 * t.mean(0), 0.9 + 0.1 * t.var(0, ddof=1)
    normal = (t - running_mean) / np.sqrt(running_variance + 1e-5)
    normal = normal * w["excitation.norm.weight"] + w["excitation.norm.bias"]
    expected = x.numpy() / (1 + np.exp(-normal))[..., None, None]
    np.testing.assert_allclose(layer.eval()(x).detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_lct_standardises_in_sixty_four_groups_as_published_from_256_channels_on() -> None:
    layer = trained("avg/affine-g64", 256)
    x = random_maps(256, 3, 4)
    weights: Weights = {key: value.numpy() for key, value in layer.state_dict().items()}
    expected = np.array([lct(image, weights) for image in x.numpy()])
    gate = layer.excite(layer.squeeze(x)).detach().numpy()  # type: ignore[operator]
    np.testing.assert_allclose(gate, expected, rtol=1e-10)


def test_pfca_never_gates_below_sigmoid_of_one_half() -> None:
    """attention.md 1.7: the gate lies in [.622, 1)."""
    z = torch.randn(50, 16, 1, dtype=torch.float64)
    gate = trained("avg/pfca", 16).excite(z)  # type: ignore[operator]
    assert gate.min() >= 0.6224593312 and gate.max() < 1
