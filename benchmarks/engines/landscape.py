"""A made-up truth over a space of designs: effects of single choices, and of pairs of them."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import combinations
from statistics import mean, pstdev

from search_space import AttentionDesign, Space

PAIR_SHARE = 0.3  # of the variance of a choice's own effect, that the effect of a pair of choices has


def landscape(space: Space, seed: int) -> dict[AttentionDesign, float]:
    """The truth of every distinct design, in standard deviations of the space; more is better.

    A design is as good as the sum over its choices, and over the pairs of them, of effects drawn from a normal
    distribution. A sampler sees nothing of this but what it is told.
    """
    rng = random.Random(f"landscape {seed}")
    single: dict[tuple[str, object], float] = defaultdict(lambda: rng.gauss(0, 1))
    pair: dict[tuple[object, ...], float] = defaultdict(lambda: rng.gauss(0, PAIR_SHARE**0.5))
    raw = {}
    for design in space.distinct():
        chosen = sorted(space.choices(design).items())
        own = sum(single[choice] for choice in chosen)
        raw[design] = own + sum(pair[both] for both in combinations(chosen, 2))
    middle, spread = mean(raw.values()), pstdev(raw.values())
    return {design: (value - middle) / spread for design, value in raw.items()}
