"""A design on one network: does it fit, what is it there, what does it add. Builds nothing.

A site is one place where the network applies the design: the shape of the map there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from search_space.canonical import absorbs_scale
from search_space.design import AttentionDesign
from search_space.errors import refuse
from search_space.layered import Layered, spread
from search_space.widths import check_width, resolve

_DEAF_TO_ONE_PIXEL = {"std", "skew", "entropy", "relentropy"}  # the same for every image


class Site(NamedTuple):
    """The map there, and the channels of the residual block's earlier convolutions, which only a bridge hears."""

    channels: int
    height: int
    width: int
    sources: tuple[int, ...] = ()


def check(design: AttentionDesign | Layered, sites: Sequence[Site]) -> None:
    """Raises `DesignError` naming axis, stage and what is allowed if the design is impossible at one of the sites."""
    for site, one in dict.fromkeys(zip(sites, spread(design, len(sites)), strict=True)):  # most are like others
        check_channels(one, site.channels)
        side = min(site.height, site.width)
        if one.depth is not None and 2 ** (one.depth - 1) >= side:
            deepest = (side - 1).bit_length()
            allowed = f"1 to {deepest}" if deepest else "none"
            where = f"{one.depth} on a {site.height}x{site.width} map of {site.channels} channels"
            refuse("wavelet depth", where, f"{allowed}; use a shallower analysis or larger images")
        deaf = set(one.statistics) and set(one.statistics) <= _DEAF_TO_ONE_PIXEL
        if deaf and site.height * site.width == 1:
            refuse(
                "squeeze", f"{one.squeeze} on a 1x1 map of {site.channels} channels", "a statistic that can vary there"
            )
        if one.squeeze == "simam" and site.height * site.width == 1:
            refuse("simam", f"on a 1x1 map of {site.channels} channels", "2 pixels or more; use larger images")


def check_channels(design: AttentionDesign, channels: int) -> None:
    """The part of `check` that depends on the width alone."""
    if design.is_block:
        from search_space.blocks import BLOCKS  # imports torch

        BLOCKS[design.squeeze].check(design, channels)
        return
    if design.squeeze == "none":
        return
    if design.entries > channels and not design.each:
        given = f"{design.selection or design.squeeze} with {channels} channels"
        refuse("selection", given, f"at most {channels} entries, one a group; this has {design.entries}")
    check_width(design, channels)


def network_key(
    design: AttentionDesign | Layered,
    *,
    backbone: str,
    image_size: int,
    num_classes: int,
    sites: Sequence[Site],
    scale: str = "unit",
) -> str:
    """Text that is equal exactly for designs that make one network of this backbone: what caching and dedupe use.

    The canonical design with everything resolved that depends on the network (ECA's kernel, the reduction that C // r
    amounts to), one for each run of equal sites; one for each site where a `Layered` is no uniform design.
    `scale="paper"` multiplies DCT and wavelet rows by sqrt(HW): without weights to absorb that, the average and the
    spellings that are otherwise the same are then two functions.
    """
    resolved = _resolved(design, sites, scale)
    if isinstance(design, AttentionDesign) or resolved in (_resolved(one, sites, scale) for one in _uniform(design)):
        resolved = [text for text, _ in groupby(resolved)]
    return f"{backbone}@{image_size}px/{num_classes}: " + " | ".join(resolved)


def _resolved(design: AttentionDesign | Layered, sites: Sequence[Site], scale: str) -> list[str]:
    """What the design is at each place."""
    told: dict[tuple[AttentionDesign, int], str] = {}
    places = [(one, site.channels) for site, one in zip(sites, spread(design, len(sites)), strict=True)]
    for one, channels in places:
        if (one, channels) not in told:
            told[one, channels] = str(resolve(_canonical(one, scale), channels))
    return [told[place] for place in places]


def _uniform(design: Layered) -> set[AttentionDesign]:
    """The designs that, everywhere the same, could be this one: only then do runs say where each of them begins."""
    adaptive = {replace(one, kernel=None) for one in design.designs if one.excitation == "conv1d"}
    return adaptive | set(design.designs)


def _canonical(design: AttentionDesign, scale: str) -> AttentionDesign:
    canonical = design.canonical()
    absorbed = scale == "unit" or absorbs_scale(design)
    if not absorbed and canonical.squeeze == "avg" and design.squeeze != "avg":
        return replace(canonical, squeeze="dct", selection="low1")
    return canonical


Cost = Callable[[AttentionDesign, Site], int]


def added_params(design: AttentionDesign | Layered, sites: Sequence[Site]) -> int:
    """Parameters the design adds to the network, in closed form."""
    return _sum(_params, design, sites)


def added_macs(design: AttentionDesign | Layered, sites: Sequence[Site]) -> int:
    """Multiply-accumulates the design adds for one image: squeeze inner products and the excitation's layers.

    Those of its canonical spelling: one function has one cost, and FcaNet's frequency (0, 0) alone is the average.
    """
    return _sum(_squeeze_macs, design, sites) + added_layer_macs(design, sites)


def added_layer_macs(design: AttentionDesign | Layered, sites: Sequence[Site]) -> int:
    """The part of `added_macs` in the layers that papers count: excitations, and blocks whole."""
    return _sum(_layer_macs, design, sites)


def _sum(cost: Cost, design: AttentionDesign | Layered, sites: Sequence[Site]) -> int:
    places = Counter(zip(spread(design, len(sites)), sites, strict=True))
    return sum(number * cost(one, site) for (one, site), number in places.items() if one.squeeze != "none")


def _params(design: AttentionDesign, site: Site) -> int:
    from search_space.module import parts

    if design.is_block:
        from search_space.blocks import BLOCKS

        return BLOCKS[design.squeeze].params(design, site.channels, *_heard(design, site))
    squeeze, excitation = parts(design)
    return squeeze.params(design, site.channels) + excitation.params(design, site.channels)


def _layer_macs(design: AttentionDesign, site: Site) -> int:
    from search_space.module import parts

    if design.is_block:
        from search_space.blocks import BLOCKS

        return BLOCKS[design.squeeze].macs(design, *site[:3], *_heard(design, site))
    return parts(design)[1].macs(design, site.channels)


def _squeeze_macs(design: AttentionDesign, site: Site) -> int:
    from search_space.module import parts

    if design.is_block:
        return 0
    design = design.canonical()
    return parts(design)[0].macs(design, *site[:3])


def _heard(design: AttentionDesign, site: Site) -> tuple[tuple[int, ...], ...]:
    """What a bridge must know besides its own width."""
    return (site.sources,) if design.squeeze == "ba" else ()
