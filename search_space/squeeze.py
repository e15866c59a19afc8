"""Squeezes that keep no weights: [B, C, H, W] -> [B, C, K], and what a squeeze is (`Squeeze`).

All accumulate in float32 (float64 for float64 maps) and return the map's dtype.
"""

from __future__ import annotations

from math import sqrt
from operator import index
from typing import Any

import torch
from torch import Tensor, nn

from search_space import bases, pooling
from search_space.channel_statistics import STATISTICS, wide
from search_space.constants import analysis_matrices, basis_rows, entries_of_channels, half_rows
from search_space.design import AttentionDesign
from search_space.errors import refuse

_FEW_ROWS = 4
"""Of a squeeze, up to which all channels times all rows is faster than each channel times its own."""


class Squeeze(nn.Module):
    """Base of all squeezes: `forward(x: [B, C, H, W]) -> [B, C, K]`, and its cost in closed form.

    `paper_gain` is what the published form multiplies the numbers of an H x W map by.
    """

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__()
        self.design = design

    def paper_gain(self, height: int, width: int) -> float:
        return 1.0

    def of_moments(self) -> bool:
        """Whether mean, mean square and inner products with fixed rows tell what is squeezed: see `from_moments`."""
        return False

    def rows(self, x: Tensor) -> list[Tensor]:
        """The fixed rows for a map, each [1, C, H, W] or [1, 1, H, W]."""
        return []

    def from_moments(self, mean: Tensor, mean_square: Tensor, products: list[Tensor], pixels: int) -> Tensor:
        """[B, C, K] from the mean and mean square over the `pixels` of a map and its inner products with `rows`, each
        [B, C]: what `forward` gives of the map itself."""
        raise NotImplementedError

    @staticmethod
    def macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
        """Multiply-accumulates for one image."""
        raise NotImplementedError

    @staticmethod
    def params(design: AttentionDesign, channels: int) -> int:
        return 0


def map_size(x: Tensor) -> tuple[int, int, int]:
    """(C, H, W) as plain numbers: also while torch.jit traces, when shapes are tensors, and in torch.compile, which
    compiles again for another size of map."""
    return index(x.shape[1]), index(x.shape[2]), index(x.shape[3])


def check_map(x: Tensor, channels: int, design: AttentionDesign) -> None:
    """Raises `DesignError` for a map that the layer was not built for."""
    if x.dim() != 4 or x.shape[1] != channels:
        refuse(f"map of {design}", tuple(x.shape), f"[B, {channels}, H, W]")


class Orthonormal(Squeeze):
    """A squeeze whose published rows are orthonormal, sqrt(HW) times ours."""

    def paper_gain(self, height: int, width: int) -> float:
        return sqrt(height * width)


class Statistics(Squeeze):
    """z_ck = statistic k of channel c: `avg`, `avg+max`..."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([STATISTICS[name].apply(x) for name in self.design.statistics], 2)

    def of_moments(self) -> bool:
        return all(STATISTICS[name].of_moments for name in self.design.statistics)

    def from_moments(self, mean: Tensor, mean_square: Tensor, products: list[Tensor], pixels: int) -> Tensor:
        functions = [STATISTICS[name].of_moments for name in self.design.statistics]
        return torch.stack([function(mean, mean_square, pixels) for function in functions if function], 2)

    def paper_gain(self, height: int, width: int) -> float:
        # GCT takes the sum of squares where we take the mean
        return sqrt(height * width) if self.design.squeeze == "l2" else 1.0

    @staticmethod
    def macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
        return channels * height * width * sum(STATISTICS[name].macs_a_pixel for name in design.statistics)


class Linear(Orthonormal):
    """z_c = <b_k, x_c>: DCT coefficients (FcaNet eq. 9), wavelet band means, recursions, random filters."""

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__(squeeze_only(design), channels)
        self._has_few_rows = design.each or (design.squeeze != "ortho" and design.entries <= _FEW_ROWS)

    def forward(self, x: Tensor) -> Tensor:
        if self._has_few_rows and pooling.multiplies_halves(x):
            return self._of_halves(x)
        rows = self._rows(x)
        if self.design.each or (rows.dim() == 3 and x.device.type == "cpu"):
            return pooling.inner_products(x.to(rows.dtype), rows.flatten(1)).transpose(1, 2).to(x.dtype)
        # one multiply-accumulate an element; on CPUs faster than the batched matrix products that say the same
        return (x * rows).sum((2, 3)).unsqueeze(2).to(x.dtype)

    def _of_halves(self, x: Tensor) -> Tensor:
        rows, chosen = half_rows(self.design, *map_size(x), x.device)
        products = pooling.inner_products(x, rows)
        if chosen is not None:
            return (products * chosen).sum(1).unsqueeze(2)
        high, low = products.chunk(2, 1)
        return (high + low).transpose(1, 2)

    def _rows(self, x: Tensor) -> Tensor:
        return basis_rows(self.design, *map_size(x), pooling.wide(x.dtype), x.device, pooling.layout(x))

    def of_moments(self) -> bool:
        return True

    def rows(self, x: Tensor) -> list[Tensor]:
        rows = self._rows(x)
        return [row[None, None] for row in rows] if rows.dim() == 3 else [rows]

    def from_moments(self, mean: Tensor, mean_square: Tensor, products: list[Tensor], pixels: int) -> Tensor:
        return torch.stack(products, 2)

    @staticmethod
    def macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
        return channels * height * width * design.numbers


class BandEnergy(Squeeze):
    """z_c = sum of squares of one band / HW: by Parseval the bands of an orthogonal wavelet add up to `energy`."""

    def __init__(self, design: AttentionDesign, channels: int, **factory: Any) -> None:
        super().__init__(squeeze_only(design), channels)

    def forward(self, x: Tensor) -> Tensor:
        design = self.design
        assert design.wavelet is not None and design.depth is not None
        approximation = wide(x)
        like = (approximation.dtype, x.device)
        channels, height, width = map_size(x)
        along_h = analysis_matrices(design.wavelet, design.depth, height, *like)
        along_w = analysis_matrices(design.wavelet, design.depth, width, *like)
        pixels = len(along_h[0]) * len(along_w[0])  # of the map as resampled for the first level
        found: list[Tensor] = []  # coarsest level first, in each: row, column, diagonal differences
        for h, w in zip(along_h, along_w, strict=True):
            top, bottom = (h @ approximation @ w.T).chunk(2, 2)
            approximation, column = top.chunk(2, 3)
            row, diagonal = bottom.chunk(2, 3)
            found = [band.square().sum((2, 3)) / pixels for band in (row, column, diagonal)] + found
        found.insert(0, approximation.square().sum((2, 3)) / pixels)
        energies = torch.stack([found[i] for i in bases.selected_bands(design)], 2)
        if not design.each:
            entry = entries_of_channels(design, channels, x.device)
            energies = energies.gather(2, entry[None, :, None].expand(x.shape[0], -1, 1))
        return energies.to(x.dtype)

    @staticmethod
    def macs(design: AttentionDesign, channels: int, height: int, width: int) -> int:
        """What is executed: two dense products a level, then the squares."""
        assert design.wavelet is not None and design.depth is not None
        total = 0
        for along_h, along_w in zip(
            bases.analysis(design.wavelet, design.depth, height),
            bases.analysis(design.wavelet, design.depth, width),
            strict=True,
        ):
            (rows, height), (columns, width) = along_h.shape, along_w.shape
            total += rows * height * width + rows * width * columns
            total += rows * columns - rows * columns // 4  # squares of the three detail bands
        return channels * (total + rows * columns // 4)


def squeeze_only(design: AttentionDesign) -> AttentionDesign:
    """The design without its excitation, so that one basis tensor serves all gates."""
    return AttentionDesign(
        design.squeeze,
        wavelet=design.wavelet,
        depth=design.depth,
        selection=design.selection,
        statistic=design.statistic,
        each=design.each,
        seed=design.seed,
        excitation="fc",
    )
