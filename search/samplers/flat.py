"""A space of conditional axes as one fixed set of axes, for models that know nothing else."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.samplers.protocol import Taken
from search_space import AttentionDesign, Space


class Flat:
    """Each design has a value on each axis; None on one that it does not have.

    Optuna's models see only the axes that all trials share, which in a conditional space is little more than the
    squeeze; so they are given all of them.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.axes: dict[str, tuple[Any, ...]] = {axis: (*values, None) for axis, values in space.axes().items()}

    def params(self, design: AttentionDesign) -> dict[str, Any]:
        return dict.fromkeys(self.axes) | self.space.choices(design)

    def design(self, params: Mapping[str, Any], rng: random.Random) -> AttentionDesign:
        """What `params` lead to; an axis that is needed but None is chosen at random. Raises `DesignError`."""

        def choose(axis: str, options: tuple[Any, ...]) -> Any:
            return rng.choice(options) if params[axis] is None else params[axis]

        return self.space.decide(choose)

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """The distinct designs, [n, axes], as indices into the values of each axis."""
        index = {axis: {value: i for i, value in enumerate(values)} for axis, values in self.axes.items()}
        rows = map(self.params, self.space.distinct())
        return np.array([[index[axis][value] for axis, value in row.items()] for row in rows], dtype=np.float64)

    def nearest(self, params: Mapping[str, Any], rng: random.Random, taken: Taken) -> AttentionDesign | None:
        """The free distinct design that agrees with `params` on the most axes, equals at random; None if all are taken.

        `params` need not name all axes, nor lead to a design.
        """
        distinct = self.space.distinct()
        agreeing = np.zeros(len(distinct))
        for column, (axis, values) in enumerate(self.axes.items()):
            if params.get(axis) is not None:
                agreeing += self.points[:, column] == values.index(params[axis])
        chance = np.random.default_rng(rng.getrandbits(64)).random(len(distinct))
        order = np.argsort(chance - agreeing)
        return next((distinct[index] for index in order if not taken(distinct[index])), None)
