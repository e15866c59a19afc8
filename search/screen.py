"""The picture of a running search on a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from results.published import with_name
from results.row import Row
from search.budget import Budget
from search.snapshot import Ranking, Snapshot, Standing
from search.wording import duration, quantity, worker_name

_SHOWN_RUNNING = 16
_SHOWN_FRONT = 5


def draw(name: str, snapshot: Snapshot, budget: Budget, epochs_here: Mapping[str, float], now: float) -> RenderableType:
    """Progress, who trains what, what is best, and what failed; `epochs_here` are newer than those of the rows."""
    if not name:
        return Text("reading data and rows ...", style="dim")
    parts: list[RenderableType] = [_head(name, snapshot, budget, now)]
    if snapshot.running:
        parts.append(_running(snapshot.running, epochs_here, now))
    parts.append(_counts(snapshot))
    if snapshot.ranking.best is not None:
        parts.append(_front(snapshot.ranking))
    return Group(*parts)


def sum_up(snapshot: Snapshot, budget: Budget) -> str:
    """`7 of 40 trials begun, 21.5 of 100 epochs, about 12 min left`."""
    trials = f"{snapshot.trials}" + ("" if budget.trials is None else f" of {budget.trials}")
    epochs = "" if budget.epochs is None else f", {snapshot.epochs:g} of {budget.epochs:g} epochs"
    return f"{trials} {'trial' if trials == '1' else 'trials'} begun{epochs}{_time_left(snapshot)}"


def _time_left(snapshot: Snapshot, since: float = 0.0) -> str:
    if snapshot.seconds_left is None:
        return ""
    left = snapshot.seconds_left - since
    return f", about {duration(left)} left" if left >= 1 else ", nearly done"


def _head(name: str, snapshot: Snapshot, budget: Budget, now: float) -> RenderableType:
    ended = snapshot.trials - snapshot.states["running"]
    total, done, unit = (budget.trials, float(ended), "trials")
    if budget.epochs is not None:
        total, done, unit = budget.epochs, snapshot.epochs, "epochs"  # type: ignore[assignment]
    of = "" if total is None else f" of {total:g}"
    bar = ProgressBar(total=total, completed=min(done, total or done), width=30, pulse=total is None)
    grid = Table.grid(padding=(0, 2))
    left = _time_left(snapshot, now - snapshot.taken).lstrip(", ")
    grid.add_row(Text(name, style="bold"), Text(f"{done:g}{of} {unit}"), bar, Text(left))
    return grid


def _running(rows: tuple[Row, ...], epochs_here: Mapping[str, float], now: float) -> RenderableType:
    table = _table("worker", "at work on", "epoch", "since")
    for row in rows[:_SHOWN_RUNNING]:
        epoch = epochs_here.get(row.identity, row.progress or 0)
        since = duration(max(0.0, now - (row.started or now)))
        table.add_row(worker_name(row.owner), row.design, f"{epoch:.0f}/{row.epochs}", since)
    if len(rows) > _SHOWN_RUNNING:
        table.add_row("", f"and {len(rows) - _SHOWN_RUNNING} more", "", "")
    return table


def _counts(snapshot: Snapshot) -> Text:
    states = [f"{snapshot.states[state]} {state}" for state in ("complete", "stopped") if snapshot.states[state]]
    words = [f"trials: {', '.join(states) or 'none ended'}"]
    if len(snapshot.rungs) > 1:
        rungs = " > ".join(f"{number} at {epochs}" for epochs, number in snapshot.rungs.items())
        words.append(f"rungs in epochs: {rungs} ({snapshot.promoted} promoted)")
    text = Text("   ".join(words))
    if snapshot.failures:
        failed = ", ".join(f"{name} {number}" for name, number in snapshot.failures.most_common())
        text.append(f"   failed: {failed}", style="red")
    return text


def _front(ranking: Ranking) -> RenderableType:
    assert ranking.best is not None
    names = list(ranking.best.values)
    here = f"best of {ranking.measured} after {ranking.epochs} epochs"
    table = _table(here, *names, left=1)
    table.add_row(*_standing(ranking.best), style="bold green")
    if len(names) > 1:
        for standing in ranking.front[1:_SHOWN_FRONT]:
            table.add_row(*_standing(standing))
        more = len(ranking.front) - _SHOWN_FRONT
        table.add_row(Text(f"front: {len(ranking.front)}" + (f", {more} not shown" if more > 0 else ""), style="dim"))
    return table


def _standing(standing: Standing) -> list[str]:
    seeds = f"  ({standing.n} seeds)" if standing.n > 1 else ""
    return [with_name(standing.design) + seeds, *(quantity(name, value) for name, value in standing.values.items())]


def _table(*headings: str, left: int = 2) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place < left else "right", overflow="ellipsis", no_wrap=True)
    return table
