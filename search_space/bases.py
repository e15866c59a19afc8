"""Linear squeezes as fixed bases: every DCT or wavelet mean is an inner product with one [H, W] row.

Built once a size with NumPy and PyWavelets, in float64; no feature map is transformed level by level to get one number.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pywt
from numpy.typing import NDArray

from search_space.design import AttentionDesign

Array = NDArray[np.float64]

# FcaNet's published frequencies (u along H, v along W) on its 7 x 7 grid; the order is the ranking.
_TABLES = {
    "top": (
        (0, 0, 6, 0, 0, 1, 1, 4, 5, 1, 3, 0, 0, 0, 3, 2, 4, 6, 3, 5, 5, 2, 6, 5, 5, 3, 3, 4, 2, 2, 6, 1),
        (0, 1, 0, 5, 2, 0, 2, 0, 0, 6, 0, 4, 6, 3, 5, 2, 6, 3, 3, 3, 5, 1, 1, 2, 4, 2, 1, 1, 3, 0, 5, 3),
    ),
    "low": (
        (0, 0, 1, 1, 0, 2, 2, 1, 2, 0, 3, 4, 0, 1, 3, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4),
        (0, 1, 0, 1, 2, 0, 1, 2, 2, 3, 0, 0, 4, 3, 1, 5, 4, 3, 2, 1, 0, 6, 5, 4, 3, 2, 1, 0, 6, 5, 4, 3),
    ),
    "bottom": (
        (6, 1, 3, 3, 2, 4, 1, 2, 4, 4, 5, 1, 4, 6, 2, 5, 6, 1, 6, 2, 2, 4, 3, 3, 5, 5, 6, 2, 5, 5, 3, 6),
        (6, 4, 4, 6, 6, 3, 1, 4, 4, 5, 6, 5, 2, 2, 5, 1, 4, 3, 5, 0, 3, 1, 1, 2, 4, 2, 1, 1, 5, 3, 3, 3),
    ),
}
_GRID = 7  # the tables' grid: FcaNet's last stage at 224 pixels


def frequencies(selection: str) -> list[tuple[int, int]]:
    """The (u, v) pairs of `low16`, `top16`, `bottom16`... on FcaNet's 7 x 7 grid, in its order."""
    family = selection.rstrip("0123456789")
    count = int(selection[len(family) :])
    return list(zip(*_TABLES[family], strict=True))[:count]


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
    grid = max(pixels, _GRID)
    wave = np.cos(np.pi * frequency * (grid // _GRID) * (np.arange(grid) + 0.5) / grid)
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
    row = matrices[-1][half:].mean(0) if detail else matrices[-1][:half].mean(0)
    for matrix in reversed(matrices[:-1]):
        row = row @ matrix[: len(matrix) // 2]
    return _unit(row)


@lru_cache(maxsize=512)
def basis(design: AttentionDesign, height: int, width: int) -> Array:
    """[K, H, W] rows of the design's linear squeeze, each of L2 norm 1 / sqrt(HW): the average is the plain mean.

    A row that a small map cannot tell from a constant of zero (a detail of one pixel) is zero.
    """
    if design.squeeze == "avg":
        rows = [(np.ones(height), np.ones(width))]
    elif design.squeeze == "dct":
        assert design.selection is not None
        rows = [(dct_vector(u, height), dct_vector(v, width)) for u, v in frequencies(design.selection)]
    else:
        assert design.squeeze == "wavelet" and design.wavelet is not None and design.depth is not None
        order = bands(design.depth)
        rows = [
            (
                band_mean_vector(design.wavelet, design.depth, level, along_h, height),
                band_mean_vector(design.wavelet, design.depth, level, along_w, width),
            )
            for level, along_h, along_w in (order[i] for i in selected_bands(design))
        ]
    return np.stack([_unit(np.outer(row, column)) for row, column in rows]) / np.sqrt(height * width)


def rank(design: AttentionDesign, height: int, width: int) -> int:
    """How many independent numbers the basis hears at this size: below K, some entries repeat others."""
    rows = basis(design, height, width)
    return int(np.linalg.matrix_rank(rows.reshape(len(rows), -1)))


def group_of_channel(channels: int, entries: int) -> NDArray[np.int64]:
    """[C] entry of channel c: floor(c K / C), FcaNet's contiguous groups whenever K divides C."""
    return np.arange(channels) * entries // channels


def _unit(vector: Array) -> Array:
    norm = np.linalg.norm(vector)
    return vector / norm if norm > 1e-9 else np.zeros_like(vector)
