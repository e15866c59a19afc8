"""What recipes of every kind share: names, fields that are checked, and FIELD=VALUE as the command line has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, TypeVar

from search_space.errors import UserError


class RecipeError(UserError):
    """A recipe value that makes no training."""


class Checked:
    """A recipe whose fields are looked at when it is made."""

    __slots__ = ()
    name: str

    def _require(self, field: str, right: bool, allowed: str) -> None:
        if not right:
            raise RecipeError(f"recipe {self.name}, {field}: {getattr(self, field)!r} given; allowed: {allowed}.")


_Named = TypeVar("_Named")


def find(name: str, recipes: Mapping[str, _Named]) -> _Named:
    """A recipe by name. Raises `RecipeError` naming those there are."""
    if name not in recipes:
        raise RecipeError(f"recipe {name!r} does not exist; allowed: {', '.join(recipes)}.")
    return recipes[name]


def read_settings(recipe: Any, settings: list[str]) -> dict[str, Any]:
    """{field: value} of texts FIELD=VALUE, each of the kind that the field has. Raises `RecipeError`."""
    known = {field.name for field in fields(recipe)} - {"name"}
    values: dict[str, Any] = {}
    for text in settings:
        field, equals, value = text.partition("=")
        if not equals or field not in known:
            allowed = ", ".join(f.name for f in fields(recipe) if f.name in known)
            near = get_close_matches(field, known, 1)
            what = f"{field!r} is no field{f'; did you mean {near[0]}?' if near else '.'} " if equals else ""
            raise RecipeError(f"recipe setting {text!r}: {what}Write FIELD=VALUE with one of the fields {allowed}.")
        values[field] = _read(recipe, field, value)
    return values


def _read(recipe: Any, field: str, value: str) -> Any:
    there = getattr(recipe, field)
    kind = float if there is None else type(there)
    try:
        return {"true": True, "false": False}[value.lower()] if kind is bool else kind(value)
    except (ValueError, KeyError):
        raise RecipeError(f"recipe {recipe.name}, {field}: {value!r} is not a {kind.__name__}.") from None
