"""Which DCT frequencies a selection names. Imports no torch."""

from __future__ import annotations

import re

GRID = 7  # FcaNet's frequencies are pairs of 0..6
DCT_LARGEST = 32  # FcaNet publishes three ordered tables of 32 frequencies
FAMILIES = ("low", "top", "bottom", "learned")
# FcaNet's published frequencies (u along H, v along W) on its 7 x 7 grid; the order is the ranking.
TABLES = {
    "top": (
        (0, 0, 6, 0, 0, 1, 1, 4, 5, 1, 3, 0, 0, 0, 3, 2, 4, 6, 3, 5, 5, 2, 6, 5, 5, 3, 3, 4, 2, 2, 6, 1),
        (0, 1, 0, 5, 2, 0, 2, 0, 0, 6, 0, 4, 6, 3, 5, 2, 6, 3, 3, 3, 5, 1, 1, 2, 4, 2, 1, 1, 3, 0, 5, 3),
    ),
    "low": (
        (0, 0, 1, 1, 0, 2, 2, 1, 2, 0, 3, 4, 0, 1, 3, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4),
        (0, 1, 0, 1, 2, 0, 1, 2, 2, 3, 0, 0, 4, 3, 1, 5, 4, 3, 2, 1, 0, 6, 5, 4, 3, 2, 1, 0, 6, 5, 4, 3),
    ),
    "bottom": (
        (6, 1, 3, 3, 2, 4, 1, 2, 4, 4, 5, 1, 4, 6, 2, 5, 6, 1, 6, 2, 2, 4, 3, 3, 5, 5, 6, 2, 5, 5, 3, 6),
        (6, 4, 4, 6, 6, 3, 1, 4, 4, 5, 6, 5, 2, 2, 5, 1, 4, 3, 5, 0, 3, 1, 1, 2, 4, 2, 1, 1, 5, 3, 3, 3),
    ),
}
ALL_FREQUENCIES = [(u, v) for u in range(GRID) for v in range(GRID)]


def frequency_list(selection: str | None) -> list[tuple[int, int]]:
    """The pairs (u, v) that `at00.01.60` spells out; empty for every other selection."""
    if not re.fullmatch(r"at[0-6]{2}(\.[0-6]{2})*", str(selection)):
        return []
    return [(int(pair[0]), int(pair[1])) for pair in str(selection)[2:].split(".")]


def dct_entries(selection: str | None) -> int:
    """How many frequencies a selection names; 0 if it is none."""
    listed = frequency_list(selection)
    if listed:
        return len(listed) if len(listed) <= DCT_LARGEST else 0
    match = re.fullmatch(r"([a-z]+)([1-9][0-9]{0,3})", str(selection))
    return int(match[2]) if match and match[1] in FAMILIES and int(match[2]) <= DCT_LARGEST else 0


def frequencies(selection: str) -> list[tuple[int, int]]:
    """The (u, v) pairs of `low16`, `top16`, `bottom16`, `at00.01`... on FcaNet's 7 x 7 grid, in its order.

    `learned16` chooses among all 49, which are returned.
    """
    family = selection.rstrip("0123456789")
    if family == "learned":
        return ALL_FREQUENCIES
    if family not in TABLES:
        return frequency_list(selection)
    count = int(selection[len(family) :])
    return list(zip(*TABLES[family], strict=True))[:count]


def spelled_out(pairs: list[tuple[int, int]]) -> str:
    """[(0, 0), (0, 1)] -> `at00.01`."""
    return "at" + ".".join(f"{u}{v}" for u, v in pairs)
