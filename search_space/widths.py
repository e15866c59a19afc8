"""What a design's numbers amount to at a given number of channels, and where they can't. Imports no torch."""

from __future__ import annotations

from dataclasses import replace
from math import log2

from search_space.design import AttentionDesign
from search_space.errors import refuse

NARROWEST_STRIP = 8


def check_width(design: AttentionDesign, channels: int) -> None:
    """Raises `DesignError` where the excitation is impossible, or deaf, at this number of channels."""
    if design.excitation == "mlp":
        assert design.reduction is not None
        if design.reduction > channels:
            refuse("reduction", f"r{design.reduction} with {channels} channels", f"1 to {channels}")
        if design.norm and hidden_width(design, channels) == 1:
            refuse(
                "reduction",
                f"r{design.reduction}-ln with {channels} channels",
                f"1 to {channels // 2}: layer norm makes one hidden number a constant",
            )
    compares = design.excitation in ("pfca", "gaussian") or design.groups is not None
    if compares and channels < 2:
        refuse("excitation", f"{design.excitation} with {channels} channel", "2 channels or more: it compares channels")


def hidden_width(design: AttentionDesign, channels: int) -> int:
    """C // r; `check_width` refuses 0."""
    assert design.reduction is not None
    return channels // design.reduction


def resolve(design: AttentionDesign, channels: int) -> AttentionDesign:
    """The design with every number replaced by what it amounts to at this width."""
    if design.excitation == "conv1d":
        return replace(design, kernel=kernel_size(design, channels))
    if design.excitation == "affine" and design.groups:
        return replace(design, groups=channel_groups(design, channels))
    if design.reduction is None:
        return design
    if design.squeeze == "coordinate":
        width = strip_width(design, channels)
        return replace(design, reduction=channels if width == NARROWEST_STRIP else channels // width)
    inputs = channels * (4 if design.squeeze == "wavenet-ae" else 1)
    return replace(design, reduction=inputs // max(1, inputs // design.reduction))


def strip_width(design: AttentionDesign, channels: int) -> int:
    """Coordinate attention's hidden width max(8, C // r)."""
    assert design.reduction is not None
    return max(NARROWEST_STRIP, channels // design.reduction)


def kernel_size(design: AttentionDesign, channels: int) -> int:
    """The design's own kernel, else ECA eq. 12 with gamma = 2, b = 1: the odd number at or above |(log2 C + 1) / 2|."""
    if design.kernel is not None:
        return design.kernel
    floor = int(abs((log2(channels) + 1) / 2))
    return floor if floor % 2 else floor + 1


def channel_groups(design: AttentionDesign, channels: int) -> int:
    """The groups asked for, or the most below that which divide C and keep 4 channels together.

    A group of one channel, standardised, is always 0. From 256 channels on, 64 groups are LCT's 64.
    """
    assert design.groups is not None
    most = min(design.groups, max(1, channels // 4))
    return max(groups for groups in range(1, most + 1) if channels % groups == 0)
