"""The rows of a stored study, told from the storage alone: no data, no backbone, no code that a row names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from results.confirmed import is_search
from results.row import CONTEXT, Row
from results.store import Store
from results.studies import Study
from results.suggest import command
from search.objectives import Objectives
from search_space import AttentionDesign, Layered, Space, UserError, find_design

_LIMITED = {"macs": "macs", "params": "params", "latency": "latency_seconds"}


@dataclass(frozen=True)
class StoredStudy:
    """A search with what its config says. Raises `UserError` where it is none, or of another version of attnas."""

    stored: Study

    def __post_init__(self) -> None:
        if not is_search(self.stored):
            raise UserError(
                f"study {self.stored.name!r} is no search but a plan to {self.config['kind']}; "
                f"`{command('study show', self.stored.name)}` says how far it is."
            )
        try:
            _ = self.space, self.objectives, self.rungs, self.config["seeds"]
        except (KeyError, TypeError, UserError) as error:
            raise UserError(
                f"study {self.stored.name!r} was made by another version of attnas ({error}); "
                f"`{command('study delete', self.stored.name)}` forgets it and keeps its rows."
            ) from None

    @property
    def config(self) -> dict[str, Any]:
        return self.stored.config

    @property
    def space(self) -> Space:
        return Space(**{axis: tuple(values) for axis, values in self.config["space"].items()})

    @property
    def objectives(self) -> Objectives:
        return Objectives.parse(self.config["objectives"])

    @property
    def rungs(self) -> list[int]:
        return list(self.config["rungs"])

    @property
    def limits(self) -> Mapping[str, float]:
        return self.config.get("limits", {})

    def rows(self, store: Store) -> list[Row]:
        """Finished and running rows, without curves, in the order of `Store.changes`.

        A row belongs to the study if it was trained for it, or if another study's is what this one would train: the
        same context, seed and rung, a design of the space, within the limits.
        """
        context = {name: self.config[name] for name in CONTEXT if name != "epochs"}
        rows, _ = store.changes(-1, **context, epochs=self.rungs, seed=self.config["seeds"])
        keys = {design.key for design in self.space.distinct()}
        return [row for row in rows if row.study == self.stored.id or (row.key in keys and self._allows(row))]

    def _allows(self, row: Row) -> bool:
        values = ((getattr(row, _LIMITED[name]), limit) for name, limit in self.limits.items())
        return all(value is None or value <= limit for value, limit in values)


def design_of(row: Row) -> AttentionDesign | Layered | None:
    """The design of a row; None if this version of attnas can't read it."""
    try:
        return find_design(row.design)
    except UserError:
        return None


def by_trial(rows: list[Row]) -> dict[tuple[str, int], dict[int, Row]]:
    """{(network, seed): {rung: row}}, in the order in which the trials first appear."""
    found: dict[tuple[str, int], dict[int, Row]] = {}
    for row in rows:
        found.setdefault((row.network_key, row.seed), {})[row.epochs] = row
    return found
