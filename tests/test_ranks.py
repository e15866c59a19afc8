"""Non-dominated ranks against the definition, written out pair by pair."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from results.ranks import fronts, nondominated_ranks

numbers = st.sampled_from([0.0, -0.0, 1.0, 2.0, 3.5, -1.0, math.inf, -math.inf, math.nan])
points = st.integers(1, 4).flatmap(lambda k: st.lists(st.lists(numbers, min_size=k, max_size=k), max_size=14))


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    a, b = ([math.inf if math.isnan(x) else x for x in point] for point in (one, other))
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def peeled(values: Sequence[Sequence[float]]) -> list[int]:
    """Goldberg's sorting: what nothing left dominates is the next front."""
    ranks: dict[int, int] = {}
    while len(ranks) < len(values):
        left = [i for i in range(len(values)) if i not in ranks]
        front = [i for i in left if not any(dominates(values[j], values[i]) for j in left)]
        ranks.update(dict.fromkeys(front, max(ranks.values(), default=-1) + 1))
    return [ranks[i] for i in range(len(values))]


@given(points)
def test_ranks_are_the_fronts_left_when_better_ones_are_taken_away(values: list[list[float]]) -> None:
    assert nondominated_ranks(values) == peeled(values)


@given(points)
def test_fronts_hold_every_point_once_and_are_ordered_by_the_first_number(values: list[list[float]]) -> None:
    found = list(fronts(values))
    assert sorted(i for front in found for i in front) == list(range(len(values)))
    for rank, front in enumerate(found):
        assert all(peeled(values)[i] == rank for i in front)
        first = [math.inf if math.isnan(values[i][0]) else values[i][0] for i in front]
        assert first == sorted(first)


def test_a_front_by_hand() -> None:
    """(1, 4), (2, 2), (4, 1) are a front; (2, 3) lies behind (2, 2) only, (4, 4) behind (2, 3) as well."""
    assert nondominated_ranks([(4, 4), (1, 4), (2, 2), (4, 1), (2, 3)]) == [2, 0, 0, 0, 1]


def test_equal_points_share_a_rank_and_one_objective_is_ranked_by_its_values() -> None:
    assert nondominated_ranks([[3.0], [1.0], [3.0], [2.0], [1.0]]) == [2, 0, 2, 1, 0]


def test_a_number_that_is_none_is_worse_than_every_number() -> None:
    assert nondominated_ranks([[math.nan], [1e300], [math.nan]]) == [1, 0, 1]
    assert nondominated_ranks([[0.0, math.nan], [0.0, 1e300]]) == [1, 0]


def test_ten_thousand_points_take_no_minutes() -> None:
    """Pair by pair in Python they do; here about 0.4 s on one core, and the chain is the worst case."""
    rng = random.Random(0)
    start = time.perf_counter()
    assert max(nondominated_ranks([[i, i] for i in range(10_000)])) == 9_999
    nondominated_ranks([[rng.random() for _ in range(3)] for _ in range(10_000)])
    assert time.perf_counter() - start < 10
