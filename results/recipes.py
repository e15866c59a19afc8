"""What the recipe hash of a row stands for. Rows keep the hash and a name; here is every value behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from results.schema import insert
from results.table import RECIPES
from search_space.errors import UserError

if TYPE_CHECKING:
    from results.store import Store

_c = RECIPES.c


class RecipeConflictError(UserError):
    """One hash with two meanings: what differs, and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptRecipe:
    """A recipe as it is stored: `content` holds every value that the hash covers, the defaults of its day too.

    `kind` is what sort of training it is of, `name` what it was called when it was first used.
    """

    hash: str
    kind: str
    name: str
    content: Mapping[str, Any]


class Recipes:
    """The recipes of a storage; made by `Store.recipes`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self) -> list[KeptRecipe]:
        """Every recipe, by hash."""
        with self._store.reading() as connection:
            return select(connection)

    def get(self, recipe_hash: str) -> KeptRecipe | None:
        """The recipe of this hash, if it was kept; of rows older than schema version 4 it was not."""
        with self._store.reading() as connection:
            return next(iter(select(connection, _c.hash == recipe_hash)), None)

    def keep(self, recipe: KeptRecipe) -> None:
        """Write a recipe down unless its hash is known with all its values; one read where it is.

        Raises:
            RecipeConflictError: the hash is known with other values.
        """
        there = self.get(recipe.hash)
        if there is not None:
            check_same(there, recipe)
            if recipe.content.keys() <= there.content.keys():
                return
        with self._store.turn() as turn:
            put(turn.connection, recipe)


def select(connection: Connection, *wanted: sa.ColumnElement[bool]) -> list[KeptRecipe]:
    found = connection.execute(sa.select(RECIPES).where(*wanted).order_by(_c.hash)).mappings()
    return [KeptRecipe(**cells) for cells in found]


def put(connection: Connection, recipe: KeptRecipe) -> bool:
    """Whether the recipe is new. Of one that is known the values stay, and those that it lacks are added.

    Raises `RecipeConflictError`.
    """
    write = insert(RECIPES, connection.dialect.name).on_conflict_do_nothing().returning(_c.hash)
    if connection.execute(write, asdict(recipe)).first() is not None:
        return True
    there = select(connection, _c.hash == recipe.hash)[0]
    check_same(there, recipe)
    whole = {**recipe.content, **there.content}
    if len(whole) > len(there.content):
        connection.execute(sa.update(RECIPES).where(_c.hash == recipe.hash).values(content=whole))
    return False


def check_same(ours: KeptRecipe, given: KeptRecipe) -> None:
    """Raises `RecipeConflictError` where a value that both have differs.

    A value that one of them lacks is no conflict: a field that came later has a default that means what was before.
    """
    told = [f"kind: given {given.kind}, stored {ours.kind}"] if given.kind != ours.kind else []
    told += [
        f"{name}: given {given.content[name]!r}, stored {ours.content[name]!r}"
        for name in sorted(ours.content.keys() & given.content.keys())
        if given.content[name] != ours.content[name]
    ]
    if told:
        raise RecipeConflictError(
            f"recipe {given.name} ({given.hash}) is stored with other values ({'; '.join(told)}): rows of the two "
            "must not stand side by side; use another storage for it"
        )
