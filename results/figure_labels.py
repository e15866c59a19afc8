"""Names beside points, none over another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from results.figure_style import INK, MUTED, PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RADII = (8, 14, 21, 29, 38, 48, 60, 74, 90, 110)  # points
_ANGLES = (25, -25, 155, -155, 75, -75, 105, -105, 0, 180)
_POINT = 4.5  # half a marker's side, points
_LEAD_FROM = 12  # a name farther away is tied to its point by a line


def place_names(
    axes: Axes, named: Sequence[tuple[float, float, str]], marks: Sequence[tuple[float, float]]
) -> list[str]:
    """Write each name of `named` (x, y, name; the most important first) where it covers no other name and no mark.

    Returns the names for which there was no room. The layout of the figure is settled by this: add nothing after it.
    """
    from matplotlib.transforms import Bbox

    figure: Any = axes.get_figure()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    renderer = figure.canvas.get_renderer()
    scale = figure.dpi / 72
    points: Any = axes.transData.transform([(x, y) for x, y, _ in named]) if named else []
    half = _POINT * scale
    taken = [
        Bbox.from_extents(x - half, y - half, x + half, y + half)
        for x, y in [*points, *(axes.transData.transform(list(marks)) if marks else [])]
    ]
    inside = axes.get_window_extent(renderer)
    lost = []
    for (x, y, name), (px, py) in zip(named, points, strict=True):
        text = axes.annotate(
            name,
            (x, y),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=8,
            color=INK,
            bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
            zorder=6,
            in_layout=False,
        )
        size = text.get_window_extent(renderer)
        found = _free_place(px, py, size.width + 3 * scale, size.height, scale, taken, inside)
        if found is None:
            text.remove()
            lost.append(name)
            continue
        offset, box, radius = found
        text.xyann = offset
        taken.append(box)
        if radius > _LEAD_FROM:
            axes.annotate(
                "",
                (x, y),
                xytext=_nearest(box, px, py, scale),
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3},
                zorder=4,
                in_layout=False,
            )
    return lost


def _free_place(
    x: float, y: float, width: float, height: float, scale: float, taken: Sequence[Any], inside: Any
) -> tuple[tuple[float, float], Any, float] | None:
    """(offset of the text's corner in points, its box in pixels, distance in points)."""
    from matplotlib.transforms import Bbox

    for radius in _RADII:
        for angle in _ANGLES:
            dx = radius * math.cos(math.radians(angle)) * scale
            dy = radius * math.sin(math.radians(angle)) * scale
            left = x + dx - (width if dx < -1e-6 else 0 if dx > 1e-6 else width / 2)
            bottom = y + dy - height / 2
            box = Bbox.from_bounds(left, bottom, width, height)
            within = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
            if within and not any(box.overlaps(other) for other in taken):
                return ((left - x) / scale, (bottom - y) / scale + 1.5), box, radius
    return None


def _nearest(box: Any, x: float, y: float, scale: float) -> tuple[float, float]:
    """The point of the box nearest to (x, y), as an offset in points."""
    return (min(max(x, box.x0), box.x1) - x) / scale, (min(max(y, box.y0), box.y1) - y) / scale
