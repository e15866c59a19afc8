"""The words of designs: what every operator is called, computes and can be told. Imports no torch."""

from __future__ import annotations

from typing import NamedTuple

PLACEMENTS = ("after-norm", "before-norm", "before-conv", "mid")
# statistics of a channel's map, in words; several are joined by +, as in avg+std
STATISTICS = {
    "avg": "mean",
    "max": "maximum",
    "blurmax": "maximum after a 5x5 Gaussian blur",
    "std": "standard deviation (biased)",
    "skew": "skewness",
    "l2": "root mean square",
    "energy": "mean square",
    "entropy": "entropy in nats of the softmax over positions",
    "relentropy": "entropy of the softmax over positions, rescaled to 0..1 over the channels",
}
SQUEEZES = ("none", *STATISTICS, "context", "recursive", "ortho", "dct", "wavelet")
WAVELETS = ("haar", "db2", "sym4", "bior2.2")
RECURSIVE_FILTERS = 4  # the orthonormal 2x2 filters of the Haar wavelet


class Excites(NamedTuple):
    """What an excitation is without torch.

    `absorbs`: its first weights can take up a factor common to all squeezed numbers, so that keys may ignore it.
    `options`: what it can be told besides its name. `one_number`: it compares channels, each by one number.
    `placement`: where it was published.
    """

    words: str
    absorbs: bool
    options: tuple[str, ...] = ()
    one_number: bool = False
    placement: str = "after-norm"


EXCITATIONS = {
    "mlp": Excites("W2 relu(W1 z)", True, ("reduction", "sharing", "norm", "bias", "activation", "fusion")),
    "conv1d": Excites("a 1-D convolution of z over neighbouring channels", True, ("kernel", "bias", "activation")),
    "affine": Excites("w_c z_c + b_c, each channel for itself", True, ("groups", "activation")),
    "fc": Excites("W z, one C x C layer", True, ("bias", "activation")),
    "cfc": Excites("batch norm of w_c z_c, each channel for itself", True, ("activation",)),
    "pfca": Excites("(z - mean over channels)^2 / (4 (variance + 1e-4)) + 1/2", False, one_number=True),
    "gated": Excites(
        "1 + tanh(gamma s / rms of s over the channels + beta), s = alpha z", True, (), True, "before-conv"
    ),
    "gaussian": Excites("exp(-z^2 / 8), z standardised over the channels", False, one_number=True),
}


class Whole(NamedTuple):
    """A published module that is no squeeze-excite-scale product: the one thing it can be told, where it goes."""

    option: str | None
    placement: str = "after-norm"


BLOCKS = {
    "simam": Whole(None, "before-norm"),
    "ema": Whole("groups"),
    "cbam": Whole("reduction"),
    "cat": Whole("reduction"),
    "coordinate": Whole("reduction"),
    "triplet": Whole("kernel"),
    "sge": Whole("groups"),
    "ba": Whole("reduction"),
    "wavenet-ae": Whole("reduction"),
}
DEEPEST = 10  # 2^10 = 1,024 pixels: no network attends to larger maps
