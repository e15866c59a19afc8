"""Which evaluation is next, and whether the budget has room for it: decided by rows, within one transaction."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from results.counted import counted
from results.lease import lease_is_dead
from results.row import CONTEXT, Row
from results.store import Store
from search.budget import Budget
from search.candidates import Candidate, Candidates
from search.latency import LatencyBook, measured_latency
from search.mirror import Mirror, Trial, epochs_of
from search.objective import Setting
from search.proposals import Plan, Proposals
from search_space import AttentionDesign, Layered, find_design

MOST_KILLS = 5  # a design whose process was killed so often is not begun again


@dataclass(frozen=True, slots=True)
class Job:
    """One evaluation to make: this network, this seed, to this rung; the row claims it."""

    candidate: Candidate
    row: Row
    is_new: bool  # the first row of its trial
    epochs: float  # that it will train

    @property
    def trial(self) -> Trial:
        return self.candidate.key, self.row.seed


class Study:
    """What is known and what to do next. One a process; several processes agree through the store alone."""

    def __init__(
        self,
        plan: Plan,
        setting: Setting,
        store: Store,
        candidates: Candidates,
        *,
        first: Sequence[AttentionDesign | Layered] = (),
        study_id: str | None = None,
        checkpoints: Path | None = None,
    ) -> None:
        self.plan, self.setting, self.store, self.candidates = plan, setting, store, candidates
        self.id, self.checkpoints = study_id, checkpoints
        self._context = {name: setting.context[name] for name in CONTEXT if name != "epochs"}
        scope = self._context | {"epochs": list(plan.rungs.epochs), "seed": list(plan.seeds)}
        self._unreported: list[Row] = []  # taken in while claiming
        self._claiming: Job | None = None  # whose answer we wait for
        self._known_values: dict[int, dict[str, tuple[float, ...]]] = defaultdict(dict)  # by rung and network
        self._generation = 0
        self.mirror = Mirror(store, scope, self._take, len(plan.seeds))
        self.latencies = LatencyBook(setting, store, plan.max_latency) if plan.needs_latency else None
        keys = dict.fromkeys(setting.network_key(design) for design in first)
        self.proposals = Proposals(plan, candidates, self.mirror, [key for key in keys if key in candidates.networks])

    def sync(self) -> list[Row]:
        """Take in what has changed; returns the rows that have finished since the last time, oldest first."""
        if self.latencies is not None and self.latencies.learn():
            self._mind_latencies(self.latencies)
        new, self._unreported = [*self._unreported, *self.mirror.sync()], []
        return new

    def _take(self, row: Row) -> Row | None:
        """The row with what is known of it, if it is the study's: of an allowed network, or trained for this study."""
        key = row.network_key
        if key in self.proposals.excluded:
            return None
        if key not in self.candidates.networks:
            if row.study is None or row.study != self.id:
                return None
            design = find_design(row.design)  # asked for by name, when the search was begun
            self.candidates.networks[key] = Candidate(design, key, self.setting.cost(design))
        if self.latencies is not None and row.latency_seconds is None:
            return replace(row, latency_seconds=self.latencies.seconds.get(key))
        return row

    def _mind_latencies(self, latencies: LatencyBook) -> None:
        for key in self.candidates.networks:
            if excess := latencies.excess(key):
                self.proposals.exclude(key, excess)
        rows = self.mirror.finished.values()
        if any(row.network_key in latencies.seconds and row.latency_seconds is None for row in rows) or any(
            row.network_key in self.proposals.excluded for row in rows
        ):
            self.mirror.forget()

    def measure_latencies(self) -> None:
        """Measure what finished rows lack: they were trained where latency did not count."""
        if self.latencies is None:
            return
        lacking = {row.network_key for row in self.mirror.finished.values() if row.latency_seconds is None}
        for key in sorted(lacking):
            measured_latency(self.candidates.networks[key], self.setting, self.store)
        if lacking:
            self.sync()

    def retry_failed(self) -> int:
        """Set the failed rows free in the store, where whoever looks next begins them again, first of all; how many."""
        failed = [row.identity for row in self.mirror.finished.values() if row.status == "failed"]
        number = self.store.revive(failed)
        self.sync()
        return number

    def hand_back(self) -> None:
        """Give back what killed processes left, so that no row says running when nobody runs."""
        self.sync()
        for row in self.mirror.dead:
            self.store.release(row.identity, str(row.owner))

    def rows(self) -> list[Row]:
        """Every finished row of the study with all its columns, in the order of their commits."""
        whole = {row.identity: row for row in self.store.rows(**self._context)}
        return [whole[identity] for identity in self.mirror.finished if identity in whole]

    # -- what is next ----------------------------------------------------------------------------------------------

    def begin(self, budget: Budget) -> Job | None:
        """Claim the next evaluation; None if there is none to begin now (see `is_over`).

        Which one is proposed outside the database; whether the budget still has room for it, and nobody else has
        taken it, is decided within one transaction.
        """
        if self._claiming is not None and self._is_ours(self._claiming):
            return self._claimed(self._claiming)
        while (job := next(self._jobs(budget), None)) is not None:
            self._claiming = job
            with self.store.turn() as turn:
                self._unreported += self.mirror.sync(turn)
                fits = self._fits(job, budget)
                there = turn.claim(job.row) if fits else None
            if fits and there is None:
                return self._claimed(job)
            if there is not None and there.identity not in self.mirror.finished.keys() | self.mirror.running.keys():
                self.mirror.absorb(there)  # written by a process that counts its changes otherwise, of an older version
        self._claiming = None
        return None

    def _claimed(self, job: Job) -> Job:
        self._claiming = None
        self.mirror.add_running(job.row)
        return job

    def _is_ours(self, job: Job) -> bool:
        """Whether a claim was committed although the connection was lost before the answer came."""
        there = self.store.get(job.row.identity)
        running = there is not None and there.status == "running"
        return running and (there.owner, there.started) == (job.row.owner, job.row.started)  # type: ignore[union-attr]

    def is_over(self) -> bool:
        """Whether `begin` gave None for good: no one is at work whose end, or death, could give more to do."""
        return all(lease_is_dead(row) for row in self.mirror.running.values())

    def why_over(self, budget: Budget) -> str:
        """In words, after `is_over`."""
        if budget.trials is not None and self.mirror.trials >= budget.trials:
            return counted(self.mirror.trials, "trial")
        if not self.proposals.unseen():
            return "nothing new is left: every allowed network has been evaluated"
        if budget.epochs is None:
            return "nothing is left to begin"
        return f"{self.mirror.epochs:g} of {budget.epochs:g} epochs: the next evaluation would not fit"

    def preview(self, number: int) -> list[Candidate]:
        """The first networks a search would train now, at most `number`: those that wait, then the proposals."""
        found = {job.candidate.key: job.candidate for job in self._waiting()}
        while len(found) < number:
            key = self.proposals.next(self.proposals.unseen() - found.keys())
            if key is None:
                break
            found[key] = self.candidates.networks[key]
        return list(found.values())[:number]

    def _jobs(self, budget: Budget) -> Iterator[Job]:
        """What could be done now, most urgent first, within the budget as far as we know."""
        for job in self._waiting():
            if self._fits(job, budget):
                yield job
        if budget.trials is not None and self.mirror.trials >= budget.trials:
            return
        key = self.proposals.next(self.proposals.unseen())
        if key is not None:
            job = self._job(key, self.plan.seeds[0], self.plan.rungs.epochs[0])
            if self._fits(job, budget):
                yield job

    def _waiting(self) -> Iterator[Job]:
        """What was begun: work of processes that died, promotions, further seeds."""
        for row in self.mirror.dead:
            yield self._job(row.network_key, row.seed, row.epochs)
        yield from self._promotions()
        yield from self._further_seeds()

    def _promotions(self) -> Iterator[Job]:
        for epochs in reversed(self.plan.rungs.epochs[:-1]):
            after = self.plan.rungs.after(epochs)
            begun = self.mirror.begun_at[after]
            done = {key for key, seeds in Counter(key for key, _ in begun).items() if seeds == len(self.plan.seeds)}
            for key in self.plan.rungs.promotable(self._values(epochs), done):
                for seed in self.plan.seeds:
                    if (key, seed) not in begun:
                        yield self._job(key, seed, after)

    def _values(self, epochs: int) -> dict[str, tuple[float, ...]]:
        """What the networks that have finished a rung with every seed gave in the mean.

        A network goes on with all its seeds or with none: promoted one by one, the lucky ones would go on.
        """
        if self._generation != self.mirror.generation:
            self._generation = self.mirror.generation
            self._known_values.clear()
        known = self._known_values[epochs]
        for key in islice(self.mirror.measured[epochs], len(known), None):
            known[key] = self.plan.objectives.mean(self.mirror.rows_of(key, epochs, self.plan.seeds))
        return known

    def _further_seeds(self) -> Iterator[Job]:
        if len(self.plan.seeds) == 1:
            return
        for key, begun in self.mirror.begun.items():
            if len(begun) < len(self.plan.seeds):
                for seed in self.plan.seeds:
                    if seed not in begun:
                        yield self._job(key, seed, self.plan.rungs.epochs[0])

    def _job(self, key: str, seed: int, epochs: int) -> Job:
        candidate = self.candidates.networks[key]
        begun = self.mirror.by_trial.get((key, seed), {})
        cost = self._epochs_to(epochs, key, seed)
        row = self.setting.row(candidate.design, seed, epochs=epochs, cost=candidate.cost, network_key=key)
        dead = begun.get(epochs)
        row = replace(row, study=self.id, epochs_trained=cost, attempts=1 if dead is None else dead.attempts + 1)
        return Job(candidate, row, is_new=not begun, epochs=cost)

    def _fits(self, job: Job, budget: Budget) -> bool:
        if job.row.identity in self.mirror.finished:
            return False
        there = self.mirror.running.get(job.row.identity)
        if there is not None and not lease_is_dead(there):
            return False
        new_trial = job.trial not in self.mirror.by_trial
        if new_trial and budget.trials is not None and self.mirror.trials >= budget.trials:
            return False
        spent = self.mirror.epochs - (0 if there is None else epochs_of(there))
        return budget.epochs is None or spent + job.epochs <= budget.epochs + 1e-9

    # -- between rungs ---------------------------------------------------------------------------------------------

    def checkpoint(self, trial: Trial) -> Path | None:
        """The file that holds a trial's undecayed state between its rungs; None where trials go straight to the end."""
        if self.checkpoints is None or not self.plan.rungs.halves:
            return None
        named = json.dumps([*trial, *sorted(self._context.items())])
        return self.checkpoints / f"{hashlib.sha256(named.encode()).hexdigest()[:32]}.pt"

    def _epochs_to(self, epochs: int, key: str, seed: int) -> float:
        """Epochs that an evaluation to this rung would train, from the state that the rung below left if it is here."""
        below = [rung for rung in self.mirror.by_trial.get((key, seed), {}) if rung < epochs]
        left = self.checkpoint((key, seed))
        there = bool(below) and left is not None and left.exists()
        return self.setting.recipe.epochs_trained(
            epochs, self.setting.steps_an_epoch, since=max(below) if there else None
        )
