"""Which network is tried next: those asked for first, then the sampler's, stepped aside from what is taken."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from results.row import Row
from search.candidates import Candidates
from search.halving import Rungs
from search.mirror import Mirror
from search.objectives import Objectives
from search.samplers import DEFAULT_SAMPLER, Sampler, make_sampler
from search_space import AttentionDesign, Space

_ENOUGH = 10  # networks measured at a rung before the sampler learns from it rather than from a lower one
_SHOWN_INFEASIBLE = 32  # designs over a limit that the sampler is shown before it proposes


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a study is about."""

    space: Space
    objectives: Objectives
    rungs: Rungs
    seeds: tuple[int, ...]
    sampler: str = DEFAULT_SAMPLER
    max_latency: float | None = None  # seconds; limits that need no measuring are in the candidates

    @property
    def needs_latency(self) -> bool:
        return self.objectives.need_latency or self.max_latency is not None


class Proposals:
    """Networks to try. What is proposed depends on the plan and on what is known, and on nothing else.

    So a search that was stopped goes on as if it had never been.
    """

    def __init__(self, plan: Plan, candidates: Candidates, mirror: Mirror, first: Sequence[str]) -> None:
        self.plan, self.candidates, self.mirror, self.first = plan, candidates, mirror, first
        self.excluded: dict[str, float] = {}  # networks over a limit that only measuring could tell, and by how much
        self._generation = mirror.generation
        self._sampler: Sampler | None = None
        self._level = -1
        self._told = 0

    def unseen(self) -> set[str]:
        """Networks that nobody has begun."""
        return self.candidates.networks.keys() - self.mirror.begun.keys() - self.excluded.keys()

    def exclude(self, key: str, excess: float) -> None:
        """Never propose this network: measuring has shown that it is over a limit, by this fraction."""
        if key in self.excluded:
            return
        self.excluded[key] = excess
        if self._sampler is not None:
            self._tell_excluded(self._sampler, key)

    def next(self, unseen: set[str]) -> str | None:
        """One of the `unseen` network keys; None if there is none."""
        if not unseen:
            return None
        asked_for = next((key for key in self.first if key in unseen), None)
        return asked_for if asked_for is not None else self._sampled(unseen)

    def _sampled(self, unseen: set[str]) -> str:
        def taken(design: AttentionDesign) -> bool:
            return self.candidates.key_of.get(design) not in unseen

        design = self._taught().propose(0, taken)
        # None: what is left was asked for by name, and stays when it was handed back
        return min(unseen) if design is None else self.candidates.key_of[design]

    def _taught(self) -> Sampler:
        """The sampler, told of every network measured at one fidelity: the highest that enough have reached."""
        enough = [epochs for epochs in self.plan.rungs.epochs if len(self.mirror.measured[epochs]) >= _ENOUGH]
        level = max(enough, default=self.plan.rungs.epochs[0])
        if self._sampler is None or (level, self.mirror.generation) != (self._level, self._generation):
            self._level, self._generation, self._told = level, self.mirror.generation, 0
            self._sampler = make_sampler(
                self.plan.sampler,
                self.plan.space,
                seed=self.plan.seeds[0],
                objectives=len(self.plan.objectives.names),
            )
            self._show_infeasible(self._sampler)
            for key in self.excluded:
                self._tell_excluded(self._sampler, key)
        measured = self.mirror.measured[level]
        for key in measured[self._told :]:
            self._tell(self._sampler, key, self.mirror.rows_of(key, level, self.plan.seeds))
        self._told = len(measured)
        return self._sampler

    def _tell(self, sampler: Sampler, key: str, rows: Sequence[Row]) -> None:
        design = self._in_space(key)
        if design is None:
            return  # asked for by name from outside the space: the sampler has no words for it
        good = [row for row in rows if row.status != "failed"]
        if good:
            sampler.tell(design, self.plan.objectives.mean(good))
        else:
            sampler.tell_infeasible(design, 1.0)

    def _tell_excluded(self, sampler: Sampler, key: str) -> None:
        design = self._in_space(key)
        if design is not None:
            sampler.tell_infeasible(design, self.excluded[key])

    def _in_space(self, key: str) -> AttentionDesign | None:
        design = self.candidates.networks[key].design
        return design if isinstance(design, AttentionDesign) and design in self.candidates.key_of else None

    def _show_infeasible(self, sampler: Sampler) -> None:
        over = sorted(self.candidates.over.items(), key=lambda pair: str(pair[0]))
        random.Random(self.plan.seeds[0]).shuffle(over)
        for design, excess in over[:_SHOWN_INFEASIBLE]:
            sampler.tell_infeasible(design, excess)
