"""Which axis matters: effects of levels, axes and pairs of axes, from all rows of a context together.

The model and its assumptions stand in `results.factorial`. Its unit is a network, by its mean over seeds. All intervals
are at 95 %; those of the levels of one axis hold together, and so do those of the cells of one pair. Searches try good
regions more often: other axes are held equal by the model, but an effect is that among the designs that were trained.
Where too few designs are left over (`results.shortage`), nothing is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from results.contexts import precedence
from results.factorial import Factorial, Interaction
from results.factors import FACTORS, experiment, named_axes
from results.inference import Effect, FTest, holm, untested, untold
from results.row import CONTEXT, LABELS
from results.shortage import FEWEST, TOO_FEW, Shortage, shortage

_ABOUT = [*LABELS, *CONTEXT]
EFFECTS = (*_ABOUT, "axis", "level", "designs", "runs", "effect", "low", "high", "note")
_TEST = ("df", "F", "p", "p_holm", "share", "share_low", "share_high", "note")
AXES = (*_ABOUT, "axis", "levels", "designs", *_TEST)
INTERACTIONS = (*_ABOUT, "axis", "other_axis", *_TEST, "level", "other_level", "designs", "runs", "effect")
INTERACTIONS += ("low", "high", "cell_note")


@dataclass(frozen=True)
class Explained:
    """The model of one context, whose columns and labels are `about`.

    `lines` are the designs that it was fitted to (`results.factors.experiment`). `left_out` networks have several
    designs, or one that this version can't read, and so no levels.
    """

    about: dict[str, Any]
    on: str
    lines: pd.DataFrame
    model: Factorial
    left_out: int

    @cached_property
    def shortage(self) -> Shortage | None:
        """Why nothing can be told, and what to do; None where there are designs enough."""
        return shortage(self.model)

    @property
    def not_in_model(self) -> list[str]:
        """Axes that the designs differ in and that were not asked for: the model does not hold them equal."""
        known = (*self.model.axes, *self.model.single)
        return [name for name in FACTORS if name not in known and self.lines[name].nunique() > 1]

    @property
    def asked(self) -> str:
        """The axes of the model, in words."""
        return "all axes" if not self.not_in_model else ", ".join([*self.model.axes, *self.model.single])

    def effects(self) -> pd.DataFrame:
        """A line for every level: axis, level, designs, runs, effect with low and high, note.

        Effect: how far the level is from the average level of its axis, in the unit of `on` (a fraction of accuracy),
        other axes held equal, among designs that have the axis. NaN where the designs can't tell, `note` says why.
        """
        found = []
        for name, axis in self.model.axes.items():
            runs = np.bincount(axis.codes[axis.codes >= 0], self.model.runs[axis.codes >= 0]).astype(int)
            told = self.model.effects(name) if self.shortage is None else [untold(TOO_FEW)] * len(axis.levels)
            sizes = zip(axis.levels, axis.designs.tolist(), runs.tolist(), told, strict=True)
            for level, designs, number, effect in sizes:
                about = {"axis": name, "level": level, "designs": designs, "runs": number}
                found.append(self.about | about | asdict(effect))
        return pd.DataFrame(found, columns=list(EFFECTS))

    def axes(self) -> pd.DataFrame:
        """A line for every axis: levels, designs that have it, F test of its levels being equal, share of variance.

        `p_holm` is Holm's p over the axes. `share` is partial omega squared, that of the variance which the other axes
        leave, with its interval; see `results.noncentral`.
        """
        tests = {name: self._test(name) for name in self.model.axes}
        adjusted = dict(zip(tests, holm([test.p for test in tests.values()]), strict=True))
        found = [
            self._axis(name, len(axis.levels), int((axis.codes >= 0).sum()), tests[name], adjusted[name])
            for name, axis in self.model.axes.items()
        ]
        for name, (level, designs) in self.model.single.items():
            found.append(self._axis(name, 1, designs, untested(f"one level: {level}"), float("nan")))
        return pd.DataFrame(found, columns=list(AXES))

    def _test(self, name: str) -> FTest:
        return self.model.test(name) if self.shortage is None else untested(TOO_FEW)

    def _axis(self, name: str, levels: int, designs: int, test: FTest, adjusted: float) -> dict[str, Any]:
        return self.about | {"axis": name, "levels": levels, "designs": designs} | asdict(test) | {"p_holm": adjusted}

    def interactions(self) -> pd.DataFrame:
        """A line for every cell of every pair of axes that some designs have both of.

        The columns of the pair's own test, with Holm's p over the pairs, stand beside each of its cells: level,
        other_level, designs, runs, effect with low and high: how much better its designs are than both levels lead to
        expect (`results.factorial.Interaction`). Each pair is added to the additive model by itself; one that has no
        cell to spare, or leaves too few designs, is left out.
        """
        pairs = [(a, b, self.model.interaction(a, b)) for a, b in self.model.pairs()]
        pairs = [(a, b, pair) for a, b, pair in pairs if pair.df and pair.df_left >= FEWEST]
        adjusted = holm([pair.test.p for *_, pair in pairs])
        found = [
            self.about | {"axis": a, "other_axis": b} | asdict(pair.test) | {"p_holm": p} | cell
            for (a, b, pair), p in zip(pairs, adjusted, strict=True)
            for cell in _cells(pair)
        ]
        return pd.DataFrame(found, columns=list(INTERACTIONS))


def _cells(pair: Interaction) -> list[dict[str, Any]]:
    sizes = zip(pair.cells, pair.designs.tolist(), pair.runs.tolist(), pair.effects(), strict=True)
    return [
        {"level": one, "other_level": two, "designs": designs, "runs": runs} | _cell(effect)
        for (one, two), designs, runs, effect in sizes
    ]


def _cell(effect: Effect) -> dict[str, Any]:
    said = asdict(effect)
    return {"cell_note": said.pop("note")} | said


def explain(
    frame: pd.DataFrame,
    on: str = "accuracy",
    *,
    epochs: int | None = None,
    axes: Sequence[str] | None = None,
    every_context: bool = False,
) -> list[Explained]:
    """The additive model of `on` (accuracy or loss) over the axes, of each context by itself.

    Of the context that comes first (`results.contexts.precedence`), or of every one. Of complete rows, or of all that
    were measured at `epochs`: those of the rungs of a halving search. Over all axes, or `axes` alone.

    Raises:
        UserError: `on` or an axis does not exist, or no row was measured so.
    """
    chosen = FACTORS if axes is None else named_axes(axes)
    lines = experiment(frame, on, epochs)
    parts = [part for _, part in lines.groupby(list(CONTEXT))]
    if not every_context:
        parts = [min(parts, key=lambda part: precedence(part["split"].iloc[0], len(part), int(part["runs"].sum())))]
    return [_explained(part, on, [name for name in FACTORS if name in chosen]) for part in parts]


def _explained(lines: pd.DataFrame, on: str, axes: Sequence[str]) -> Explained:
    about = {name: lines[name].iloc[0] for name in _ABOUT}
    known = lines[lines["squeeze"].notna()]
    numbers = (known[name].to_numpy() for name in ("mean", "runs", "squares"))
    model = Factorial({name: known[name].tolist() for name in axes}, *numbers)
    return Explained(about, on, known, model, len(lines) - len(known))


def effects(frame: pd.DataFrame, on: str = "accuracy", **options: Any) -> pd.DataFrame:
    """`Explained.effects` of what `explain` takes the same arguments for, the contexts one below the other."""
    return pd.concat([one.effects() for one in explain(frame, on, **options)], ignore_index=True)


def axes(frame: pd.DataFrame, on: str = "accuracy", **options: Any) -> pd.DataFrame:
    """`Explained.axes`, likewise."""
    return pd.concat([one.axes() for one in explain(frame, on, **options)], ignore_index=True)


def interactions(frame: pd.DataFrame, on: str = "accuracy", **options: Any) -> pd.DataFrame:
    """`Explained.interactions`, likewise."""
    return pd.concat([one.interactions() for one in explain(frame, on, **options)], ignore_index=True)
