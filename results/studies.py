"""Studies: what was asked for, under a name. Which rows belong to one follows from that, and is kept nowhere."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from results.lease import lease_is_dead
from results.table import EVALUATIONS, ROW_COLUMNS, STUDIES, from_cells
from search_space.errors import UserError

if TYPE_CHECKING:
    from results.store import Store

LONGEST_NAME = 100
SAMPLERS = "samplers"
"""What a config tells and does not ask: who has proposed designs, in order. With another sampler it is still the same
study, so this is no part of its hash; a study begun before it was kept does not tell."""

_c = STUDIES.c


class StudyError(UserError):
    """A study that cannot be found, named, gone on with or deleted: what was given, what there is, what to do."""


@dataclass(frozen=True, slots=True)
class Study:
    """A study as it is stored; `created` is in unix seconds."""

    id: str
    name: str
    config: dict[str, Any]
    created: float


class Studies:
    """The studies of a storage; made by `Store.studies`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self) -> list[Study]:
        """Every study, oldest first."""
        with self._store.reading() as connection:
            return select(connection)

    def get(self, name: str) -> Study:
        """The study of this name.

        Raises:
            StudyError: there is none.
        """
        with self._store.reading() as connection:
            return _named(connection, name)

    def begin(
        self, config: Mapping[str, Any], name: str | None, default_name: str, *, sampler: str | None = None
    ) -> Study:
        """The study to go on with, made if there is none: by its name, or without one the oldest that asks the same.

        `config` is what JSON can hold. A new study without a name is called `default_name`, or that with -2, -3...
        `sampler` is who will propose for it: `Study.config` tells all that have (`SAMPLERS`).

        Raises:
            StudyError: the study of this name asks for something else, or the name cannot be one.
        """
        if name is not None:
            check_name(name)
        wanted: dict[str, Any] = json.loads(_canonical(config))
        with self._store.turn() as turn:
            found = _alike(turn.connection, wanted, name)
            proposed = [] if sampler is None else [sampler]
            if found is not None:
                return add_samplers(turn.connection, found, proposed)
            told = wanted | ({SAMPLERS: proposed} if proposed else {})
            return insert(turn.connection, told, free_name(turn.connection, default_name) if name is None else name)

    def find(self, config: Mapping[str, Any], name: str | None) -> Study | None:
        """The study that `begin` would go on with, None if it would make one; changes nothing.

        Raises:
            StudyError: the study of this name asks for something else.
        """
        with self._store.reading() as connection:
            return _alike(connection, json.loads(_canonical(config)), name)

    def rename(self, old: str, new: str) -> None:
        """Call a study something else.

        Raises:
            StudyError: there is no such study, the new name is taken, or it cannot be one.
        """
        check_name(new)
        with self._store.turn() as turn:
            study = _named(turn.connection, old)
            if new != old and select(turn.connection, _c.name == new):
                raise StudyError(f"study {old!r} cannot be called {new!r}: another one is; choose another name")
            turn.connection.execute(sa.update(STUDIES).where(_c.id == study.id).values(name=new))

    def delete(self, name: str, *, rows: bool = False) -> int:
        """Forget a study, and with `rows` the rows that were trained for it; returns how many rows went.

        Rows that other studies had trained stay, though this one used them.

        Raises:
            StudyError: there is no such study, or a live process is training for it.
        """
        with self._store.turn() as turn:
            study = _named(turn.connection, name)
            _check_idle(turn.connection, study)
            turn.connection.execute(sa.delete(STUDIES).where(_c.id == study.id))
            if not rows:
                return 0
            return turn.connection.execute(sa.delete(EVALUATIONS).where(EVALUATIONS.c.study == study.id)).rowcount


def select(connection: Connection, *wanted: sa.ColumnElement[bool]) -> list[Study]:
    statement = sa.select(_c.id, _c.name, _c.config, _c.created).where(*wanted).order_by(_c.created, _c.id)
    return [Study(**found) for found in connection.execute(statement).mappings()]


def insert(connection: Connection, config: Mapping[str, Any], name: str) -> Study:
    """A new study of this name, which must be free."""
    study = Study(id=uuid.uuid4().hex, name=name, config=json.loads(_canonical(config)), created=time.time())
    values = {"id": study.id, "name": name, "config": study.config, "created": study.created}
    connection.execute(sa.insert(STUDIES).values(**values, config_hash=config_hash(study.config)))
    return study


def add_samplers(connection: Connection, study: Study, proposed: object) -> Study:
    """The study, stored with these among its samplers if it tells them at all."""
    known = study.config.get(SAMPLERS)
    if not isinstance(known, list) or not isinstance(proposed, list):
        return study
    new = [name for name in proposed if name not in known]
    if not new:
        return study
    config = study.config | {SAMPLERS: [*known, *new]}
    connection.execute(sa.update(STUDIES).where(_c.id == study.id).values(config=config))
    return replace(study, config=config)


def _alike(connection: Connection, wanted: dict[str, Any], name: str | None) -> Study | None:
    """The study of this name, which must ask for what is wanted; without a name the oldest that asks for it."""
    found = select(connection, _c.config_hash == config_hash(wanted) if name is None else _c.name == name)
    if not found:
        return None
    _check_same(found[0], wanted)
    return found[0]


def _named(connection: Connection, name: str) -> Study:
    by_name = {study.name: study for study in select(connection)}
    if name in by_name:
        return by_name[name]
    names = f"there are: {', '.join(map(repr, by_name))}" if by_name else "it has none"
    raise StudyError(f"there is no study {name!r} in this storage; {names}")


def _check_idle(connection: Connection, study: Study) -> None:
    here = (EVALUATIONS.c.study == study.id, EVALUATIONS.c.status == "running")
    running = [
        from_cells(cells) for cells in map(dict, connection.execute(sa.select(*ROW_COLUMNS).where(*here)).mappings())
    ]
    owners = sorted({str(row.owner) for row in running if not lease_is_dead(row)})
    if owners:
        raise StudyError(
            f"study {study.name!r} is being worked on by {', '.join(owners)}; end these processes first, or wait "
            "for two minutes if their machine is gone"
        )


def check_name(name: str) -> None:
    if not (0 < len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip().strip("/")):
        raise StudyError(
            f"{name!r} cannot name a study; a name has 1 to {LONGEST_NAME} printable characters and neither begins nor "
            "ends with a space or a slash"
        )


def free_name(connection: Connection, wanted: str) -> str:
    check_name(wanted)
    taken = {study.name for study in select(connection)}
    if wanted not in taken:
        return wanted
    endings = (f"-{number}" for number in count(2))
    return next(name for name in (wanted[: LONGEST_NAME - len(end)] + end for end in endings) if name not in taken)


def _check_same(stored: Study, config: dict[str, Any]) -> None:
    if config_hash(stored.config) == config_hash(config):
        return
    theirs, ours = dict(_leaves(_asked(stored.config))), dict(_leaves(_asked(config)))
    differing = sorted(key for key in theirs.keys() | ours.keys() if _said(theirs, key) != _said(ours, key))
    told = "; ".join(f"{key}: given {_said(ours, key)}, stored {_said(theirs, key)}" for key in differing)
    raise StudyError(
        f"study {stored.name!r} asks for something else ({told}); give what is stored to go on with it, or another name"
    )


def _leaves(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, value in config.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found


def _said(leaves: Mapping[str, Any], key: str) -> str:
    return _canonical(leaves[key]) if key in leaves else "nothing"


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _asked(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != SAMPLERS}


def config_hash(config: Mapping[str, Any]) -> str:
    """Equal for studies that ask the same."""
    return hashlib.sha256(_canonical(_asked(config)).encode("ascii")).hexdigest()[:32]
