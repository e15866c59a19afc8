"""Questions to the table, as text: `macs < 42e6 and accuracy > 0.68 and status == "complete"`.

Allowed: comparisons (== != < <= > >=, chained too, `in` and `not in` with a list of constants, `is None`,
`is not None`) of columns with numbers, quoted text or other columns, joined with `and`, `or`, `not` and parentheses.

A missing value (the accuracy of a failed row) satisfies no comparison, and no negated one either: as in SQL,
`not (accuracy > 0.5)` finds only rows that have an accuracy. Ask for missing ones with `accuracy is None`.

The axes of a design (`squeeze == "dct" and reduction <= 8`) are columns too; they are compared with constants and with
each other.

Python's `ast` serves as the parser only. Its tree is translated through a whitelist to SQL with bound parameters;
nothing is ever evaluated.
"""

from __future__ import annotations

import ast
import difflib
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any, TypeGuard

import sqlalchemy as sa

from results.columns import AXES, ROWS
from results.query_axes import Designs, axis_value
from results.table import EVALUATIONS
from search_space.errors import UserError

MAX_CHARACTERS = 2000
MAX_DEPTH = 50

QUERY_COLUMNS = {
    name: "number" if column.is_number else "text"
    for name, column in ROWS.items()
    if column.kind != "json" and name != "error"
}
AXIS_COLUMNS = {name: "number" if column.is_number else "text" for name, column in AXES.items()}
"""The columns of a row and the axes of a design that a query may name, each with its kind."""

_ALLOWED = (
    'allowed: column comparisons with numbers or quoted text (== != < <= > >= in, not in, is None) joined by "and", '
    '"or", "not" and parentheses, for example: macs < 42e6 and accuracy > 0.68'
)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # NUL and surrogates, which databases refuse
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_NAMES: dict[type[ast.AST], str] = {
    ast.Call: "a call",
    ast.Attribute: "an attribute",
    ast.BinOp: "arithmetic",
    ast.UnaryOp: "a sign or operator before this",
    ast.Subscript: "a subscript",
    ast.Lambda: "a lambda",
    ast.JoinedStr: "an f-string",
    ast.NamedExpr: "an assignment",
    ast.IfExp: "a conditional",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.Name: "a column that is not compared with anything",
    ast.Constant: "a constant that is not compared with a column",
}


class QueryError(UserError):
    """A query that is refused: what is wrong in it, where, and what is allowed."""


def parse(expr: str, designs: Designs | None = None) -> sa.ColumnElement[bool]:
    """Translate a query expression to SQL with bound parameters; `designs` are needed for a condition on an axis.

    Raises:
        QueryError: anything outside the grammar of this module, an unknown column, text compared with a number.
    """
    if len(expr) > MAX_CHARACTERS:
        raise QueryError(f"the query has {len(expr)} characters; at most {MAX_CHARACTERS} are allowed: shorten it")
    text = expr.strip()
    if not text:
        raise QueryError(f"the query is empty; {_ALLOWED}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's advice on escapes and literals is not for this reader
            tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise QueryError(f"the query {text!r} cannot be read: {_explained(error, text)}; {_ALLOWED}") from error
    except (ValueError, RecursionError, MemoryError) as error:  # NUL, surrogates, absurd nesting
        raise QueryError(f"the query {text!r} cannot be read: {error or 'nested too deeply'}; {_ALLOWED}") from error
    return _Translation(text, designs).condition(tree.body, depth=0)


_MEANT = {"=>": ">=", "<>": "!=", "=": "==", "&&": "and", "||": "or", "AND": "and", "OR": "or", "NOT": "not"}
"""What other languages write, and what it is here."""


def _explained(error: SyntaxError, text: str) -> str:
    """Python's word, its place, and what was probably meant."""
    if not error.offset:
        return "it breaks off, and a comparison is missing at its end"
    line = (text.splitlines() or [text])[(error.lineno or 1) - 1]
    rest = line[error.offset - 1 :]
    meant = next((f"write {right} for {wrong}" for wrong, right in _MEANT.items() if rest.startswith(wrong)), error.msg)
    return f"{meant} (column {error.offset}: {rest[:40]!r})"


def column(name: str) -> sa.ColumnElement[Any]:
    """The column that a query names; an unknown one is refused with the nearest spelling."""
    if name in QUERY_COLUMNS:
        return EVALUATIONS.c[name]
    names = [*QUERY_COLUMNS, *AXIS_COLUMNS]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else 'text goes in quotes ("...").'
    raise QueryError(f"there is no column {name!r}; {hint} Columns: {', '.join(names)}")


class _Translation:
    """One walk over the tree of one query; an operand is its kind ("number" or "text") and its SQL."""

    def __init__(self, text: str, designs: Designs | None) -> None:
        self.lines = re.split(r"\r\n|\r|\n", text)
        self.designs = designs

    def condition(self, node: ast.expr, depth: int) -> sa.ColumnElement[bool]:
        if depth > MAX_DEPTH:
            raise self.refused(node, f"nesting deeper than {MAX_DEPTH}")
        match node:
            case ast.BoolOp(op=op, values=values):
                join = sa.and_ if isinstance(op, ast.And) else sa.or_
                return join(*(self.condition(value, depth + 1) for value in values))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return sa.not_(self.condition(operand, depth + 1))
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                pairs = zip(pairwise([left, *comparators]), ops, strict=True)
                return sa.and_(*(self.comparison(a, op, b) for (a, b), op in pairs))
        raise self.refused(node)

    def comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> sa.ColumnElement[bool]:
        if isinstance(op, ast.Is | ast.IsNot):
            return self.missing(left, isinstance(op, ast.Is), right)
        if isinstance(op, ast.In | ast.NotIn):
            return self.membership(left, isinstance(op, ast.In), right)
        if _is_axis(left) or _is_axis(right):
            return self.of_axes(left, op, right)
        (kind, a), (other, b) = self.operand(left), self.operand(right)
        if not (isinstance(left, ast.Name) or isinstance(right, ast.Name)):
            raise self.refused(left, "a comparison without a column")
        if kind != other:
            raise self.refused(left, f"a comparison of {kind} with {other}")
        result: sa.ColumnElement[bool] = _COMPARISONS[type(op)](a, b)
        return result

    def of_axes(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> sa.ColumnElement[bool]:
        """A comparison of an axis with a constant, or of two axes: its truth follows from the design alone."""
        (kind, a), (other, b) = self.of_design(left), self.of_design(right)
        if kind != other:
            raise self.refused(left, f"a comparison of {kind} with {other}")
        compare = _COMPARISONS[type(op)]

        def holds(axes: Mapping[str, Any]) -> bool | None:
            x, y = a(axes), b(axes)
            return None if x is None or y is None else compare(x, y)

        return self.where(left, holds)

    def of_design(self, node: ast.expr) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
        """The kind of an axis or a constant, and its value of a design's axes."""
        if isinstance(node, ast.Name):
            if node.id not in AXIS_COLUMNS:
                column(node.id)  # an unknown one is refused as such
                raise self.refused(node, "a comparison of an axis with another column")
            return AXIS_COLUMNS[node.id], partial(axis_value, axis=node.id)
        kind, constant = self.literal(node)
        return kind, lambda _axes: constant.value

    def where(self, node: ast.expr, holds: Callable[[Mapping[str, Any]], bool | None]) -> sa.ColumnElement[bool]:
        if self.designs is not None:
            return self.designs.where(holds)
        raise self.refused(node, "an axis, where no designs are known,")

    def missing(self, left: ast.expr, positive: bool, right: ast.expr) -> sa.ColumnElement[bool]:
        if not (isinstance(left, ast.Name) and isinstance(right, ast.Constant) and right.value is None):
            raise self.refused(right, '"is" with anything but a column before it and None after it')
        if _is_axis(left):
            axis = left.id
            return self.where(left, lambda axes: (axes[axis] is None) == positive)
        return column(left.id).is_(None) if positive else column(left.id).is_not(None)

    def membership(self, left: ast.expr, positive: bool, right: ast.expr) -> sa.ColumnElement[bool]:
        if not isinstance(left, ast.Name):
            raise self.refused(left, '"in" with anything but a column before it')
        if not isinstance(right, ast.Tuple | ast.List) or not right.elts:
            raise self.refused(right, '"in" with anything but a list of constants, such as (1, 2), after it')
        kind = AXIS_COLUMNS[left.id] if _is_axis(left) else self.operand(left)[0]
        members = []
        for element in right.elts:
            other, member = self.literal(element)
            if other != kind:
                raise self.refused(element, f"a comparison of {kind} with {other}")
            members.append(member)
        if not _is_axis(left):
            return column(left.id).in_(members) if positive else column(left.id).not_in(members)
        axis, values = left.id, {member.value for member in members}

        def holds(axes: Mapping[str, Any]) -> bool | None:
            value = axis_value(axes, axis)
            return None if value is None else (value in values) == positive

        return self.where(left, holds)

    def operand(self, node: ast.expr) -> tuple[str, sa.ColumnElement[Any]]:
        if isinstance(node, ast.Name):
            value = column(node.id)
            return QUERY_COLUMNS[node.id], value
        return self.literal(node)

    def literal(self, node: ast.expr) -> tuple[str, sa.BindParameter[Any]]:
        value: object
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                value = number if isinstance(number, bool) else -number
            case ast.Constant(value=value):
                pass
            case _:
                raise self.refused(node)
        match value:
            case None:
                raise self.refused(node, 'None outside of "is None" and "is not None"')
            case bool():
                raise self.refused(node, "a truth value")
            case int() if -(2**63) <= value < 2**63:
                return "number", sa.literal(value, sa.BigInteger)
            case float() if math.isfinite(value):
                return "number", sa.literal(value, sa.Double)
            case int() | float():
                raise self.refused(node, "a number outside of 64 bits")
            case str() if not _UNSTORABLE.search(value):
                return "text", sa.literal(value, sa.Text)
        raise self.refused(node, "a constant that is neither a number nor plain text")

    def refused(self, node: ast.expr, what: str | None = None) -> QueryError:
        line = self.lines[node.lineno - 1]
        # The tree counts bytes of UTF-8, people count characters.
        at = len(line.encode("utf-8")[: node.col_offset].decode("utf-8", "ignore")) + 1
        what = what or _NAMES.get(type(node), f"this kind of expression ({type(node).__name__})")
        where = f"line {node.lineno}, column {at}" if len(self.lines) > 1 else f"column {at}"
        return QueryError(f"{what} is refused ({where}: {line[at - 1 : at + 39]!r}); {_ALLOWED}")


def _is_axis(node: ast.expr) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and node.id in AXIS_COLUMNS
