"""Whether there are designs enough for a model of their axes, and if not, which axes they are enough for.

Degrees of freedom are designs less parameters. Further seeds of a design add none: they tell the luck of a run, and
what the model leaves is also how far a design is from the sum of its choices. Where designs depart from that sum by
half to one standard deviation between seeds, the spread between seeds alone would call an axis that does nothing beyond
luck in 20 to 60 of 100 stores (simulated: 13 designs of 11 parameters, three seeds each, level 5 %).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from results.coding import Axis, matrix, svd
from results.counted import counted
from results.factorial import Factorial
from results.suggest import command

FEWEST = 5
"""Degrees of freedom from which on effects are told: with fewer, that alone makes intervals twice as wide (ten levels:
t of 5.6 with 4, of 2.8 with many), and the order of the effects is one of luck."""
TOO_FEW = "too few designs to tell it from luck"

_COMES_WITH = dict.fromkeys(("wavelet", "depth", "frequencies", "bands", "statistic", "each"), "squeeze")
_COMES_WITH |= dict.fromkeys(("reduction", "kernel"), "excitation")
_FIRST = ("squeeze", "excitation", "reduction", "depth", "frequencies", "bands")


@dataclass(frozen=True)
class Shortage:
    """A model that too few designs stand behind; `axes` are the most that leave `axes_df`, enough; maybe none."""

    designs: int
    parameters: int
    df: int
    axes: tuple[str, ...]
    axes_df: int
    left_out: tuple[str, ...]

    @property
    def designs_wanting(self) -> int:
        return FEWEST - self.df

    def __str__(self) -> str:
        fewer = ""
        if self.axes:
            loss = f"; not held equal then: {', '.join(self.left_out)}"
            asked = command("results effects --axes", ",".join(self.axes))
            fewer = f"fewer axes (`{asked}` leaves {self.axes_df}{loss}) or "
        return (
            f"{counted(self.designs, 'design')} and {counted(self.parameters, 'parameter')} leave "
            f"{counted(self.df, 'degree')} of freedom, too few to tell effects from luck: {FEWEST} are the least. "
            f"Enough would be {fewer}at least {counted(self.designs_wanting, 'more design')} of these levels. Further "
            "seeds of the same designs leave no more: they tell luck, not whether effects add up."
        )


def shortage(model: Factorial) -> Shortage | None:
    """None where there are enough."""
    if model.df >= FEWEST:
        return None
    axes, df = next(_enough(model), ((), 0))
    left_out = tuple(name for name in model.axes if name not in axes)
    return Shortage(model.designs, model.rank, model.df, axes, df, left_out)


def _enough(model: Factorial) -> Iterator[tuple[tuple[str, ...], int]]:
    """Sets of axes that leave enough, with what they leave, the largest first; each axis can be told from the others.

    An axis that comes with an operator comes with the axis of that operator (Nelder's marginality).
    """
    first = [name for name in _FIRST if name in model.axes]
    names = [*first, *(name for name in model.axes if name not in first)]
    for size in range(len(names) - 1, 0, -1):
        for chosen in combinations(names, size):
            axes = {name: model.axes[name] for name in chosen}
            if any(_COMES_WITH.get(name, name) not in chosen for name in chosen if _COMES_WITH.get(name) in model.axes):
                continue
            rank = _rank(axes, model.designs)
            if model.designs - rank >= FEWEST and all(
                _rank({other: axis for other, axis in axes.items() if other != name}, model.designs) < rank
                for name in axes
            ):
                yield chosen, model.designs - rank


def _rank(axes: Mapping[str, Axis], designs: int) -> int:
    return len(svd(np.linalg.qr(matrix(axes, designs))[1])[1])
