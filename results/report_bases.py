"""Which squeeze a report draws, and where in the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from results import figure_bases
from search_space import AttentionDesign, DesignError, Site, UserError, find_design

SitesOf = Callable[[AttentionDesign, str, int], Sequence[Site]]
"""(design, backbone, image size) -> its places in the network, in forward order."""

_PANELS = 4


def winning_bases(
    best: pd.DataFrame, rows: pd.DataFrame, sites: SitesOf | None
) -> tuple[str, list[tuple[AttentionDesign, Site]]]:
    """A sentence, and (design, place) for each size of map of the best design whose squeeze has a basis."""
    passed: list[str] = []
    backbone, size = str(rows["backbone"].iloc[0]), int(rows["image_size"].iloc[0])
    for text in best["design"]:
        try:
            design = find_design(str(text))
            if not isinstance(design, AttentionDesign):
                raise DesignError(f"{text} is several designs")
            places = list(sites(design, backbone, size)) if sites is not None else []
            where = f"in {backbone} at {size} px" if places else "on a map of 16 x 16 with 64 channels"
            heard = [(design, site) for site in _sizes(places or [Site(64, 16, 16)])]
            figure_bases.check(heard)
        except UserError:
            passed.append(str(text))
            continue
        before = f"{', '.join(passed)} ranked before it, with no basis to draw. " if passed else ""
        return f"{before}{design}, {where}.", heard
    return "No squeeze of the best designs is an inner product with fixed patterns: there is no basis to draw.", []


def _sizes(places: Sequence[Site]) -> list[Site]:
    """The first place of each size of map, at most four."""
    return list({(place.height, place.width): place for place in reversed(places)}.values())[::-1][:_PANELS]
