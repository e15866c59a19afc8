"""Numbers and rows as people read them: accuracy in per cent, MACs in millions, time in the unit that fits."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from results.published import with_name
from results.row import Row

_QUANTITIES = {
    "accuracy": lambda value: f"{value:.2%}",
    "loss": lambda value: f"loss {value:.4f}",
    "macs": lambda value: f"{value / 1e6:,.3f} M MACs",
    "params": lambda value: f"{value:,.0f} params",
    "latency": lambda value: f"{1e3 * value:.3g} ms",
    "memory": lambda value: f"{value / 2**20:,.0f} MiB",
}


def quantity(name: str, value: float) -> str:
    """An objective with its unit; `value` in the unit of the table: a fraction, seconds, bytes."""
    return _QUANTITIES[name](value)


def points(fraction: float | None, *, sign: bool = False, unknown: str = "?") -> str:
    """An accuracy in per cent, or a difference of two in points: `20.33`, `+1.20`."""
    if fraction is None or math.isnan(fraction):
        return unknown
    return f"{100 * fraction:+.2f}" if sign else f"{100 * fraction:.2f}"


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`: no more digits than an estimate has."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.2g} s"
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 36 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def moment(seconds: float, clock: str = "%H:%M") -> str:
    """Unix seconds as a local date and time; `-` for what no calendar has."""
    try:
        return time.strftime(f"%Y-%m-%d {clock}", time.localtime(seconds))
    except (TypeError, ValueError, OverflowError, OSError):
        return "-"


def span(seeds: Sequence[int]) -> str:
    """`3 to 7`, or `3, 5`."""
    if len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def size(number_of_bytes: float) -> str:
    """`812 kB`, `3.1 GB`."""
    value, units = float(number_of_bytes), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"


def worker_name(owner: str | None) -> str:
    """`host:pid` of the owner of a row (see `results.lease.this_owner`)."""
    host, _, pid = (owner or "?").rpartition(":")[0].rpartition(":")
    return f"{host.partition('/')[0]}:{pid}" if host else str(owner)


def row_line(row: Row, *, how: str | None = None, error: str | None = None) -> str:
    """A finished row in a line; `how` instead of its seconds, `error` where the row comes without its own."""
    design = with_name(row.design, row.key)
    if row.accuracy is None:
        cause = (error or row.error or "").strip().splitlines()
        return f"{design}  failed ({row.failure}): {cause[-1] if cause else ''}"
    seconds = "?" if row.seconds is None else f"{row.seconds:.1f} s"
    return f"{design}  {row.accuracy:.2%}  {quantity('macs', row.macs)}  {how or seconds}"
