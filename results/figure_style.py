"""How figures look, on paper and in a page that may be light or dark; and how they become files.

matplotlib's Figure objects are used without pyplot: nothing is kept between two figures.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

from results.files import check_folder, write_whole
from search_space.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1b1f24", "#59626e", "#dde1e7", "#fefefe"
CLOUD = "#8b95a5"
BLUE, ORANGE, GREEN, PURPLE = "#0068ad", "#c2500a", "#007a5a", "#9c4084"
DARK = {
    INK: "#e7e9ec",
    MUTED: "#a7b0bc",
    GRID: "#343a43",
    PAPER: "#16191e",
    CLOUD: "#7f8a9a",
    BLUE: "#63b3f5",
    ORANGE: "#f39a57",
    GREEN: "#45c79d",
    PURPLE: "#df95c8",
}
"""Every colour of a figure, and what it is in a dark page. Hues after Okabe and Ito, which colour-blind people tell
apart; never the only sign: shapes, dashes or words say the same."""

NAMES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    PAPER: "paper",
    CLOUD: "cloud",
    BLUE: "blue",
    ORANGE: "orange",
    GREEN: "green",
    PURPLE: "purple",
}
_RC = {
    "text.parse_math": False,  # a name from a storage is no formula
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: a figure is the same on every machine
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": PAPER,
    "axes.formatter.useoffset": False,  # 12.5081 is read at once, 0.0081 + 1.25e1 is not
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": PAPER,
    "legend.frameon": False,
    "svg.fonttype": "none",
}
_LONGEST_LABEL = 44
_RASTER_DPI = 160
_PIXELS_A_POINT = 1.7  # at most: letters of a wide and of a narrow figure are of one size


@contextmanager
def style() -> Iterator[None]:
    """Within it figures are made and written: the house's colours, and no warning for a letter a font lacks."""
    import matplotlib as mpl

    with mpl.rc_context(_RC), warnings.catch_warnings():  # type: ignore[arg-type]
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        yield


def new_figure(width: float, height: float, caption: str | None) -> Figure:
    """An empty figure, inches; the caption stands above, left, in lines of its width."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    if caption is not None:
        figure.suptitle(_folded(caption, int(width * 15)), x=0.01, ha="left", fontsize=8.5, color=MUTED)
    return figure


def printable(text: object) -> str:
    """On one line: a control character is no XML, and one that turns the direction of reading misleads."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))


def label(text: object) -> str:
    """A text from a storage as one short printable line."""
    line = printable(text)
    return line if len(line) <= _LONGEST_LABEL else f"{line[: _LONGEST_LABEL - 1]}…"


def svg(figure: Figure, name: str, alternative: str) -> str:
    """The figure as an <svg> element for a page: text is text, colours are the page's `--fig-...` variables.

    `name` makes its ids its own on the page; `alternative` is what it says to those who can't see it.
    """
    import matplotlib as mpl

    alternative = printable(alternative)
    buffer = io.BytesIO()
    with style(), mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, dpi=_RASTER_DPI, metadata=_NO_METADATA)
    text = buffer.getvalue().decode("utf-8")
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.S)
    text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for colour, role in NAMES.items():
        text = text.replace(colour, f"var(--fig-{role})")
    text = re.sub(r"'DejaVu Sans'", "var(--fig-font)", text)
    head, _, body = text.partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    assert box is not None
    opening = (
        f'<svg {box.group()} style="max-width:{_PIXELS_A_POINT * figure.get_figwidth() * 72:.0f}px" role="img" '
        f"aria-label={quoteattr(alternative)} xmlns:xlink={_XLINK} xmlns={_SVG}>"
    )
    return f"{opening}<title>{escape(alternative)}</title>{body}"


_NO_METADATA: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_XLINK, _SVG = '"http://www.w3.org/1999/xlink"', '"http://www.w3.org/2000/svg"'


FORMATS = (".png", ".svg", ".pdf")


def check_picture(path: Path) -> None:
    """Raises `UserError` for a file that no picture can be written to, before the work is done."""
    if path.suffix.lower() not in FORMATS or path.is_dir():
        raise UserError(
            f"plot file {str(path)!r} is not possible; allowed: a file that ends in {', '.join(FORMATS[:-1])} or "
            f"{FORMATS[-1]}."
        )
    check_folder(path)


def write_picture(figure: Figure, path: Path) -> None:
    """The figure in the format that the file's ending names; the file is whole or as it was. Raises `UserError`."""
    check_picture(path)
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=_RASTER_DPI)
    write_whole(path, buffer.getvalue())


def _folded(text: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(printable(text), width))
