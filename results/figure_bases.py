"""What a squeeze listens to: the rows of its basis, as pictures of the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from results.figure_style import MUTED, new_figure, style
from search_space.design import AttentionDesign
from search_space.errors import DesignError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from search_space.bases import Array
    from search_space.sites import Site

_MOST_TILES = 49
_ACROSS = 8
_FEWEST = 4
_ASIDE = 2.6  # inches of a panel beside others: room for its heading
_TILE = 1.0  # inches
_HEADING = 0.5
NOTE = "red above zero, blue below, each tile scaled to itself"


@dataclass(frozen=True)
class Panel:
    """What one place hears: a heading, and a named picture for every row of its basis."""

    heading: str
    names: list[str]
    tiles: list[Array]


def bases(heard: Sequence[tuple[AttentionDesign, Site]], caption: str | None = None) -> Figure:
    """What each squeeze listens to on its map: a panel for each (design, site), a tile for every row of its basis.

    Raises `DesignError` for a squeeze without a basis.
    """
    panels = [_panel(design, site) for design, site in heard]
    lines = [-(-len(panel.tiles) // _ACROSS) for panel in panels]
    heights = [_HEADING + (_TILE + 0.2) * n for n in lines]
    most = max(len(panel.tiles) for panel in panels)
    aside = most <= 2 and len(panels) > 1  # small panels stand side by side
    across = 2 if aside else max(_FEWEST, min(_ACROSS, most))
    width = _ASIDE * len(panels) if aside else 0.5 + _TILE * across
    with style():
        figure = new_figure(width, (0.9 if caption else 0.1) + (max(heights) if aside else sum(heights)), caption)
        if aside:
            parts = figure.subfigures(1, len(panels), squeeze=False)[0]
        else:
            parts = figure.subfigures(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
        for part, panel, rows in zip(parts, panels, lines, strict=True):
            part.set_facecolor("none")
            part.suptitle(panel.heading, fontsize="small", x=0.01, ha="left")
            axes = part.subplots(rows, across, squeeze=False).ravel()
            for axis in axes:
                axis.set_axis_off()
            for axis, name, tile in zip(axes, panel.names, panel.tiles, strict=False):
                largest = abs(tile).max() or 1.0
                axis.imshow(tile, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
                axis.set_title(name, fontsize="x-small", loc="center", color=MUTED)
    return figure


def check(heard: Sequence[tuple[AttentionDesign, Site]]) -> None:
    """Raises `DesignError` where `bases` would."""
    for design, site in heard:
        _panel(design, site)


def _panel(design: AttentionDesign, site: Site) -> Panel:
    from search_space import bases

    size = f"{site.height} x {site.width} map"
    if design.squeeze == "wavelet" and design.statistic == "energy":
        heading = f"{size}: one wavelet of each band; the squeeze sums the squares over all its shifts"
        return Panel(heading, _band_names(design), bases.middle_wavelets(design, site.height, site.width))
    if not (bases.is_linear(design) or design.learned):
        raise DesignError(
            f"design {str(design)!r}: its squeeze has no basis to draw; allowed: avg, dct, wavelet, recursive, ortho."
        )
    rows = bases.basis(design, site.height, site.width, site.channels)
    more = f", the first {_MOST_TILES} of {len(rows)}" if len(rows) > _MOST_TILES else ""
    heading = f"{size}: {_who_hears(design, site.channels, len(rows))}{more}"
    return Panel(heading, _names(design, site, len(rows)), list(rows[:_MOST_TILES]))


def _who_hears(design: AttentionDesign, channels: int, rows: int) -> str:
    if rows == 1:
        return "every channel hears it"
    if design.learned:
        return f"what each of {design.entries} channel groups chooses among"
    if design.each:
        return "every channel hears all of them"
    return f"one for each of {rows} groups of the {channels} channels, in order"


def _names(design: AttentionDesign, site: Site, rows: int) -> list[str]:
    from search_space.frequencies import GRID, frequencies

    if design.squeeze == "dct":
        # FcaNet's rule: the index of the 7-grid times the size over 7
        steps = [max(1, side // GRID) for side in (site.height, site.width)]
        return [_frequency_name(u, v, *steps) for u, v in frequencies(str(design.selection))]
    if design.squeeze == "wavelet":
        return _band_names(design)
    if design.squeeze == "recursive":
        return ["mean", "change by row", "change by column", "diagonal"]
    return ["mean"] if design.squeeze == "avg" else [str(index) for index in range(rows)]


def _frequency_name(u: int, v: int, step_h: int, step_w: int) -> str:
    own = f"({u},{v})"
    here = f"({u * step_h},{v * step_w})"
    return own if own == here else f"{own} is {here}"


def _band_names(design: AttentionDesign) -> list[str]:
    from search_space import bases

    assert design.depth is not None
    order = bases.bands(design.depth)
    return [_band_name(*order[i]) for i in bases.selected_bands(design)]


def _band_name(level: int, along_h: bool, along_w: bool) -> str:
    if not (along_h or along_w):
        return f"level {level}: mean"
    return f"{level}: " + ("diagonal" if along_h and along_w else "by row" if along_h else "by column")
