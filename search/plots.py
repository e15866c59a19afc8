"""Pictures. matplotlib is imported only here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from search_space.design import AttentionDesign
from search_space.errors import DesignError, UserError

if TYPE_CHECKING:
    from search_space.bases import Array

_MOST_TILES = 49
_ACROSS = 16


def draw_basis(design: AttentionDesign, sizes: list[tuple[int, int]], channels: list[int], path: Path) -> None:
    """What the squeeze listens to: a tile for every row of its basis, at every size of map.

    A tile's colours are symmetric about white (zero), scaled to its own largest value. For band energies a tile is
    the wavelet at the middle of the band. Raises `UserError` for a squeeze without a basis, or an impossible file.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    shown = [(size, *_tiles(design, *size, channels)) for size in dict.fromkeys(sizes)]
    lines = [-(-len(tiles) // _ACROSS) for _, _, tiles in shown]
    across = min(_ACROSS, max(len(tiles) for _, _, tiles in shown))
    figure = Figure(figsize=(1.0 + 0.9 * across, 0.6 + sum(0.45 + 1.05 * n for n in lines)), layout="constrained")
    figure.suptitle(str(design))
    parts = figure.subfigures(len(shown), 1, height_ratios=[0.45 + 1.05 * n for n in lines], squeeze=False)[:, 0]
    for part, (size, names, tiles), rows in zip(parts, shown, lines, strict=True):
        part.suptitle(f"{size[0]} x {size[1]} map", fontsize="small", x=0.01, ha="left")
        axes = part.subplots(rows, across, squeeze=False).ravel()
        for axis in axes:
            axis.set_axis_off()
        for axis, name, tile in zip(axes, names, tiles, strict=False):
            largest = abs(tile).max() or 1.0
            axis.imshow(tile, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
            axis.set_title(name, fontsize="xx-small")
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise UserError(
            f"plot file {str(path)!r} can't be written: {error}. Name a .png, .svg or .pdf file."
        ) from error


def _tiles(design: AttentionDesign, height: int, width: int, channels: list[int]) -> tuple[list[str], list[Array]]:
    """Names and pictures of the rows at one size."""
    from search_space import bases
    from search_space.frequencies import frequencies

    if design.squeeze == "wavelet" and design.statistic == "energy":
        tiles = bases.middle_wavelets(design, height, width)
    elif bases.is_linear(design) or design.learned:
        tiles = list(bases.basis(design, height, width, max(channels))[:_MOST_TILES])
    else:
        raise DesignError(
            f"design {str(design)!r}: its squeeze has no basis to draw; allowed: dct, wavelet, recursive, ortho."
        )
    if design.squeeze == "dct":
        names = [f"({u},{v})" for u, v in frequencies(str(design.selection))]
    elif design.squeeze == "wavelet":
        assert design.depth is not None
        order = bases.bands(design.depth)
        names = [_band_name(*order[i]) for i in bases.selected_bands(design)]
    elif design.squeeze == "recursive":
        names = ["mean", "row", "column", "diagonal"]
    else:
        names = [str(index) for index in range(len(tiles))]
    return names, tiles


def _band_name(level: int, along_h: bool, along_w: bool) -> str:
    if not (along_h or along_w):
        return f"{level} mean"
    return f"{level} " + ("diagonal" if along_h and along_w else "row" if along_h else "column")
