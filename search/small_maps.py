"""The maps of our networks for small images, told without PyTorch: to import it takes longer than to make a report."""

from __future__ import annotations

from search_space import AttentionDesign, Site
from trainers.small_shapes import SMALL


def small_maps(design: AttentionDesign, backbone: str, image_size: int) -> tuple[Site, ...] | None:
    """The first place of each size of map; None for another network, or a design that is not at the end of a branch."""
    if backbone not in SMALL or design.place != "after-norm":
        return None
    widths = SMALL[backbone].outputs
    sides = [-(-image_size // 2**stage) for stage in range(len(widths))]
    return tuple(Site(channels, side, side) for channels, side in zip(widths, sides, strict=True))
