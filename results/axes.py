"""The axes of a design as columns beside its row: what `group by squeeze, excitation` groups by."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING, Any

from search_space import AttentionDesign, UserError, find_design
from search_space.text import excitation_text

if TYPE_CHECKING:
    import pandas as pd

AXES = (
    *("squeeze", "wavelet", "depth", "frequencies", "bands", "selection", "statistic", "each"),
    *("excitation", "reduction", "kernel", "placement"),
)
"""In the order of a design's text, called as in a `Space`. `selection` is two of them in one column: the
frequencies of a DCT, or the bands of a wavelet."""

_NUMBERS = ("depth", "reduction", "kernel")
_NOTHING = dict.fromkeys(AXES)


@cache
def axes_of(text: str) -> dict[str, Any]:
    """{axis: value} of a design's text: words of the space's axes, None where the design has no such axis.

    A network of several designs (` | `) has `layered` for its squeeze, one that this version can't read `unreadable`.
    Not to be changed.
    """
    try:
        design = find_design(text)
    except UserError:
        return _NOTHING | {"squeeze": "unreadable"}
    if not isinstance(design, AttentionDesign):
        return _NOTHING | {"squeeze": "layered"}
    is_basis = design.squeeze in ("dct", "wavelet", "recursive")
    return _NOTHING | {
        "squeeze": design.squeeze,
        "wavelet": design.wavelet,
        "depth": design.depth,
        "frequencies": design.selection if design.squeeze == "dct" else None,
        "bands": design.selection if design.squeeze == "wavelet" else None,
        "selection": design.selection,
        "statistic": design.statistic if design.squeeze == "wavelet" else None,
        "each": design.each if is_basis else None,
        "excitation": None if design.excitation is None else excitation_text(design, "g"),
        "reduction": design.reduction,
        "kernel": design.kernel,
        "placement": None if design.squeeze == "none" else design.place,
    }


def with_axes(frame: pd.DataFrame, axes: Collection[str] = AXES) -> pd.DataFrame:
    """The frame with a column for each of these axes, from its column `design`; missing is None, or NA of a number."""
    texts = frame["design"].astype(object)
    found = {text: axes_of(text) for text in texts.unique()}
    return frame.assign(
        **{
            axis: _column(axis, texts.map({text: of[axis] for text, of in found.items()}))
            for axis in AXES
            if axis in axes
        }
    )


def _column(axis: str, values: pd.Series[Any]) -> pd.Series[Any]:
    if axis in _NUMBERS:
        return values.astype("Int64")
    words = values.astype(object)
    return words.where(words.notna(), None)
