"""A design on one network: does it fit, what is it there, what does it add. Builds nothing.

A site is one place where the network applies the design: the shape of the map after a residual block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from search_space.design import ABSORBS_SCALE, AttentionDesign, refuse


class Site(NamedTuple):
    channels: int
    height: int
    width: int


def check(design: AttentionDesign, sites: Sequence[Site]) -> None:
    """Raises `DesignError` naming axis, stage and what is allowed if the design is impossible at one of the sites."""
    for site in sites:
        check_channels(design, site.channels)
        side = min(site.height, site.width)
        if design.depth is not None and 2 ** (design.depth - 1) >= side:
            deepest = (side - 1).bit_length()
            allowed = f"1 to {deepest}" if deepest else "none"
            where = f"{design.depth} on a {site.height}x{site.width} map of {site.channels} channels"
            refuse("wavelet depth", where, f"{allowed}; use a shallower analysis or larger images")


def check_channels(design: AttentionDesign, channels: int) -> None:
    """The part of `check` that depends on the width alone."""
    if design.entries > channels and not design.each:
        refuse("selection", f"{design.selection} with {channels} channels", f"at most {channels} entries, one a group")
    if design.reduction is not None and design.reduction > channels:
        refuse("reduction", f"r{design.reduction} with {channels} channels", f"1 to {channels}")
    if design.excitation == "pfca" and channels < 2:
        refuse("excitation", f"pfca with {channels} channel", "2 channels or more: it compares channels")


def network_key(
    design: AttentionDesign,
    *,
    backbone: str,
    image_size: int,
    num_classes: int,
    sites: Sequence[Site],
    scale: str = "unit",
) -> str:
    """Text that is equal exactly for designs that make one network of this backbone: what caching and dedupe use.

    The canonical design with everything resolved that depends on the network (ECA's kernel, the reduction that C // r
    amounts to), one for each run of equal sites. `scale="paper"` multiplies DCT and wavelet rows by sqrt(HW): without
    weights to absorb that, the average and the spellings that are otherwise the same are then two functions.
    """
    canonical = design.canonical()
    absorbed = scale == "unit" or design.excitation in ABSORBS_SCALE
    if not absorbed and canonical.squeeze == "avg" and design.squeeze != "avg":
        canonical = replace(canonical, squeeze="dct", selection="low1")
    resolved = [str(_resolve(canonical, site.channels)) for site in sites]
    return f"{backbone}@{image_size}px/{num_classes}: " + " | ".join(text for text, _ in groupby(resolved))


def _resolve(design: AttentionDesign, channels: int) -> AttentionDesign:
    from search_space.excitation import hidden_width, kernel_size  # imports torch

    if design.excitation == "conv1d":
        return replace(design, kernel=kernel_size(design, channels))
    if design.excitation == "mlp":
        return replace(design, reduction=channels // hidden_width(design, channels))
    return design


def added_params(design: AttentionDesign, sites: Sequence[Site]) -> int:
    """Parameters the design adds to the network, in closed form."""
    if design.squeeze == "none":
        return 0
    from search_space.excitation import EXCITATIONS

    assert design.excitation is not None
    return sum(EXCITATIONS[design.excitation].params(design, site.channels) for site in sites)


def added_macs(design: AttentionDesign, sites: Sequence[Site]) -> int:
    """Multiply-accumulates the design adds for one image: squeeze inner products and the excitation's layers.

    Those of its canonical spelling: one function has one cost, and FcaNet's frequency (0, 0) alone is the average.
    """
    if design.squeeze == "none":
        return 0
    from search_space.excitation import EXCITATIONS
    from search_space.squeeze import squeeze_of

    design = design.canonical()
    assert design.excitation is not None
    excitation = EXCITATIONS[design.excitation]
    return sum(squeeze_of(design).macs(design, *site) + excitation.macs(design, site.channels) for site in sites)
