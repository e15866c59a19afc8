"""Recipes that a storage keeps, to train by again. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from search_space.errors import UserError

if TYPE_CHECKING:
    from results.recipes import KeptRecipe
    from results.store import Store
    from trainers import Recipe
    from trainers.imagenet_recipe import RetrainRecipe

_R = TypeVar("_R", "Recipe", "RetrainRecipe")


def is_hash(name: str | None) -> bool:
    """Whether it names a recipe as rows do."""
    return name is not None and re.fullmatch("[0-9a-f]{12}", name) is not None


_TRAINED_BY = {"Recipe": "attnas train", "RetrainRecipe": "attnas retrain"}


def recipe_of_hash(given: str, epochs: int | None, store: Store) -> Recipe:
    """As `kept_of_hash`, of a proxy."""
    from trainers import Recipe

    return kept_of_hash(given, epochs, store, Recipe)


def kept_of_hash(given: str, epochs: int | None, store: Store, kind: type[_R]) -> _R:
    """The recipe that the rows of this hash were trained by; how long is no part of it.

    Raises `UserError` where the storage does not keep it, or no epochs are given.
    """
    kept = store.recipes.get(given)
    if epochs is None:
        raise UserError(f"recipe {given!r} is a hash, which covers no number of epochs; give --epochs as well")
    recipe = None if kept is None else _recipe_of(kept, kept.name, epochs, kind)
    if recipe is None:
        _require_kind(kept, kind)
        ours = (one for one in store.recipes.list() if one.kind == kind.__name__)
        known = ", ".join(f"{one.hash} ({one.name})" for one in ours) or "none"
        raise UserError(f"recipe {given!r} is none that can be trained by from here; the storage keeps: {known}")
    return recipe


def _require_kind(kept: KeptRecipe | None, kind: type) -> None:
    if kept is not None and kept.kind != kind.__name__ and kept.kind in _TRAINED_BY:
        raise UserError(
            f"recipe {kept.hash!r} ({kept.name}) is of `{_TRAINED_BY[kept.kind]}`, which trains by it: --recipe "
            f"{kept.hash} --epochs N there."
        )


def restored_recipe(context: Mapping[str, Any], settings: list[str] | None, store: Store) -> Recipe:
    """The recipe that the rows of a context were trained by: as the storage keeps it; of rows from before it kept
    recipes the named one with the same settings, held constant if a search halved.

    Raises `UserError` where it can't be told.
    """
    from trainers import Recipe
    from trainers.recipe import RECIPES, find_recipe

    kept = store.recipes.get(context["recipe_hash"])
    _require_kind(kept, Recipe)
    recipe = None if kept is None else _recipe_of(kept, context["recipe"], context["schedule_epochs"], Recipe)
    if recipe is not None:
        return recipe
    if context["recipe"] not in RECIPES:
        raise UserError(
            f"the rows are of the recipe {context['recipe']!r}, which can't be trained from here; allowed: "
            f"{', '.join(RECIPES)}. Choose other rows with --recipe or --where."
        )
    straight = find_recipe(context["recipe"]).changed_text(settings or [], epochs=context["schedule_epochs"])
    for recipe in (straight, straight.held()):
        if recipe.hash == context["recipe_hash"]:
            return recipe
    given = f"with {', '.join(settings)} " if settings else ""
    raise UserError(
        f"the rows were trained by a changed recipe {context['recipe']} (hash {context['recipe_hash']}); {given}it is "
        f"{straight.hash}, or {straight.held().hash} in a search that halves. Give the same --set FIELD=VALUE as then."
    )


def _recipe_of(kept: KeptRecipe, name: str, epochs: int, kind: type[_R]) -> _R | None:
    """None where it is of another kind of training, or means something else by now."""
    if kept.kind != kind.__name__:
        return None
    names = {field.name for field in fields(kind)} - {"name", "epochs"}
    values = {field: value for field, value in kept.content.items() if field in names}
    try:
        recipe = kind(name=name, epochs=epochs, **values)
    except (UserError, TypeError, ValueError):  # an import may have brought it
        return None
    return recipe if recipe.hash == kept.hash else None
