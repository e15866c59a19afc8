"""What a campaign has proven, from its log and its database alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from chaos.campaign import Campaign
from chaos.journal import BETWEEN

from results import open_store
from results.row import Row


@dataclass
class Verdict:
    backend: str
    rows: Counter[str]  # by status
    trials: int
    runs: int
    kills: Counter[tuple[str, str]]  # by (victim, moment)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    zombies: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def between(self) -> int:
        return sum(number for (_, moment), number in self.kills.items() if moment == BETWEEN)

    @property
    def passed(self) -> bool:
        return not (self.lost or self.doubled or self.zombies or self.faults)


def judge(done: Campaign, least_kills: int, *, patiently: bool = False) -> Verdict:
    """After `Campaign.run`. `patiently`: see `Campaign.left_alive`."""
    with open_store(done.url, read_only=True) as store:
        rows = store.rows()
    by_identity = {row.identity: row for row in rows}
    trials = {(row.network_key, row.seed) for row in rows}
    statuses = Counter(row.status for row in rows)
    verdict = Verdict(done.plan.backend, statuses, len(trials), done.runs, done.journal.kills())
    verdict.lost = _lost(done, by_identity)
    verdict.doubled = _doubled(done, rows)
    left = done.left_alive(patiently=patiently)
    verdict.zombies = [f"row {row.identity} is still running" for row in rows if row.status == "running"]
    verdict.zombies += [f"process {pid} is alive: {command[:200]}" for pid, command in left.items()]
    verdict.faults = [*done.faults, *done.tracebacks(), *_wrong_numbers(done, rows, trials, statuses)]
    kills = verdict.kills.total()
    if kills < least_kills or 2 * verdict.between < kills:
        verdict.faults.append(f"too few kills: {kills} of {least_kills}, {verdict.between} of them {BETWEEN}")
    return verdict


def _lost(done: Campaign, by_identity: dict[str, Row]) -> list[str]:
    """Commits that the database does not hold, or holds otherwise; work that was begun and never ended."""
    found = []
    for event in done.journal.of("committed"):
        row = by_identity.get(event["identity"])
        there = None if row is None else (row.status, row.accuracy, row.loss)
        if there != (event["status"], event["accuracy"], event["loss"]):
            found.append(f"{event['identity']}: committed {event}, the database holds {there}")
    begun = {event["identity"] for event in done.journal.of("begun")}
    released = {event["identity"] for event in done.journal.of("released")}  # another may have taken its place
    return found + [f"{identity}: begun, and no row is left" for identity in begun - released - by_identity.keys()]


def _doubled(done: Campaign, rows: list[Row]) -> list[str]:
    found = [f"{identity}: begun after its commit" for identity in done.journal.again_after_commit()]
    found += [f"{identity}: brought to its end twice" for identity in done.journal.committed_by_several()]
    # a process may die after its commit and before it could log it: then the row knows when its training had ended
    ended = {row.identity: row.finished for row in rows if row.finished is not None}
    for event in done.journal.of("begun"):
        if event["time"] > ended.get(event["identity"], event["time"]):
            found.append(f"{event['identity']}: begun after the end that its row tells")
    alike = Counter((row.network_key, row.seed, row.epochs, row.schedule_epochs) for row in rows)
    return found + [f"{what}: {number} rows" for what, number in alike.items() if number > 1]


def _wrong_numbers(done: Campaign, rows: list[Row], trials: set[tuple[str, int]], statuses: Counter[str]) -> list[str]:
    """Trials are exactly those asked for; all have ended well; of every rung the best third has been promoted."""
    found = []
    if len(trials) != done.plan.trials:
        found.append(f"{len(trials)} trials, {done.plan.trials} were asked for")
    if statuses.keys() - {"complete", "stopped", "running"}:
        found.append(f"evaluations have failed: {dict(statuses)}")
    top = sum(row.epochs == done.plan.epochs for row in rows)
    least = done.plan.trials if done.plan.epochs == 1 else done.plan.trials // 3
    if top < least:
        found.append(f"{top} evaluations at the last rung, {least} at least were due")
    return found
