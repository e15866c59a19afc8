"""Means over groups of designs: what `--group-by squeeze,excitation` prints."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from results.axes import with_axes
from results.columns import AXES, HEAVY, ROWS, check_columns
from results.grouped import Grouped
from results.row import CONTEXT, LABELS
from results.spread import half_width
from results.summary import MACHINE, METRICS, NEEDED, complete_networks
from search_space.errors import UserError

_MEASURES = ("accuracy", "loss", "macs", "params", "latency_seconds", "peak_memory_bytes", "seconds")
_CALLED = {"latency_seconds": "latency", "peak_memory_bytes": "memory"}  # as in a summary
_NO_GROUPS = (*_MEASURES, *HEAVY, "network_key", "key", "design", "identity", "status")
GROUPABLE = tuple(name for name in (*AXES, *ROWS) if name not in _NO_GROUPS)
"""What rows may be grouped by: the axes of the design, and what a row says beside its measurements."""
MEASURED = tuple(_CALLED.get(name, name) for name in _MEASURES)
NEEDED_TO_GROUP = NEEDED
"""The columns of `Store.frame` that a group needs, beside those to group by."""


def group(frame: pd.DataFrame, by: str | Sequence[str]) -> pd.DataFrame:
    """One line for each combination of values of `by` (axes or columns of rows) in each context, over complete rows.

    Columns: the context and its labels, `by`, rows, designs (distinct networks); accuracy, the mean over designs of
    each design's mean over its seeds; accuracy_sd, the standard deviation between these means; accuracy_low and
    accuracy_high, its 95 % confidence interval by Student's t; loss, macs, params, latency, memory and seconds, means
    over designs as well; hardware, several joined by +.

    A design is the unit: its seeds are no independent evidence of what its group gives. So the interval holds the luck
    of seeds and what else differs between the designs of the group, and is NaN for a group of one design.

    Raises:
        ColumnError: `by` names what rows cannot be grouped by.
        UserError: `by` is empty, or the frame lacks columns of `Store.frame`.
    """
    names = check_columns([by] if isinstance(by, str) else by, GROUPABLE)
    if not names:
        raise UserError(f"group by nothing? Name one or more of {', '.join(GROUPABLE)}")
    rows = complete_networks(frame, [*NEEDED, *(name for name in names if name not in AXES)]).rows
    if set(names) & set(AXES):
        rows = with_axes(rows)
    keys = list(dict.fromkeys([*CONTEXT, *names]))
    designs = Grouped(rows, [*keys, "network_key"])
    means = designs.first([*keys, "network_key"])
    for name in _MEASURES:
        means[_CALLED.get(name, name)] = designs.mean(name)
    groups = Grouped(means, keys)
    lines = groups.first(keys)
    every = Grouped(rows, keys)
    lines = lines.assign(**{name: every.first([name])[name] for name in LABELS})
    lines["rows"], lines["designs"] = every.size(), groups.size()
    for name in MEASURED:
        lines[name] = groups.mean(name)
    lines["accuracy_sd"] = groups.sd("accuracy")
    designs_in = lines["designs"].to_numpy()
    half = half_width(lines["accuracy_sd"].to_numpy(), designs_in - 1, designs_in)
    lines["accuracy_low"], lines["accuracy_high"] = lines["accuracy"] - half, lines["accuracy"] + half
    lines["hardware"] = pd.Series(every.joined("hardware", " + "), dtype=object)
    first = [*CONTEXT, *LABELS, *(name for name in names if name not in (*CONTEXT, *LABELS)), "rows", "designs"]
    accuracy = ["accuracy", "accuracy_sd", "accuracy_low", "accuracy_high"]
    return lines[[*first, *accuracy, *MEASURED[1:], *([] if "hardware" in names else ["hardware"])]]


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
