"""Rows put together in groups, all groups at once: 100,000 rows in a few milliseconds a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Grouped:
    """The rows of a frame by the values of some columns; a missing value is a value, and sorts last.

    `codes` (shape [rows]) gives each row's group. Groups are numbered in the order of their values.
    """

    def __init__(self, rows: pd.DataFrame, by: Sequence[str]) -> None:
        self.rows = rows
        self.codes: NDArray[Any] = rows.groupby(list(by), dropna=False).ngroup().to_numpy()
        self._first = np.unique(self.codes, return_index=True)[1]

    def __len__(self) -> int:
        return len(self._first)

    def first(self, columns: Sequence[str]) -> pd.DataFrame:
        """These columns of the first row of each group."""
        return self.rows[list(columns)].iloc[self._first].reset_index(drop=True)

    def size(self) -> NDArray[Any]:
        return np.bincount(self.codes, minlength=len(self))

    def repeats(self, column: str) -> NDArray[np.bool_]:
        """Whether a row has the value of an earlier row of its group, shape [rows]."""
        values, kinds = pd.factorize(self.rows[column])
        return pd.Series(self.codes * (1 + len(kinds)) + values).duplicated().to_numpy()

    def sum(self, values: NDArray[Any]) -> NDArray[Any]:
        """Of values (shape [rows]) in each group."""
        return np.bincount(self.codes, values.astype(float), minlength=len(self))

    def mean(self, column: str) -> NDArray[Any]:
        """Of what is known; NaN where nothing is."""
        values, known = self._values(column)
        with np.errstate(invalid="ignore"):
            return self._sum(values, known) / self._sum(known, known)

    def sd(self, column: str) -> NDArray[Any]:
        """The sample standard deviation; NaN for one value."""
        values, known = self._values(column)
        from_mean = values - self.mean(column)[self.codes]
        n = self._sum(known, known)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(n > 1, np.sqrt(self._sum(from_mean**2, known) / (n - 1)), np.nan)

    def joined(self, column: str, sign: str = "+") -> list[Any]:
        """The distinct texts of a column in each group, in order, joined by a sign; None where there are none."""
        values, kinds = pd.factorize(self.rows[column], sort=True)
        many = 1 + len(kinds)
        pairs = np.unique(self.codes[values >= 0] * many + values[values >= 0])
        groups, texts = pairs // many, kinds.take(pairs % many).to_numpy(dtype=object)
        is_first = np.diff(groups, prepend=-1) > 0
        found = np.full(len(self), None, dtype=object)
        found[groups[is_first]] = texts[is_first]
        for group, text in zip(groups[~is_first].tolist(), texts[~is_first], strict=True):
            found[group] += sign + text
        return found.tolist()

    def _values(self, column: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        values = self.rows[column].to_numpy(dtype=float, na_value=np.nan)
        return values, ~np.isnan(values)

    def _sum(self, values: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[Any]:
        return np.bincount(self.codes[known], values[known].astype(float), minlength=len(self))
