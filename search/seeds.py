"""Seeds of trainings, as they are asked for. Imports no torch."""

from __future__ import annotations

from search.lookout import SearchError


def seeds_from(first: int, number: int) -> range:
    """`first`, first + 1... Raises `SearchError` for what no row can hold."""
    for seed in (first, first + number - 1):
        if not 0 <= seed < 2**63:
            raise SearchError(f"seed: {seed} given; allowed: 0 to 2^63 - 1.")
    return range(first, first + number)
