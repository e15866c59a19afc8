"""Conditions on the axes of a design in a query. A storage keeps the text; each is read once for what it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from results.axes import axes_of
from results.table import EVALUATIONS

_DESIGN = EVALUATIONS.c.design


class Designs:
    """The designs of a storage."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @cached_property
    def _axes(self) -> dict[str, Mapping[str, Any]]:
        texts = self._connection.execute(sa.select(_DESIGN).distinct()).scalars()
        return {text: axes_of(text) for text in texts}

    def where(self, test: Callable[[Mapping[str, Any]], bool | None]) -> sa.ColumnElement[bool]:
        """The truth of `test` of a row's axes: true, false, or missing (None), as SQL knows it."""
        said = {text: test(axes) for text, axes in self._axes.items()}
        yes, no = ([text for text, truth in said.items() if truth is wanted] for wanted in (True, False))
        return sa.case((_DESIGN.in_(self._listed(yes)), sa.true()), (_DESIGN.in_(self._listed(no)), sa.false()))

    def _listed(self, texts: Collection[str]) -> sa.Select[Any]:
        """The texts as one parameter: a database binds only so many to a statement."""
        bound = sa.literal(json.dumps(list(texts)), sa.Text)
        if self._connection.dialect.name == "sqlite":
            return sa.select(sa.func.json_each(bound).table_valued("value").c.value)
        return sa.select(sa.func.json_array_elements_text(sa.cast(bound, sa.JSON)))


def axis_value(axes: Mapping[str, Any], axis: str) -> Any:
    """As a query compares it: text or a number; `each` is 'true' or 'false'."""
    value = axes[axis]
    return str(value).lower() if isinstance(value, bool) else value
