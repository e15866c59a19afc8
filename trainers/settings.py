"""Fields of a recipe as the command line gives them: FIELD=VALUE."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from search_space.errors import UserError


class RecipeError(UserError):
    """A recipe value that makes no training."""


def read_settings(recipe: Any, settings: list[str]) -> dict[str, Any]:
    """{field: value} of texts FIELD=VALUE, each of the kind that the field has. Raises `RecipeError`."""
    known = {field.name for field in fields(recipe)} - {"name"}
    values: dict[str, Any] = {}
    for text in settings:
        field, equals, value = text.partition("=")
        if not equals or field not in known:
            allowed = ", ".join(f.name for f in fields(recipe) if f.name in known)
            raise RecipeError(f"recipe setting {text!r}: write FIELD=VALUE with one of the fields {allowed}.")
        values[field] = _read(recipe, field, value)
    return values


def _read(recipe: Any, field: str, value: str) -> Any:
    there = getattr(recipe, field)
    kind = float if there is None else type(there)
    try:
        return {"true": True, "false": False}[value.lower()] if kind is bool else kind(value)
    except (ValueError, KeyError):
        raise RecipeError(f"recipe {recipe.name}, {field}: {value!r} is not a {kind.__name__}.") from None
