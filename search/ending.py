"""What a search says at its end: why it ended, what was found, what to type next."""

from __future__ import annotations

import signal
import sys
from typing import Any

from results.counted import counted
from results.exchange import readable
from results.published import with_name
from results.suggest import FAILED, command
from search.budget import Stop
from search.halving import Rungs
from search.snapshot import Standing
from search.view import View
from search.wording import quantity


def summary(view: View, stop: Stop) -> dict[str, Any]:
    """The end as JSON values, for a program."""
    snapshot = view.snapshot
    ranking = snapshot.ranking
    return {
        "study": view.name,
        "ended": view.why,
        "signal": None if stop.signal is None else signal.Signals(stop.signal).name,
        "trials": snapshot.trials,
        "states": dict(snapshot.states),
        "rows": {str(epochs): number for epochs, number in snapshot.rungs.items()},
        "epochs": snapshot.epochs,
        "failures": dict(snapshot.failures),
        "ranked_at_epochs": ranking.epochs,
        "best": None if ranking.best is None else _plain(ranking.best),
        "front": [_plain(standing) for standing in ranking.front],
    }


def say_end(view: View, stop: Stop) -> None:
    """On stderr."""
    lines = [_why(view, stop)]
    best = view.snapshot.ranking.best
    if best is not None:
        values = ", ".join(quantity(name, value) for name, value in best.values.items())
        lines.append(
            f"Best of {view.snapshot.ranking.measured} after "
            f"{counted(view.snapshot.ranking.epochs or 0, 'epoch')}: "
            f"{with_name(best.design)}: {values}"
        )
    rungs = None if view.study is None else view.study.plan.rungs
    if rungs is not None and rungs.halves and stop.signal is None and set(view.snapshot.states) == {"stopped"}:
        lines.append(_nobody_at_the_end(rungs))
    if view.snapshot.failures:
        failed = ", ".join(f"{name} {number}" for name, number in view.snapshot.failures.most_common())
        lines.append(f"Failed: {failed}. `{command(FAILED)}` lists them; --retry-failed begins them again.")
    lines.append(f"Next: {command('results top')}; {command('results pareto')}")
    print("\n".join(map(readable, lines)), file=sys.stderr)


def _why(view: View, stop: Stop) -> str:
    if stop.signal is not None:
        rows = sum(view.snapshot.rungs.values())
        kept = f"{counted(rows, 'finished evaluation')} of {counted(view.snapshot.trials, 'trial')}"
        return f"Ended by {signal.Signals(stop.signal).name}. Kept: {kept}; the same command goes on."
    again = " The same command goes on." if view.why == "the time is up" else ""
    return f"Done: {view.why}.{again}"


def _nobody_at_the_end(rungs: Rungs) -> str:
    needed = rungs.factor ** (len(rungs.epochs) - 1)
    return (
        f"No trial has reached the last rung, {rungs.end} epochs: one of every {rungs.factor} is promoted at each, so "
        f"it takes some {needed} trials. The same command with more --trials goes on; --no-halving trains all to "
        "the end."
    )


def _plain(standing: Standing) -> dict[str, Any]:
    return {"design": standing.design, "seeds": standing.n, **standing.values}
