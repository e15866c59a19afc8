"""Linear squeezes as fixed bases: every DCT or wavelet mean is an inner product with one [H, W] row.

Built once a size with NumPy and PyWavelets, in float64; no feature map is transformed level by level to get one number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pywt
from numpy.typing import NDArray

from search_space.design import AttentionDesign
from search_space.frequencies import GRID, frequencies

Array = NDArray[np.float64]

_CHUNK = 512  # WaveNet-C assigns its four filters anew in every chunk of so many channels


def overlap(cells: int, pixels: int) -> Array:
    """[cells, pixels]: area resampling; row i averages the pixels under cell i, by exact overlap."""
    edges = np.arange(cells + 1)[:, None] * pixels
    low, high = edges[:-1], edges[1:]  # in units of 1 / cells of a pixel: whole numbers, no rounding
    pixel = np.arange(pixels)[None, :] * cells
    covered = np.minimum(high, pixel + cells) - np.maximum(low, pixel)
    return np.clip(covered, 0, None) / pixels


def dct_vector(frequency: int, pixels: int) -> Array:
    """[pixels] cosine of the DCT-II (FcaNet eq. 4), of unit norm.

    FcaNet's rule: an index of the 7-grid is multiplied by pixels // 7. Below 7 pixels that would make every frequency
    the average; there the vector of the 7-grid is folded down by area overlap instead.
    """
    grid = max(pixels, GRID)
    wave = np.cos(np.pi * frequency * (grid // GRID) * (np.arange(grid) + 0.5) / grid)
    return _unit(wave if grid == pixels else wave @ overlap(grid, pixels))


@lru_cache(maxsize=512)
def analysis(wavelet: str, depth: int, pixels: int) -> tuple[Array, ...]:
    """One matrix a level, [n, n] with the n / 2 approximation rows first: a 1-D periodised analysis of depth levels.

    The first takes the map area-resampled up to the next multiple of 2^depth, so it is [n, pixels]: the mean of the
    approximation stays the average and a constant has no detail at every size.
    """
    size = -(-pixels // 2**depth) * 2**depth
    levels = []
    for level in range(depth):
        matrix = np.concatenate(pywt.dwt(np.eye(size), wavelet, mode="periodization", axis=0))
        levels.append(matrix @ overlap(size, pixels) if level == 0 else matrix)
        size //= 2
    return tuple(levels)


def bands(depth: int) -> list[tuple[int, bool, bool]]:
    """(level, detail along H, detail along W), coarsest first: approximation, then row, column, diagonal differences.

    The order of `pywt.wavedec2`; papers disagree on which of LH and HL is which, so they are named by the axis.
    """
    order = [(depth, False, False)]
    for level in range(depth, 0, -1):
        order += [(level, True, False), (level, False, True), (level, True, True)]
    return order


def selected_bands(design: AttentionDesign) -> list[int]:
    """Positions in `bands(depth)` of the design's selection."""
    assert design.depth is not None and design.selection is not None
    everything = list(range(3 * design.depth + 1))
    return everything[1:] if design.selection == "details" else everything[: design.entries]


def band_mean_vector(wavelet: str, depth: int, level: int, detail: bool, pixels: int) -> Array:
    """[pixels] row whose inner product with a signal is, up to scale, the mean of one band of its 1-D analysis."""
    matrices = analysis(wavelet, depth, pixels)[:level]
    half = len(matrices[-1]) // 2
    return _unit(_on_pixels(matrices, matrices[-1][half:].mean(0) if detail else matrices[-1][:half].mean(0)))


def middle_wavelets(design: AttentionDesign, height: int, width: int) -> list[Array]:
    """[H, W] for every selected band: the row of the analysis that gives the coefficient in the band's middle."""
    return [np.outer(*pair) for pair in _of_bands(design, height, width, _middle_vector)]


def _middle_vector(wavelet: str, depth: int, level: int, detail: bool, pixels: int) -> Array:
    matrices = analysis(wavelet, depth, pixels)[:level]
    half = len(matrices[-1]) // 2
    return _on_pixels(matrices, matrices[-1][half * detail + half // 2])


def _on_pixels(matrices: tuple[Array, ...], row: Array) -> Array:
    """A row over the input of the last level as a row over the pixels: through the approximations of those before."""
    for matrix in reversed(matrices[:-1]):
        row = row @ matrix[: len(matrix) // 2]
    return row


def _of_bands(
    design: AttentionDesign, height: int, width: int, vector: Callable[[str, int, int, bool, int], Array]
) -> list[tuple[Array, Array]]:
    """(`vector` along H, along W) of every selected band."""
    assert design.wavelet is not None and design.depth is not None
    order = bands(design.depth)
    return [
        (
            vector(design.wavelet, design.depth, level, along_h, height),
            vector(design.wavelet, design.depth, level, along_w, width),
        )
        for level, along_h, along_w in (order[i] for i in selected_bands(design))
    ]


def recursive_vectors(pixels: int) -> tuple[Array, Array]:
    """([pixels], [pixels]) rows of the 1-D filters (1, 1) and (1, -1), each applied with stride 2 to its own output.

    WaveNet-C's recursion to one pixel in closed form: Kronecker powers. A length that is no power of two is
    area-resampled up to the next one first, so that the first is the average at every size (WaveNets, Theorem 1).
    """
    power = (pixels - 1).bit_length()
    ones = np.ones(2**power)
    # the j-th sign is the parity of j's binary ones: the Kronecker power of (1, -1)
    signs = np.array([1.0 - 2.0 * (j.bit_count() % 2) for j in range(2**power)])
    return ones @ overlap(2**power, pixels), signs @ overlap(2**power, pixels)


def orthonormal_rows(seed: int, rows: int, height: int, width: int) -> Array:
    """[rows, H, W] random orthonormal filters (OrthoNets): Gram-Schmidt on Gaussian vectors; rows <= H W."""
    # RandomState's stream is frozen by NumPy's promise: a seed in a design's text means one basis for ever
    vectors = np.random.RandomState(seed).standard_normal((rows, height * width)).T
    q, r = np.linalg.qr(vectors)
    return np.ascontiguousarray((q * np.sign(np.diag(r))).T).reshape(rows, height, width)


@lru_cache(maxsize=512)
def basis(design: AttentionDesign, height: int, width: int, channels: int = 1) -> Array:
    """[K, H, W] rows of the design's linear squeeze, each of L2 norm 1 / sqrt(HW): the average is the plain mean.

    `channels` matters to `ortho` only, which has a row for each (as many as there are pixels, at most). A row that a
    small map cannot tell from a constant of zero (a detail of one pixel) is zero. For a learned selection the rows
    are all 49 frequencies it chooses among.
    """
    if design.squeeze == "ortho":
        assert design.seed is not None
        filters = orthonormal_rows(design.seed, min(channels, height * width), height, width)
        return filters / np.sqrt(height * width)
    return np.stack([_unit(np.outer(*pair)) for pair in _separable(design, height, width)]) / np.sqrt(height * width)


def _separable(design: AttentionDesign, height: int, width: int) -> list[tuple[Array, Array]]:
    """(vector along H, vector along W) of every row of a squeeze whose filters are products."""
    if design.squeeze == "avg":
        return [(np.ones(height), np.ones(width))]
    if design.squeeze == "recursive":
        # order: mean, row, column, diagonal differences
        return [(h, w) for w in recursive_vectors(width) for h in recursive_vectors(height)]
    if design.squeeze == "dct":
        assert design.selection is not None
        return [(dct_vector(u, height), dct_vector(v, width)) for u, v in frequencies(design.selection)]
    assert design.squeeze == "wavelet"
    return _of_bands(design, height, width, band_mean_vector)


def is_linear(design: AttentionDesign) -> bool:
    """Whether the squeeze is inner products with fixed rows."""
    if design.squeeze == "wavelet":
        return design.statistic == "mean"
    return design.squeeze in ("avg", "recursive", "ortho") or (design.squeeze == "dct" and not design.learned)


def rank(design: AttentionDesign, height: int, width: int, channels: int = 1) -> int:
    """How many independent numbers the basis hears at this size: below K, some entries repeat others."""
    rows = basis(design, height, width, channels)
    return int(np.linalg.matrix_rank(rows.reshape(len(rows), -1)))


def entry_of_channel(design: AttentionDesign, channels: int, entries: int) -> NDArray[np.int64]:
    """[C] entry of channel c: floor(c K / C), FcaNet's contiguous groups whenever K divides C.

    WaveNet-C's recursion counts anew in every chunk of 512 channels.
    """
    channel = np.arange(channels)
    if design.squeeze != "recursive":
        return channel * entries // channels
    start = channel // _CHUNK * _CHUNK
    return (channel - start) * entries // np.minimum(channels - start, _CHUNK)


def _unit(vector: Array) -> Array:
    norm = np.linalg.norm(vector)
    return vector / norm if norm > 1e-9 else np.zeros_like(vector)
