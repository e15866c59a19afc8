"""Published designs under their names: a line each. Points of the space wherever it can express them, else blocks."""

from __future__ import annotations

from dataclasses import dataclass

from search_space.design import AttentionDesign
from search_space.errors import DesignError
from search_space.layered import Layered
from search_space.text import parse


@dataclass(frozen=True)
class Preset:
    """A published design: its text, where it was published, its equation in words, and what we had to read into it.

    Its placement in a residual block is its design's (`design.place`). An instance's docstring says all of it.
    """

    text: str
    paper: str
    equation: str
    reading: str = ""

    def __post_init__(self) -> None:
        lines = [f"{self.text}: {self.paper}.", "", f"{self.equation}.", f"Placement: {self.design.place}."]
        lines += [f"Our reading: {self.reading}."] if self.reading else []
        object.__setattr__(self, "__doc__", "\n".join(lines))

    @property
    def design(self) -> AttentionDesign:
        return parse(self.text)


_SE = "gate = sigmoid(W2 relu(W1 z))"
PUBLISHED: dict[str, Preset] = {
    "none": Preset("none", "the network as it is", "y = x"),
    "se": Preset(
        "avg/mlp-r16", "Hu et al., CVPR 2018, eq. 2-4", f"z = mean of x; {_SE}", "without biases, as most PyTorch code"
    ),
    "se-bias": Preset(
        "avg/mlp-r16-bias",
        "Hu et al., CVPR 2018, the released Caffe model",
        "z = mean of x; gate = sigmoid(W2 relu(W1 z + b1) + b2)",
    ),
    "eca": Preset(
        "avg/conv1d",
        "Wang et al., CVPR 2020, eq. 9 and 12",
        "z = mean of x; gate = sigmoid(conv1d_k(z)), k odd and about (log2 C + 1) / 2",
        "the paper's kernel rule; the released checkpoints hold kernels chosen by hand",
    ),
    "gc": Preset(
        "context/mlp-r16-ln-bias-add",
        "Cao et al., ICCVW 2019, eq. 4",
        "z = sum of softmax_HW(w x + b) x; y = x + W2 relu(LN(W1 z + b1)) + b2; W2, b2 start at 0",
    ),
    "fca-lf": Preset(
        "dct-low2/mlp-r16",
        "Qin et al., ICCV 2021, eq. 9-12",
        f"z_c = DCT coefficient of its channel group, the two lowest frequencies; {_SE}",
    ),
    "fca-ts": Preset(
        "dct-top16/mlp-r16",
        "Qin et al., ICCV 2021, eq. 9-12",
        f"z_c = DCT coefficient of its channel group, the 16 best single frequencies; {_SE}",
    ),
    "fca-nas": Preset(
        "dct-learned16/mlp-r16",
        "Qin et al., ICCV 2021, section 3.3",
        f"z_c = sum over all 49 frequencies of softmax(49 logits of its channel group) DCT(x_c); {_SE}",
        "no code was released: 16 groups, logits start at 0 and count 49-fold, or they would not move; "
        "`attnas train` writes the argmax back as text",
    ),
    "wavenet-c": Preset(
        "recursive/mlp-r16",
        "Salman et al., arXiv 2211.02695",
        f"z_c = one of four orthonormal 2x2 filters, applied with stride 2 until one pixel is left; {_SE}",
        "the filters are Haar's (mean, row, column, diagonal difference), one a quarter of each chunk of 512 channels; "
        "each filter is applied to its own output; a side that is no power of two is area-resampled up to one",
    ),
    "ortho": Preset(
        "ortho-s0/mlp-r16",
        "Salman et al., arXiv 2311.03071",
        f"z_c = inner product with a random filter of the channel's own, all orthonormal; {_SE}",
        "where a map has fewer pixels than channels, contiguous channels share a filter",
    ),
    "srm": Preset(
        "avg+std/cfc",
        "Lee et al., ICCV 2019, eq. 1-5",
        "gate_c = sigmoid(BN(w_c1 mean x_c + w_c2 std x_c)), w start at 0",
        "the standard deviation is biased, as in eq. 2; the code's is unbiased, a factor that w_c2 takes up",
    ),
    "cbam-channel": Preset(
        "avg+max/mlp-r16-shared-bias",
        "Woo et al., ECCV 2018, eq. 2",
        "gate = sigmoid(MLP(mean x) + MLP(max x)), one MLP with biases",
    ),
    "cat-channel": Preset(
        "avg+blurmax+relentropy/mlp-r16-mixed",
        "Wu et al., arXiv 2212.06335, channel part",
        "gate = sigmoid(a MLP(mean x) + b MLP(max of blurred x) + c MLP(entropy of softmax_HW x)); a, b, c start at 0",
        "no official code: blur 5x5 with sigma 1, entropy rescaled to 0..1 over the channels, one MLP without biases",
    ),
    "pfca": Preset(
        "avg/pfca",
        "Shi et al., arXiv 2303.11055",
        "gate = sigmoid(((z - m)^2 + 2 (s^2 + l)) / (4 (s^2 + l))), m and s^2 over the channels, l = 1e-4",
    ),
    "gct": Preset(
        "l2/gated",
        "Yang et al., CVPR 2020, eq. 2-5",
        "s = alpha |x_c|; n = gamma s / rms over channels of s; gate = 1 + tanh(n + beta); starts at the identity",
    ),
    "gaussian-gct": Preset(
        "avg/gaussian",
        "Ruan et al., CVPR 2021, eq. 5-8",
        "z standardised over the channels; gate = exp(-z^2 / (2 c^2)), c = 2",
        "the parameter-free variant",
    ),
    "lct": Preset(
        "avg/affine-g64",
        "Ruan et al., arXiv 1909.03834, eq. 2-5",
        "z standardised in channel groups; gate_c = sigmoid(w_c z_c + b_c)",
        "64 groups as published, fewer where a group would have under 4 channels (a group of one hears nothing); w "
        "starts at 0, b at 1",
    ),
    "mca-e": Preset(
        "avg+std/conv1d-k3-bias",
        "Jiang et al., AAAI 2024, moment channel attention",
        "gate = sigmoid(conv1d_3([mean x, std x])), 2 -> 1 channels over the channel axis",
    ),
    "mca-s": Preset(
        "avg+skew/conv1d-k7-bias",
        "Jiang et al., AAAI 2024, moment channel attention",
        "gate = sigmoid(conv1d_7([mean x, skewness x])), 2 -> 1 channels over the channel axis",
    ),
    "ese": Preset(
        "avg/fc-bias-hard", "Lee and Park, CVPR 2020, eq. 2", "gate = hard_sigmoid(W mean x + b), W of C x C"
    ),
    "simam": Preset(
        "simam",
        "Yang et al., ICML 2021, eq. 5",
        "gate = sigmoid(d / (4 (v + l)) + 1/2), d = (x - mean_HW)^2, v its mean over HW - 1, l = 1e-4",
    ),
    "ema": Preset(
        "ema-g32",
        "Ouyang et al., ICASSP 2023",
        "in each of 32 channel groups: strips of means gate a 1x1 branch, a 3x3 branch stands beside it, each weighs "
        "the other's positions by its softmax of means; sigmoid of the sum",
        "the paper does not say where it goes; here after the last norm",
    ),
    "cbam": Preset(
        "cbam-r16",
        "Woo et al., ECCV 2018, eq. 1-3",
        "cbam-channel, then gate = sigmoid(BN(conv 7x7([max over channels, mean over channels])))",
    ),
    "cat": Preset(
        "cat-r16",
        "Wu et al., arXiv 2212.06335",
        "channel and spatial attention, each from mean, max and entropy with learned weights, mixed by a softmax",
        "no official code: the class in search_space/blocks/cat.py says what is our reading",
    ),
    "coordinate": Preset(
        "coordinate-r32",
        "Hou et al., CVPR 2021, eq. 4-9",
        "means over W and over H through a shared 1x1 convolution, BN, h-swish; gate = sigmoid(rows) sigmoid(columns)",
    ),
    "triplet": Preset(
        "triplet-k7",
        "Misra et al., WACV 2021, eq. 1-4",
        "three rotations, each gated by sigmoid(BN(conv 7x7([max, mean]))); their mean",
    ),
    "sge": Preset(
        "sge-g64",
        "Li et al., arXiv 1905.09646, eq. 1-5",
        "in each of 64 channel groups: x . mean x at every position, standardised over positions, w a + b, sigmoid",
    ),
    "ba": Preset(
        "ba-r16",
        "Zhao et al., arXiv 2112.04150",
        "gate = sigmoid(W relu(sum over the block's convolutions of BN(W_i mean of its output)))",
    ),
    "wavenet-ae": Preset(
        "wavenet-ae-r16",
        "Salman et al., arXiv 2211.02695, first variant",
        "Haar analysis into four bands a channel, SE over the 4 C bands, synthesis",
        "one level; the class in search_space/blocks/wavenet_ae.py says what is our reading",
    ),
}
# what people may type instead; named in the error, because a second name for a row would be one too many
NICKNAMES = {
    "senet": "se",
    "ecanet": "eca",
    "gcnet": "gc",
    "fcanet": "fca-ts",
    "wavenet": "wavenet-c",
    "orthonet": "ortho",
    "banet": "ba",
    "lctnet": "lct",
    "coordatt": "coordinate",
}
PRESETS: dict[str, AttentionDesign] = {name: preset.design for name, preset in PUBLISHED.items()}


def find_design(name_or_text: str) -> AttentionDesign | Layered:
    """A preset by name, else a design by its text form; `A | B | C` is one for each place of a network.

    Raises `DesignError` naming the nearest valid spelling.
    """
    if "|" in name_or_text:
        return Layered(tuple(_find(part) for part in name_or_text.split("|")))
    return _find(name_or_text)


def _find(name_or_text: str) -> AttentionDesign:
    """A name or text; `se@mid` is the preset elsewhere."""
    name, at, placement = name_or_text.strip().partition("@")
    preset = PUBLISHED.get(name.strip().lower())
    if preset is not None:
        return parse(preset.text + at + placement) if at and placement != preset.design.place else preset.design
    try:
        return parse(name_or_text)
    except DesignError as error:
        raise DesignError(f"{error} Presets: {', '.join(PRESETS)}.") from None
