"""Which squeeze a report draws, where in the network, and what it says of a winner that has nothing to draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from results import figure_bases
from search_space import AttentionDesign, Layered, Site, UserError, find_design

SitesOf = Callable[[AttentionDesign, str, int], Sequence[Site]]
"""(design, backbone, image size) -> its places in the network, in forward order."""

Heard = list[tuple[AttentionDesign, Site]]

_PANELS = 4
_ANYWHERE = Site(64, 16, 16)


def bases_of(best: Sequence[str], rows: pd.DataFrame, sites: SitesOf | None) -> tuple[str, Heard]:
    """What to say of the squeeze of the first of these designs; and (design, place) for each size of map of the first
    that has patterns to draw, in the network of the rows; none if no design has."""
    backbone, size = str(rows["backbone"].iloc[0]), int(rows["image_size"].iloc[0])
    of_winner = ""
    for number, text in enumerate(best, 1):
        design, nothing = _patterns(text)
        of_winner = of_winner or nothing
        if design is None:
            continue
        where, heard = _heard(design, backbone, size, sites)
        if number == 1:
            return f"{design}, {where}.", heard
        return f"{of_winner} Drawn is the first that has patterns, number {number}: {design}, {where}.", heard
    others = f" The other {len(best) - 1} of the best have none either." if len(best) > 1 else ""
    return f"{of_winner}{others}", []


def _patterns(text: str) -> tuple[AttentionDesign | None, str]:
    """The design if it has patterns to draw; else why it has none."""
    try:
        design = find_design(text)
    except UserError:
        return None, f"This version of attnas can't read {text}: no pattern of it is drawn."
    if isinstance(design, Layered):
        return None, f"At each place {text} is another design: none is drawn."
    if design.squeeze == "none":
        return None, "No attention (none) listens to nothing."
    if design.canonical().squeeze == "avg":
        return (
            None,
            f"The squeeze of {text} is the average of the map: every pixel counts the same, no pattern is to be drawn.",
        )
    try:
        figure_bases.check([(design, _ANYWHERE)])
    except UserError:
        return None, f"The squeeze of {text} is no inner product with fixed patterns: there is none to draw."
    return design, ""


def _heard(design: AttentionDesign, backbone: str, size: int, sites: SitesOf | None) -> tuple[str, Heard]:
    """In words where the design is, and its first place of each size of map, at most four."""
    try:
        places = list(sites(design, backbone, size)) if sites is not None else []
        first = {(place.height, place.width): place for place in reversed(places)}.values()
        heard = [(design, place) for place in list(first)[::-1][:_PANELS]]
        figure_bases.check(heard)
    except UserError:
        heard = []  # no network of ours
    if heard:
        return f"in {backbone} at {size} px", heard
    return f"on a map of {_ANYWHERE.height} x {_ANYWHERE.width} with {_ANYWHERE.channels} channels", [
        (design, _ANYWHERE)
    ]
