"""What a confirmation found, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator

from results.best import Look
from results.confirmed import Arm, Confirmation
from results.counted import counted
from results.exchange import readable
from results.published import with_name
from results.reported import Gap, Report
from results.spread import LEVEL
from results.suggest import FAILED, command
from search.tables import context_line
from search.wording import points

_FRESH = "Fresh seeds that had no part in the choice"
_TEST = "Once on the test split"
_SECOND = "Not the first look at the test split"


def verdict(state: Confirmation) -> Iterator[str]:
    """Lines: the race, who won it, what fresh seeds say of the leader, what to do next. A plan may come from anywhere:
    nothing in them can steer a terminal."""
    return map(readable, _lines(state))


def _lines(state: Confirmation) -> Iterator[str]:
    yield f"{state.study}: {context_line(state.context)}"
    yield ""
    yield from _race(state)
    yield ""
    yield from _decision(state)
    if state.report is not None:
        yield ""
        yield from _report(state.report, _FRESH)
    if state.final is not None:
        yield ""
        yield from _report(state.final, _SECOND if state.final.second_look else _TEST)
    yield ""
    yield _next(state)


def went(look: Look, state: Confirmation) -> str:
    """What a look decided, in a line."""
    names = ", ".join(state.arms[arm].design for arm in look.out)
    return (
        f"after {look.n} seeds an arm: out {names}; more than {points(look.width)} points behind the best "
        f"(spread between seeds {points(look.sd)}, {look.df} degrees of freedom)"
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"


def _race(state: Confirmation) -> Iterator[str]:
    width = max(len(with_name(arm.design)) for arm in state.arms)
    yield f"{'design':{width}}  seeds  mean %  less the best other, {_percent(1 - state.alpha)} intervals together"
    for arm in sorted(state.arms, key=_order):
        name, mean = with_name(arm.design), points(arm.mean, unknown="-")
        yield f"{name:{width}}  {arm.n:>5}  {mean:>6}  {_interval(arm):>18}  {_fate(arm, state)}".rstrip()
    if state.looks:
        last = state.looks[-1]
        yield f"spread between seeds {points(last.sd)} points, pooled over the arms ({last.df} degrees of freedom)"


def _order(arm: Arm) -> tuple[bool, float, float]:
    mean = math.inf if math.isnan(arm.mean) else -arm.mean
    return arm.failure is not None, -(arm.out_after or math.inf), mean


def _interval(arm: Arm) -> str:
    return "" if math.isnan(arm.low) else f"{100 * arm.low:+.2f} to {100 * arm.high:+.2f}"


def _fate(arm: Arm, state: Confirmation) -> str:
    if arm.failure is not None:
        return f"left out: a training failed ({arm.failure})"
    if arm.out_after is not None:
        return f"out after {arm.out_after} seeds"
    return "winner" if arm.design == state.winner else "may be the best" if state.decided else "in the race"


def _decision(state: Confirmation) -> Iterator[str]:
    if not state.decided:
        yield f"Not decided yet: {counted(len(state.wanted), 'training')} of this round to come."
        return
    if state.leader is None:
        yield "Nobody is left: every design failed with some seed."
        return
    failed = [arm.design for arm in state.arms if arm.failure is not None]
    if state.winner is not None and not state.looks:
        yield f"{state.winner} is the only design whose trainings all ended well: nothing was compared."
    elif state.winner is not None:
        all_well = " whose trainings all ended well" if failed else ""
        yield f"Winner: {state.winner}. It is better than every other design here{all_well}."
    else:
        names = ", ".join(state.standing)
        yield f"No winner: {len(state.standing)} designs can't be told apart from the best: {names}."
        yield f"{state.leader} has the highest mean of them."
    if failed:
        yield f"Not compared, as a training failed: {', '.join(failed)}; --retry-failed begins that again."
    if state.looks:
        yield (
            "The level: whatever the truth, the best of the designs compared is sent out in at most "
            f"{_percent(state.alpha)} of such confirmations, looks after each round of seeds included. The means above "
            "chose the leader and flatter it."
        )


def _report(report: Report, title: str) -> Iterator[str]:
    if report.wanted:
        yield f"{title}: {len(report.wanted)} of {counted(len(report.seeds) * len(report.means), 'training')} to come."
        return
    seeds = f"seeds {report.seeds[0]} to {report.seeds[-1]}" if len(report.seeds) > 1 else f"seed {report.seeds[0]}"
    yield f"{title} ({report.split} split, recipe {report.recipe}, {counted(report.epochs, 'epoch')}, {seeds}):"
    width = max(len(mean.design) for mean in report.means)
    for mean in report.means:
        if mean.n == 0:
            all_failed = "its training failed" if mean.failed == 1 else f"all {mean.failed} trainings failed"
            yield f"  {mean.design:{width}}  nothing can be said: {all_failed}"
            continue
        failed = f", {mean.failed} failed" if mean.failed else ""
        between = f"{_percent(LEVEL)} interval {points(mean.low)} to {points(mean.high)}"
        yield f"  {mean.design:{width}}  {points(mean.mean)} %, {between}, n = {mean.n}{failed}"
    for gap in report.gaps:
        yield f"  {_gap(gap, report.means[0].design)}"


def _gap(gap: Gap, leader: str) -> str:
    if math.isnan(gap.gap):
        return f"{leader} less {gap.against}: no seed trained both"
    said = f"{leader} less {gap.against}: {100 * gap.gap:+.2f} points"
    if math.isnan(gap.low):
        return f"{said}, n = {counted(gap.n, 'pair')} of a seed"
    how = f"n = {gap.n} pairs of a seed" if gap.paired else "by the spread pooled over these designs"
    return f"{said}, {_percent(LEVEL)} interval {100 * gap.low:+.2f} to {100 * gap.high:+.2f}, {how}"


def _next(state: Confirmation) -> str:
    if state.wanted:
        return "Next: the same command goes on."
    if state.leader is None:
        return f"Next: `{command(FAILED)}` says why; --retry-failed begins them again."
    if any(report is not None and report.means[0].n == 0 for report in (state.report, state.final)):
        return f"Next: --retry-failed begins the fresh trainings of {state.leader} again; until then it is unproven."
    if state.winner is None:
        return (
            f"Next: take the cheapest of them (`{command('results pareto')}`), or ask for more: --again with more "
            f"--seeds; `{command('results noise')}` says how many a gap needs."
        )
    return _next_of(state.winner, state)


def _next_of(winner: str, state: Confirmation) -> str:
    if winner == "none":
        return "Next: no attention beats these designs; search on, or at more epochs."
    if state.final is None:
        return "Next: the same command with --final trains it at full length and measures it once on the test split."
    trained = command("retrain", winner, "--data", "PATH")
    return f"Next: `{trained}` trains it on an ImageNet-style tree."
