"""Means over groups of designs: what `--group-by squeeze,excitation` prints."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from results.axes import with_axes
from results.columns import columns_to_group
from results.grouped import Grouped
from results.lines import lines_of
from results.row import CONTEXT, LABELS
from results.spread import half_width, interval
from results.summary import MACHINE, METRICS
from search_space.errors import UserError

MEASURED = ("accuracy", "loss", "macs", "params", "latency", "memory", "seconds")


def group(rows: pd.DataFrame, by: str | Sequence[str]) -> pd.DataFrame:
    """One line for each combination of values of `by` (axes or columns of rows) in each context, over complete rows.

    `rows` is what `Store.frame` gives, or `Store.lines` with `results.columns.columns_to_group(by)`.

    Columns: the context and its labels, `by`, rows, designs (distinct networks); accuracy, the mean over designs of
    each design's mean over its seeds; accuracy_sd, the standard deviation between these means; accuracy_low and
    accuracy_high, its 95 % confidence interval by Student's t, cut at 0 and 1; loss, macs, params, latency, memory and
    seconds, means over designs as well; hardware, several joined by +.

    A design is the unit: its seeds are no independent evidence of what its group gives. So the interval holds the luck
    of seeds and what else differs between the designs of the group, and is NaN for a group of one design.

    Raises:
        ColumnError: `by` names what rows cannot be grouped by.
        UserError: `by` is empty, or the frame lacks columns of `Store.frame`.
    """
    columns = columns_to_group(by)
    names = list(dict.fromkeys([by] if isinstance(by, str) else by))
    designs = lines_of(rows, columns)
    if len(columns) < len(names):
        designs = with_axes(designs, names)
    groups = Grouped(designs, list(dict.fromkeys([*CONTEXT, *names])))
    lines = groups.first(list(dict.fromkeys([*CONTEXT, *LABELS, *names])))
    lines["rows"], lines["designs"] = groups.sum(designs["n"].to_numpy()).astype(int), groups.size()
    lines["accuracy"], lines["accuracy_sd"] = groups.mean("accuracy"), groups.sd("accuracy")
    number = lines["designs"].to_numpy()
    half = half_width(lines["accuracy_sd"].to_numpy(), number - 1, number)
    lines["accuracy_low"], lines["accuracy_high"] = interval(lines["accuracy"].to_numpy(), half)
    for name in MEASURED[1:]:
        lines[name] = groups.mean(name)
    if "hardware" not in names:
        lines["hardware"] = pd.Series(map(_each_once, groups.joined("hardware", " + ")), dtype=object)
    return lines


def _each_once(joined: str | None) -> str | None:
    return None if joined is None else " + ".join(sorted(set(joined.split(" + "))))


def rank_groups(groups: pd.DataFrame, by: str = "accuracy") -> pd.DataFrame:
    """The lines of `group`, the best of each context first.

    Raises:
        UserError: `by` is no metric of a group.
    """
    allowed = [name for name in METRICS if name in groups.columns]
    if by not in allowed:
        raise UserError(f"by={by!r} is not a metric to rank groups by; allowed: {', '.join(allowed)}")
    for _, lines in groups.groupby(list(CONTEXT)) if by in MACHINE else ():
        kinds = {one for several in lines["hardware"].dropna() for one in several.split(" + ")}
        if len(kinds) > 1:
            raise UserError(f"{by} measured on different hardware cannot be ranked together; select one with where")
    order = [True] * len(CONTEXT) + [METRICS[by]]
    return groups.sort_values([*CONTEXT, by], ascending=order, ignore_index=True, kind="stable")
