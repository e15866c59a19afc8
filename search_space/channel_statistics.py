"""One number a channel: statistics of its map, [B, C, H, W] -> [B, C], one function each, and the table of them.

All accumulate in float32 (float64 for float64 maps) and return the map's dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from search_space import pooling

_VARIANCE_FLOOR = 1e-12  # below it a channel counts as constant: the gradient of a square root would not be finite
_GCT_EPSILON = 1e-5  # GCT's, added to the sum of squares
_SKEW_EPSILON = 1e-5


def wide(x: Tensor) -> Tensor:
    return x.to(pooling.wide(x.dtype))


def average(x: Tensor) -> Tensor:
    """Mean over H, W (SENet eq. 2)."""
    return pooling.average(x, (2, 3))


def maximum(x: Tensor) -> Tensor:
    """Maximum over H, W (CBAM's second pooling)."""
    return x.amax((2, 3))


def blurred_maximum(x: Tensor) -> Tensor:
    """Maximum of the map blurred by a 5x5 Gaussian of sigma 1 (CAT)."""
    return pooling.gaussian_blur(x).amax((2, 3))


def standard_deviation(x: Tensor) -> Tensor:
    """sqrt(mean (x - mean x)^2): biased, so one pixel has none and no division by zero (SRM eq. 2)."""
    values = wide(x)
    if x.device.type == "cpu":  # where `var` takes several times as long as two means
        variance = (values - values.mean((2, 3), keepdim=True)).square().mean((2, 3))
    else:
        variance = values.flatten(2).var(2, correction=0)
    return variance.clamp_min(_VARIANCE_FLOOR).sqrt().to(x.dtype)


def skewness(x: Tensor) -> Tensor:
    """mean (x - mean x)^3 / (s^3 + 1e-5), s biased (MCA's third moment)."""
    values = wide(x).flatten(2)
    centred = values - values.mean(2, keepdim=True)
    cubed_deviation = centred.square().mean(2).clamp_min(_VARIANCE_FLOOR).pow(1.5)
    return ((centred * centred.square()).mean(2) / (cubed_deviation + _SKEW_EPSILON)).to(x.dtype)


def root_mean_square(x: Tensor) -> Tensor:
    """sqrt((sum x^2 + 1e-5) / HW): GCT eq. 2 over sqrt(HW)."""
    pixels = x.shape[2] * x.shape[3]
    return (wide(x).square().mean((2, 3)) + _GCT_EPSILON / pixels).sqrt().to(x.dtype)


def mean_of_moments(mean: Tensor, mean_square: Tensor, pixels: int) -> Tensor:
    return mean


def deviation_of_moments(mean: Tensor, mean_square: Tensor, pixels: int) -> Tensor:
    return (mean_square - mean.square()).clamp_min(_VARIANCE_FLOOR).sqrt()


def root_of_moments(mean: Tensor, mean_square: Tensor, pixels: int) -> Tensor:
    return (mean_square + _GCT_EPSILON / pixels).sqrt()


def energy_of_moments(mean: Tensor, mean_square: Tensor, pixels: int) -> Tensor:
    return mean_square


def energy(x: Tensor) -> Tensor:
    """Mean of x^2 over H, W."""
    return wide(x).square().mean((2, 3)).to(x.dtype)


def entropy(x: Tensor) -> Tensor:
    """-sum p log p in nats, p = softmax of x over H, W (global entropy pooling); 0 for one pixel."""
    return pooling.spatial_entropy(x).to(x.dtype)


def relative_entropy(x: Tensor) -> Tensor:
    """The entropy rescaled so that an image's channels span 0 to 1 (CAT)."""
    return pooling.min_max(pooling.spatial_entropy(x), 1).to(x.dtype)


@dataclass(frozen=True)
class Statistic:
    """A function and its multiply-accumulates a pixel: additions and comparisons are none, so that average pooling,
    which is no inner product in any paper's count, has none.

    `of_moments` gives the same of the mean and the mean square over the pixels, each [B, C], and the number of pixels;
    None where they don't tell it.
    """

    apply: Callable[[Tensor], Tensor]
    macs_a_pixel: int
    of_moments: Callable[[Tensor, Tensor, int], Tensor] | None = None


STATISTICS: dict[str, Statistic] = {
    "avg": Statistic(average, 0, mean_of_moments),
    "max": Statistic(maximum, 0),
    "blurmax": Statistic(blurred_maximum, pooling.BLUR_MACS),
    "std": Statistic(standard_deviation, 1, deviation_of_moments),
    "skew": Statistic(skewness, 2),
    "l2": Statistic(root_mean_square, 1, root_of_moments),
    "energy": Statistic(energy, 1, energy_of_moments),
    "entropy": Statistic(entropy, 1),
    "relentropy": Statistic(relative_entropy, 1),
}
