"""Named designs with several seeds: the same evaluations a search makes, chosen by hand."""

from __future__ import annotations

from collections.abc import Sequence

from results.row import Row
from results.store import Store
from search.objective import Setting, evaluate
from search.study import Candidate, Report, Silent
from search_space import AttentionDesign, Layered


def replicate(
    designs: Sequence[AttentionDesign | Layered],
    seeds: Sequence[int],
    setting: Setting,
    store: Store,
    report: Report | None = None,
) -> list[Row]:
    """A row for every design and seed, seed by seed, so that an interrupted run has compared all designs so far.

    Every design is checked against the backbone before the first is trained. Raises `DesignError`.
    """
    watch = report or Silent()
    candidates = {}
    for design in designs:
        setting.check(design)
        candidates[setting.network_key(design)] = Candidate(design, setting.cost(design))
    stored = [store.get(setting.row(c.design, seed).identity) for seed in seeds for c in candidates.values()]
    watch.begin(len(stored), [row for row in stored if row is not None], candidates, 0)
    rows = []
    for seed in seeds:
        for candidate in candidates.values():
            row, trained = evaluate(candidate.design, seed, setting, store, watch.trial(candidate))
            watch.row(row, trained)
            rows.append(row)
    return rows
