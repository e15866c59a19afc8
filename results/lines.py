"""One line for each network in each context: what every mean and interval is computed from.

Over its complete rows; or, where `epochs` are given, over all that were measured at so many: at a rung of a halving
search those that stopped there, which are a context of their own, for their schedule is longer.

A storage puts its rows together itself, in SQL: a hundred thousand rows need not become objects of Python one by one.
The rows of a frame, of several storages joined for example, come to the same lines here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from results.row import CONTEXT, IDENTITY, LABELS, MEASURED
from results.table import EVALUATIONS
from search_space.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from results.store import Store

GROUP = (*CONTEXT, "network_key")
SAME = ("key", "design", "macs", "macs_convention", "params")
"""What the rows of a network agree in; of several spellings of its design one stands."""
MEANS = {"loss": "loss", "latency": "latency_seconds", "memory": "peak_memory_bytes", "seconds": "seconds"}
"""The means beside that of the accuracy, each with the column of rows that it is of."""
JOINED = {"precision": "+", "hardware": " + "}
"""Texts of which the rows of a network may have several, each with what joins them."""
NEEDED = tuple(dict.fromkeys([*GROUP, *LABELS, "status", "seed", *SAME, "accuracy", *MEANS.values(), *JOINED]))
"""The columns of `Store.frame` that lines are made of."""
SUMMARY = (
    *(*GROUP, *LABELS, "key", "design", "n", "accuracy", "accuracy_sd", "accuracy_low", "accuracy_high", "expected"),
    *("loss", "macs", "macs_convention", "params", "latency", "memory", "seconds", "precision", "hardware"),
)
"""The columns of `results.summary.summarise`."""

_TOLD = ("macs", *(name for name in IDENTITY if name != "seed"), "macs_convention")
"""What tells networks and contexts apart, and what never differs within one; that with most values first."""
_ROUNDING = 1e-14
"""Of a mean of squares. Accuracies that differ by one image in a million differ by more."""
_c = EVALUATIONS.c


def lines_of(rows: pd.DataFrame, by: Sequence[str] = (), epochs: int | None = None) -> pd.DataFrame:
    """The lines of the rows of a frame; a frame of lines is given back as it is.

    Columns: the context, network_key, and `by`, columns of rows that tell lines apart as well; labels, key, design,
    macs, macs_convention, params; n (distinct seeds); accuracy (mean) and squares (the sum of the squared differences
    from it); loss, latency (seconds), memory (bytes) and seconds, means of what is known, NaN where nothing is;
    precision and hardware (several joined by +).

    Raises:
        UserError: the frame lacks columns of `NEEDED` or `by`.
    """
    from results.grouped import Grouped

    if "squares" in rows.columns:
        return rows
    missing = [name for name in (*NEEDED, *by) if name not in rows.columns]
    if missing:
        raise UserError(f"the frame lacks the columns {', '.join(missing)}; give the whole of store.frame()")
    rows = rows[rows["status"] == "complete" if epochs is None else _measured_at(rows, epochs)]
    again = Grouped(rows, GROUP).repeats("seed")  # where frames were joined
    rows = rows[~again] if again.any() else rows
    sums = {name: rows[source].fillna(0) for name, source in MEANS.items()}
    known = {f"{name}_n": rows[source].notna() for name, source in MEANS.items()}
    return _together(rows.assign(n=1, squares=0.0, **sums, **known), by)


def _measured_at(rows: pd.DataFrame, epochs: int) -> pd.Series[bool]:
    return rows["status"].isin(MEASURED) & (rows["epochs"] == epochs)


def read_lines(
    connection: Connection,
    wanted: Sequence[sa.ColumnElement[bool]],
    by: Sequence[str] = (),
    epochs: int | None = None,
) -> pd.DataFrame:
    """The lines of the rows for which `wanted` holds, as `lines_of` makes them of a frame."""
    from results.frames import read_columns

    keys = [_c[name] for name in dict.fromkeys([*GROUP, *by, *LABELS, *SAME, *JOINED])]
    is_sqlite = connection.dialect.name == "sqlite"  # which takes the rest from one of the rows, and sorts by less
    told = [_c[name] for name in dict.fromkeys([*_TOLD, *by, *JOINED])] if is_sqlite else keys
    numbers = {
        "n": sa.func.count(),
        "accuracy": sa.func.avg(_c.accuracy),
        "square": sa.func.avg(_c.accuracy * _c.accuracy),
    }
    for name, source in MEANS.items():
        numbers |= {name: sa.func.sum(_c[source]), f"{name}_n": sa.func.count(_c[source])}
    parts = sa.select(*keys, *(sa.cast(number, sa.Double).label(name) for name, number in numbers.items()))
    counts = (_c.status == "complete",) if epochs is None else (_c.status.in_(MEASURED), _c.epochs == epochs)
    grouped = parts.where(*wanted, *counts).group_by(*told)
    # materialised, the whole work is done before the first line is given out: while Python imports
    found = read_columns(connection, sa.select(grouped.cte("parts").prefix_with("MATERIALIZED", dialect="*")))
    variance = found["square"] - found["accuracy"] ** 2
    variance = variance.where(variance > _ROUNDING * found["square"], 0.0)
    return _together(found.assign(squares=found["n"] * variance), by)


def _together(parts: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Parts of networks (rows, or what a storage has put together of them) as one line each, in the order of keys."""
    import numpy as np
    import pandas as pd

    from results.grouped import Grouped

    keys = list(dict.fromkeys([*GROUP, *by]))
    networks = Grouped(parts, keys)
    lines = networks.first(list(dict.fromkeys([*keys, *LABELS, *SAME])))
    n, mean = parts["n"].to_numpy(), parts["accuracy"].to_numpy()
    lines["n"] = networks.sum(n).astype(int)
    lines["accuracy"] = networks.sum(n * mean) / lines["n"]
    beside = mean - lines["accuracy"].to_numpy()[networks.codes]
    lines["squares"] = networks.sum(parts["squares"].to_numpy() + n * beside**2)
    with np.errstate(invalid="ignore"):
        for name in MEANS:
            lines[name] = networks.sum(parts[name].fillna(0).to_numpy()) / networks.sum(parts[f"{name}_n"].to_numpy())
    for name, sign in JOINED.items():
        lines[name] = pd.Series(networks.joined(name, sign), dtype=object)
    return lines


def lines(
    storages: str | Store | Iterable[str | Store],
    where: str | None = None,
    by: Sequence[str] = (),
    epochs: int | None = None,
    **among: str | Collection[str],
) -> pd.DataFrame:
    """The lines of one storage or of several joined; `storages`, `where` and `among` as in `results.frame_of`."""
    from results.frames import frame_of, opened

    with opened(storages) as stores:
        if len(stores) == 1:
            return stores[0].lines(where, by, epochs, **among)
        needed = list(dict.fromkeys([*NEEDED, *by]))
        statuses = ("complete",) if epochs is None else MEASURED
        return lines_of(frame_of(stores, where, needed, (), None, **{**among, "status": statuses}), by, epochs)
