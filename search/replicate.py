"""Named designs with several seeds: the same evaluations a search makes, chosen by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from results.row import Row
from results.store import Store
from search.objective import EpochReport, Setting, evaluate
from search_space import AttentionDesign, Layered


class Watch(Protocol):
    """What named trainings tell whoever watches them."""

    def begin(self, trainings: int, known: list[Row]) -> None:
        """So many trainings in all; `known` are the rows that the storage has of them."""

    def training(self, design: AttentionDesign | Layered) -> EpochReport | None:
        """The next one begins; what is returned is told of its epochs."""

    def row(self, row: Row, trained: bool) -> None:
        """How it ended, or that it was ended before or runs elsewhere."""


class Unwatched:
    """Says nothing."""

    def begin(self, trainings: int, known: list[Row]) -> None: ...
    def training(self, design: AttentionDesign | Layered) -> None: ...
    def row(self, row: Row, trained: bool) -> None: ...


def replicate(
    designs: Sequence[AttentionDesign | Layered],
    seeds: Sequence[int],
    setting: Setting,
    store: Store,
    watch: Watch | None = None,
) -> list[Row]:
    """A row for every design and seed, seed by seed, so that an interrupted run has compared all designs so far.

    Every design is checked against the backbone before the first is trained. Raises `DesignError`.
    """
    told = watch or Unwatched()
    for design in designs:
        setting.check(design)
    networks = {setting.network_key(design): design for design in designs}.values()
    stored = [store.get(setting.row(design, seed).identity) for seed in seeds for design in networks]
    told.begin(len(stored), [row for row in stored if row is not None])
    rows = []
    for seed in seeds:
        for design in networks:
            row, trained = evaluate(design, seed, setting, store, told.training(design))
            told.row(row, trained)
            rows.append(row)
    return rows
