"""How `top`, `pareto` and `query` read, sort, cut and print: one way for all three.

What ranks is imported while the database works.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from results.axes import with_axes
from results.columns import AXES, HEAVY, check_columns, columns_to_group
from results.exchange import readable
from results.frames import frame_of, opened, sorted_frame
from results.lines import SUMMARY, lines
from results.meanwhile import imported
from results.published import presets
from results.row import COLUMNS, CONTEXT, MEASURED
from search.result_options import names
from search.tables import MOST_ON_SCREEN, Output, context_line, deliver, markdown, records, table

if TYPE_CHECKING:
    import pandas as pd

_RANKED = ["design", "preset", "n", "accuracy", "expected", "loss", "macs", "params", "latency", "memory", "seconds"]
_GROUPED = ["rows", "designs", "accuracy", "loss", "macs", "params", "latency", "memory", "seconds"]
_ROWS = ["design", "data", "split", "backbone", "recipe", "epochs", "seed", "status"]
_ROWS += ["accuracy", "loss", "macs", "params", "seconds"]
_MAY_BE_MISSING = ("preset", "expected", "latency", "memory", "settled")  # then not shown

_NESTED = ("curves", "versions")  # values without an order

Notes = Callable[["pd.DataFrame"], list[str]]


class Asking:
    """One question: of which rows, and how its answer is sorted, cut and written."""

    def __init__(
        self,
        storages: Sequence[str],
        where: str | None,
        sort: str | None,
        columns: str | None,
        limit: int | None,
        output: Output,
        epochs: int | None = None,
    ) -> None:
        self.storages = list(dict.fromkeys(storages))
        self.where = where
        self.sort = names(sort)
        self.columns = names(columns)
        self.limit = limit
        self.output = output
        self.epochs = epochs

    def top(self, number: int, by: str | None, group_by: list[str]) -> None:
        if group_by:
            groups = self._groups(group_by)
            from results.grouping import rank_groups
            from search.notes import on_groups

            best = rank_groups(groups, by or "accuracy").groupby(list(CONTEXT)).head(number)
            self._emit(best, [*group_by, *_GROUPED], on_groups)
            return
        read = self._lines()
        from results.ranking import top
        from search.notes import on_ranking

        self._emit(self._described(top(read, number, by or "expected")), _RANKED, on_ranking)

    def pareto(self, maximise: list[str], minimise: list[str]) -> None:
        read = self._lines()
        from results.ranking import pareto
        from search.notes import on_means

        front = pareto(read, maximise, minimise)
        measures = [*maximise, *minimise]
        lacking = [name for name in measures if read[name].isna().all()]
        self._emit(self._described(front), _RANKED, on_means, (lacking or measures) if len(read) else [])

    def query(self, group_by: list[str]) -> None:
        if group_by:
            groups = self._groups(group_by)
            from search.notes import on_groups

            self._emit(groups, [*group_by, *_GROUPED], on_groups)
            return
        self._check([*COLUMNS, *AXES])
        wanted = self.columns or [name for name in COLUMNS if name not in HEAVY]
        limit = self._limit_of_rows
        by_axes = bool(set(self._sorted_by) & set(AXES))  # which only the text of a design tells
        read = dict.fromkeys([*wanted, *(self._sorted_by if by_axes else ()), "started", "design"])
        columns = [name for name in read if name not in AXES]
        one_more = limit and limit + 1
        sort, most = ([], None) if by_axes else (self.sort, one_more)
        with opened(self.storages) as stores, imported("pandas"):
            frame = frame_of(stores, self.where, columns, sort, most)
        frame = sorted_frame(with_axes(frame), self.sort, one_more) if by_axes else self._with_axes(frame)
        shown = frame[wanted].head(limit) if limit else frame[wanted]
        deliver(shown, self.output, self.columns or _known(shown, [*_ROWS, "settled"]))
        if self.limit is None and len(shown) < len(frame):
            print(f"... and more than these {limit:,} rows; -n 0 for all, or --csv, or --parquet FILE")

    # -- reading -------------------------------------------------------------------------------------------------------

    @property
    def _sorted_by(self) -> list[str]:
        return [name.removeprefix("-") for name in self.sort]

    def _check(self, allowed: Sequence[str]) -> None:
        """Refuse names that are no columns of the answer, before anything is read."""
        self.columns = list(allowed) if self.columns == ["all"] else check_columns(self.columns, allowed)
        check_columns(self._sorted_by, [name for name in allowed if name not in _NESTED])

    def _lines(self) -> pd.DataFrame:
        self._check([*SUMMARY, "preset", *AXES])
        with opened(self.storages) as stores, imported("results.ranking"):
            return lines(stores, self.where, epochs=self.epochs)

    def _groups(self, group_by: list[str]) -> pd.DataFrame:
        columns = columns_to_group(group_by)
        with opened(self.storages) as stores, imported("results.grouping"):
            read = lines(stores, self.where, columns, self.epochs)
        from results.grouping import group

        groups = group(read, group_by)
        self._check(list(groups.columns))
        return groups

    def _with_axes(self, frame: pd.DataFrame) -> pd.DataFrame:
        return with_axes(frame) if {*self.columns, *self._sorted_by} & set(AXES) else frame

    def _described(self, designs: pd.DataFrame) -> pd.DataFrame:
        """The few lines that are shown, with the names that people know them by."""
        designs.insert(list(designs).index("design") + 1, "preset", presets(designs["design"], designs["key"]))
        return self._with_axes(designs)

    # -- writing -------------------------------------------------------------------------------------------------------

    @property
    def _limit_of_rows(self) -> int | None:
        """As asked for; unless it was, a terminal shows no hundred thousand rows."""
        if self.limit is not None:
            return self.limit or None
        to_read = not (self.output.is_data or self.output.as_markdown)
        return MOST_ON_SCREEN if to_read and sys.stdout.isatty() else None

    def _emit(self, frame: pd.DataFrame, columns: list[str], notes: Notes, lacking: Sequence[str] = ()) -> None:
        """Lines of several contexts: as data all of them, to read a table a context."""
        frame = sorted_frame(frame, self.sort, self.limit or None).reset_index(drop=True)
        chosen = self.columns or _known(frame, columns)
        if self.output.is_data:
            deliver(frame[self.columns] if self.columns else frame, self.output, chosen)
            return
        rows = records(frame)
        parts = [part for _, part in frame.groupby(list(CONTEXT), sort=False)]
        shown = [[rows[number] for number in part.index] for part in parts]
        if self.output.as_markdown:
            self.output.say("\n\n".join(f"{context_line(each[0])}\n\n{markdown(each, chosen)}" for each in shown))
            return
        if not parts:
            print(self._nothing(lacking))
        for number, (part, each) in enumerate(zip(parts, shown, strict=True)):
            print(("\n" if number else "") + context_line(each[0]))
            table(each, chosen)
            for note in notes(part):
                print(readable(note))

    def _nothing(self, lacking: Sequence[str]) -> str:
        """Why the answer is empty: no rows, none at these epochs, none so filtered, none with all values."""
        with opened(self.storages) as stores:
            there = {found for store in stores for found in store.distinct("status", "epochs")}
        if not there:
            return "the storage has no row yet; `attnas search` makes some"
        rungs = sorted({epochs for status, epochs in there if status in MEASURED})
        which = "complete row" if self.epochs is None else f"row measured at {self.epochs} epochs"
        where = f" where {self.where}" if self.where else ""
        has = f" has {' and '.join(lacking)}" if lacking else ""
        at = ", ".join(map(str, rungs)) or "none"
        return f"no {which}{where}{has}; epochs at which rows were measured: {at} (--epochs)"


def _known(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    return [name for name in columns if name not in _MAY_BE_MISSING or frame[name].notna().any()]
