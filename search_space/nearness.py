"""Which designs of a space are one step apart, by look-up instead of comparing all pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from search_space.axis_values import Choice
from search_space.design import AttentionDesign

_Axes = tuple[str, ...]
_Table = dict[tuple[Choice, ...], list[AttentionDesign]]


class Nearness:
    """The neighbours of every design of `choices` (design -> its choice on each axis it has)."""

    def __init__(self, choices: Mapping[AttentionDesign, Mapping[str, Choice]]) -> None:
        self._choices = choices
        self._position = {design: index for index, design in enumerate(choices)}
        self._key = {design: design.key for design in choices}
        self._of_axes: dict[_Axes, list[AttentionDesign]] = defaultdict(list)
        for design, chosen in choices.items():
            self._of_axes[tuple(chosen)].append(design)
        self._tables: dict[tuple[_Axes, _Axes], _Table] = {}
        self._near: dict[AttentionDesign, tuple[AttentionDesign, ...]] = {}

    def of(self, design: AttentionDesign) -> tuple[AttentionDesign, ...]:
        """One design for each other key, in the order of the space: the first spelling that is one step away."""
        if design not in self._near:
            near: dict[str, AttentionDesign] = {}
            for other in sorted(self._one_step_away(design), key=self._position.__getitem__):
                if self._key[other] != self._key[design]:
                    near.setdefault(self._key[other], other)
            self._near[design] = tuple(near.values())
        return self._near[design]

    def _one_step_away(self, design: AttentionDesign) -> list[AttentionDesign]:
        here = self._choices[design]
        found = []
        for axes in self._of_axes:
            shared = [axis for axis in axes if axis in here]
            for axis in shared:
                kept = tuple(name for name in shared if name != axis)
                same = self._table(axes, kept).get(tuple(here[name] for name in kept), [])
                found += [other for other in same if self._choices[other][axis] != here[axis]]
        return found

    def _table(self, axes: _Axes, kept: _Axes) -> _Table:
        """The designs that have just `axes`, by their choices on the axes `kept`."""
        table = self._tables.get((axes, kept))
        if table is None:
            table = self._tables[axes, kept] = defaultdict(list)
            for design in self._of_axes[axes]:
                chosen = self._choices[design]
                table[tuple(chosen[name] for name in kept)].append(design)
        return table
