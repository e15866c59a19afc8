"""A linear model of designs on their axes: every design tells something of every level that it has.

    mean of a design = intercept + sum over its axes of the effect of its level + lack of fit + luck of its seeds

The effects of an axis sum to zero over its levels, and a design without the axis gets none: so the effect of a level is
how much better it is than the average level of that axis, among the designs that have the axis, other axes held equal.
Searle, Linear Models (1971), chapters 5 and 7; which contrasts can be told is read off the null space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import combinations

import numpy as np

from results.coding import RANK, SAME, Floats, Ints, coded, comparable, matrix, places, svd
from results.inference import NONE_LEFT, Effect, FTest, f_test, quantile, rounded, untold

_ROUNDING = 1e-22  # of the sum of squares: what is less is the rounding of its numbers


class Factorial:
    """The additive model of `means` over the given levels, fitted by weighted least squares.

    Args:
        levels: {axis: [designs]} of words, None where a design lacks the axis. An axis of one level explains nothing
            and is left out (`single`: that level and its designs).
        means, runs, squares: shape [designs]: mean over seeds, number of seeds, sum of squared deviations.

    A design of n seeds has the variance lack_of_fit + within / n, `within` pooled over the designs, lack_of_fit by the
    method of moments; the scale is that of the weighted residuals, `df` degrees of freedom.
    """

    def __init__(self, levels: Mapping[str, Sequence[str | None]], means: Floats, runs: Ints, squares: Floats) -> None:
        self.designs, self.runs = len(means), np.asarray(runs)
        found = {axis: coded(words) for axis, words in levels.items()}
        self.single = {
            name: (axis.levels[0], int(axis.designs[0])) for name, axis in found.items() if len(axis.levels) == 1
        }
        self.axes = comparable({name: axis for name, axis in found.items() if len(axis.levels) > 1}, self.designs)
        self._places = places(self.axes)
        X = matrix(self.axes, self.designs)
        weights, self.within, self.lack_of_fit = _weights(X, means, self.runs, squares)
        self.root = np.sqrt(weights)
        Q, self._R = np.linalg.qr(X * self.root[:, None])
        U, self._s, self._V, self._null = svd(self._R)
        self.basis = Q @ U
        response = self.root * means
        told = self.basis.T @ response
        self._fitted = U @ told
        self._beta = self._V @ (told / self._s)
        self.residuals = response - self.basis @ told
        self.rank = len(self._s)
        self.df = self.designs - self.rank
        self.rounding = _ROUNDING * float(response @ response)
        self.rss = rounded(float(self.residuals @ self.residuals), self.rounding)

    @property
    def scale(self) -> float:
        """Standard deviation of what the model leaves, of a design of average weight."""
        return (self.rss / self.df) ** 0.5 if self.df > 0 else float("nan")

    def effects(self, name: str) -> list[Effect]:
        """Of every level of an axis. Intervals hold for all of its levels at once (Bonferroni)."""
        axis, place = self.axes[name], self._places[name]
        if not axis.told:
            return [untold(self._note(name, level)) for level in range(len(axis.levels))]
        deviations = self.scale * np.linalg.norm(axis.coding @ self._V[place] / self._s, axis=1)
        halves = quantile(self.df, 1 if axis.told == 2 else axis.told) * deviations
        values = axis.coding @ self._beta[place]
        note = "" if self.df > 0 else NONE_LEFT
        return [
            Effect(value, value - half, value + half, note) if told else untold(self._note(name, level))
            for level, (value, half, told) in enumerate(zip(values, halves, axis.compared, strict=True))
        ]

    def test(self, name: str) -> FTest:
        """Whether the levels of an axis differ at all, the other axes being in the model."""
        others = np.delete(self._R, self._places[name], axis=1)
        U, s, _, _ = svd(others)
        left = self._fitted - U @ (U.T @ self._fitted)
        explained = rounded(float(left @ left), self.rounding)
        return f_test(explained, self.rank - len(s), self.rss, self.df, self.designs)

    def pairs(self) -> list[tuple[str, str]]:
        """Pairs of axes that some designs have both of."""
        return [
            (a, b)
            for a, b in combinations(self.axes, 2)
            if ((self.axes[a].codes >= 0) & (self.axes[b].codes >= 0)).any()
        ]

    def interaction(self, a: str, b: str) -> Interaction:
        """What this pair adds to the additive model."""
        return Interaction(self, a, b)

    def _note(self, name: str, level: int) -> str:
        """With what the level is confounded: what moves in the same null directions."""
        mine = self._directions[name][level]
        together = [
            f"{other} {axis.levels[number]}"
            for other, axis in self.axes.items()
            for number in range(len(axis.levels))
            if other != name and abs(self._directions[other][number] @ mine) > SAME
        ]
        named = ", ".join(together[:3]) + (", ..." if len(together) > 3 else "")
        return f"can't be told from {named}" if named else "no other level to compare it with"

    @cached_property
    def _directions(self) -> dict[str, Floats]:
        """{axis: [levels, null directions]} by which a level's effect may move while every fitted value stays."""
        return {name: axis.coding @ self._null[self._places[name]] for name, axis in self.axes.items()}


class Interaction:
    """The cells of a pair of axes beside what both do by themselves.

    `test` asks whether the cells differ from the sum of both effects at all, among the designs that have both axes:
    what either axis does there may differ from what it does elsewhere, which is an interaction of another pair. The
    effect of a cell is how much better its designs are than both of its levels lead to expect, as the designs outside
    of the cell tell it: estimable whatever other cells are empty. Intervals hold for all cells of the pair at once
    (Bonferroni); their spread is what the model with the whole pair leaves.
    """

    def __init__(self, model: Factorial, a: str, b: str) -> None:
        one, two = model.axes[a], model.axes[b]
        both = (one.codes >= 0) & (two.codes >= 0)
        numbers, belongs = np.unique(one.codes[both] * len(two.levels) + two.codes[both], return_inverse=True)
        first, second = numbers // len(two.levels), numbers % len(two.levels)
        self.cells = [(one.levels[i], two.levels[j]) for i, j in zip(first, second, strict=True)]
        self.designs = np.bincount(belongs)
        self.runs = np.bincount(belongs, model.runs[both]).astype(int)
        root = model.root[both]

        def sums(column: Floats) -> Floats:
            return np.bincount(belongs, root * column[both], minlength=len(numbers)).astype(float)

        told = np.column_stack([sums(column) for column in model.basis.T])
        weights = np.bincount(belongs, root**2)
        self._floor = floor = RANK * float(weights.max())
        information = np.diag(weights) - told @ told.T  # of the cells, the additive model swept out
        departures = sums(model.residuals)
        inverse, rank = _inverse(information, floor)
        everything = float(departures @ inverse @ departures)
        alone = np.hstack([np.eye(len(one.levels))[first], np.eye(len(two.levels))[second]])  # of either axis, there
        of_alone = alone.T @ departures
        alone_inverse, alone_rank = _inverse(alone.T @ information @ alone, floor)
        swept = information @ alone @ alone_inverse
        self._information = information - swept @ (information @ alone).T
        self._departures = departures - swept @ of_alone
        self.df, self.df_left = rank - alone_rank, model.df - rank
        self.rss = rounded(model.rss - everything, model.rounding)
        explained = rounded(everything - float(of_alone @ alone_inverse @ of_alone), model.rounding)
        self.test = f_test(explained, self.df, self.rss, self.df_left, model.designs)

    def effects(self) -> list[Effect]:
        """One for each of `cells`."""
        information = np.diag(self._information)
        told = information > self._floor
        safe = np.where(told, information, 1.0)
        values = self._departures / safe
        spread = (self.rss / self.df_left) ** 0.5 if self.df_left > 0 else float("nan")
        halves = quantile(self.df_left, 1 if self.df == 1 else int(told.sum())) * spread / np.sqrt(safe)
        return [
            Effect(value, value - half, value + half, "") if known else untold("no designs to tell it from")
            for value, half, known in zip(values, halves, told, strict=True)
        ]


def _inverse(information: Floats, floor: float) -> tuple[Floats, int]:
    """The generalised inverse, eigenvalues below `floor` being zeros, and the rank."""
    size, vectors = np.linalg.eigh(information)
    free = size > floor
    return (vectors[:, free] / size[free]) @ vectors[:, free].T, int(free.sum())


def _weights(X: Floats, means: Floats, runs: Ints, squares: Floats) -> tuple[Floats, float, float]:
    """[designs], of mean 1; the variance between seeds; that of lack of fit (both NaN if no design has two seeds)."""
    again, alike = int((runs - 1).sum()), np.ones(len(means))
    if again == 0:
        return alike, float("nan"), float("nan")
    within = float(squares.sum() / again)
    Q, R = np.linalg.qr(X)
    basis = Q @ svd(R)[0]
    left = means - basis @ (basis.T @ means)
    free = 1 - (basis**2).sum(axis=1)
    df = len(means) - basis.shape[1]
    lack = max(0.0, (float(left @ left) - within * float((free / runs).sum())) / df) if df > 0 else float("nan")
    variances = within / runs + (lack if df > 0 else 0.0)
    if variances.min() <= 0:
        return alike, within, lack
    return (1 / variances) / (1 / variances).mean(), within, lack
