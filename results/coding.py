"""The levels of axes as columns of a linear model, and which of them the designs can tell apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

RANK = 1e-9
"""Singular values below this part of the largest are zeros: the columns are small whole numbers."""
SAME = 1e-6
"""What moves by less in a null direction (of length 1) does not move."""


@dataclass(frozen=True)
class Axis:
    """`codes` (shape [designs]) index `levels`, -1 where a design lacks the axis.

    `compared` (shape [levels]) are the levels whose differences the designs tell: the largest such set.
    """

    levels: tuple[str, ...]
    codes: Ints
    compared: NDArray[np.bool_]

    @property
    def told(self) -> int:
        """How many levels can be compared; 0 rather than 1."""
        number = int(self.compared.sum())
        return number if number > 1 else 0

    @property
    def centre(self) -> NDArray[np.bool_]:
        """[levels]: those whose average is zero: the compared ones, all where none are."""
        return self.compared if self.told else np.ones(len(self.levels), dtype=bool)

    @cached_property
    def coding(self) -> Floats:
        """[levels, levels - 1]: the free parameters that give each level its effect, their sum over `centre` zero."""
        last = int(np.flatnonzero(self.centre)[-1])
        coding = np.eye(len(self.levels))
        coding[last] = -self.centre.astype(float)
        return np.delete(coding, last, axis=1)

    @property
    def columns(self) -> Floats:
        """[designs, levels - 1]; zeros where a design lacks the axis."""
        return np.vstack([self.coding, np.zeros(self.coding.shape[1])])[self.codes]

    @property
    def designs(self) -> Ints:
        """How many designs each level has."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.levels))


def coded(words: Sequence[str | None]) -> Axis:
    levels = tuple(sorted({word for word in words if word is not None}, key=_natural))
    number = {level: index for index, level in enumerate(levels)} | {None: -1}
    return Axis(levels, np.array([number[word] for word in words], dtype=np.intp), np.ones(len(levels), dtype=bool))


def _natural(word: str) -> list[tuple[bool, int, str]]:
    """low2 before low16."""
    parts = re.split(r"(\d+)", word)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def comparable(axes: dict[str, Axis], designs: int) -> dict[str, Axis]:
    """The axes, each centred over the levels that the designs tell apart.

    The centre of an axis that comes with an operator is part of what that operator's effect is: a level that can't be
    told must not take the operator along. So once more after the centres have moved; operators come with none above.
    """
    for _ in range(3):
        *_, null = svd(np.linalg.qr(matrix(axes, designs))[1])
        if not null.size:
            break
        place = places(axes)
        axes = {
            name: replace(axis, compared=_largest(axis.coding @ null[place[name]], axis.designs))
            for name, axis in axes.items()
        }
    return axes


def _largest(moves: Floats, designs: Ints) -> NDArray[np.bool_]:
    """The largest set of levels of which none moves against another in a null direction; of equal ones the fullest."""
    same = np.abs(moves[:, None] - moves[None]).max(axis=2) < SAME
    sizes = [(int(row.sum()), int(designs[row].sum())) for row in same]
    return np.asarray(same[max(range(len(sizes)), key=sizes.__getitem__)])


def matrix(axes: Mapping[str, Axis], designs: int) -> Floats:
    return np.hstack([np.ones((designs, 1)), *(axis.columns for axis in axes.values())])


def places(axes: Mapping[str, Axis]) -> dict[str, slice]:
    ends = np.cumsum([1, *(len(axis.levels) - 1 for axis in axes.values())]).tolist()
    return {name: slice(*between) for name, between in zip(axes, pairwise(ends), strict=True)}


def svd(of: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """U, s, V of the rank of the matrix, and its null space [columns, columns - rank]."""
    U, s, Vt = np.linalg.svd(of, full_matrices=True)
    rank = int((s > RANK * s.max(initial=0.0)).sum())
    return U[:, :rank], s[:rank], Vt[:rank].T, Vt[rank:].T
