"""`results.query`: the oracle is plain Python with SQL's third truth value, evaluated row by row."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from test_results_row import a_row

from results import QueryError, Store, open_store
from results.query import MAX_CHARACTERS, MAX_DEPTH, QUERY_COLUMNS, parse
from results.row import COLUMNS, Row

ROWS = [
    a_row(finished=9.0, seed=0),
    a_row(finished=9.0, seed=1, accuracy=0.25, loss=0.5, macs=42_000_000, seconds=2.0),
    a_row(finished=9.0, seed=2, accuracy=0.5, data="cifar100", seconds=0.5, commit="abc"),
    a_row(finished=9.0, seed=3, status="failed", failure="nan", error="Traceback", accuracy=None, loss=None, macs=-1),
    a_row(finished=9.0, seed=4, status="failed", failure="oom", accuracy=None, seconds=1.0, commit="it's"),
]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with open_store("sqlite://") as store:
        for row in ROWS:
            store.finish(row)
        yield store


def seeds(store: Store, expr: str) -> list[int]:
    return sorted(store.frame(expr)["seed"])


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("macs < 42e6 and accuracy > 0.4", [0, 2]),
        ("accuracy > 0.4", [0, 2]),
        ("not (accuracy > 0.4)", [1]),  # a missing accuracy satisfies neither
        ("accuracy != 0.5", [1]),
        ("accuracy is None", [3, 4]),
        ("accuracy is not None and status == 'complete'", [0, 1, 2]),
        ("0.3 < accuracy <= 0.5", [0, 2]),
        ("seed in (1, 3) or seed in [4]", [1, 3, 4]),
        ("failure not in ('nan',)", [4]),
        ("macs == -1", [3]),
        ("accuracy == loss", []),
        ("accuracy < loss", [0, 1, 2]),
        ('commit == "it\'s"', [4]),
        ("  (\n  data ==\n 'cifar100')", [2]),
    ],
)
def test_a_query_selects_the_rows_that_its_words_say(store: Store, expr: str, expected: list[int]) -> None:
    # Oracle: counted by hand from ROWS.
    assert seeds(store, expr) == expected


# Random valid queries as text, and what they say by brute force over the rows.

Truth = bool | None
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_VALUES = {
    name: sorted({getattr(row, name) for row in ROWS} - {None}) or ([0] if kind == "number" else ["x"])
    for name, kind in QUERY_COLUMNS.items()
}


def kleene_and(parts: list[Truth]) -> Truth:
    return False if False in parts else None if None in parts else True


def kleene_not(part: Truth) -> Truth:
    return None if part is None else not part


Question = tuple[str, Callable[[Row], Truth]]


@st.composite
def leaves(draw: st.DrawFn) -> Question:
    name = draw(st.sampled_from(list(QUERY_COLUMNS)))
    same_kind = [other for other in QUERY_COLUMNS if QUERY_COLUMNS[other] == QUERY_COLUMNS[name]]
    form = draw(st.sampled_from(["literal", "flipped", "chain", "column", "in", "not in", "is", "is not"]))
    a, b = draw(st.sampled_from(_VALUES[name])), draw(st.sampled_from(_VALUES[name]))
    op, op2 = draw(st.sampled_from(list(_COMPARE))), draw(st.sampled_from(list(_COMPARE)))

    def compare(x: Any, op: str, y: Any) -> Truth:
        return None if x is None or y is None else _COMPARE[op](x, y)

    if form == "literal":
        return f"{name} {op} {a!r}", lambda row: compare(getattr(row, name), op, a)
    if form == "flipped":
        return f"{a!r} {op} {name}", lambda row: compare(a, op, getattr(row, name))
    if form == "chain":
        return f"{a!r} {op} {name} {op2} {b!r}", lambda row: kleene_and(
            [compare(a, op, getattr(row, name)), compare(getattr(row, name), op2, b)]
        )
    if form == "column":
        other = draw(st.sampled_from(same_kind))
        return f"{name} {op} {other}", lambda row: compare(getattr(row, name), op, getattr(row, other))
    if form in ("in", "not in"):
        members = draw(st.lists(st.sampled_from(_VALUES[name]), min_size=1, max_size=3))

        def belongs(row: Row) -> Truth:
            value = getattr(row, name)
            return None if value is None else (value in members) == (form == "in")

        return f"{name} {form} {members!r}", belongs
    return f"{name} {form} None", lambda row: (getattr(row, name) is None) == (form == "is")


def joined(inner: st.SearchStrategy[Question]) -> st.SearchStrategy[Question]:
    several = st.lists(inner, min_size=2, max_size=3)

    def conjunction(parts: list[Question]) -> Question:
        return " and ".join(f"({text})" for text, _ in parts), lambda row: kleene_and([ask(row) for _, ask in parts])

    def disjunction(parts: list[Question]) -> Question:
        return " or ".join(f"({text})" for text, _ in parts), lambda row: kleene_not(
            kleene_and([kleene_not(ask(row)) for _, ask in parts])
        )

    def negation(part: Question) -> Question:
        return f"not ({part[0]})", lambda row: kleene_not(part[1](row))

    return st.one_of(several.map(conjunction), several.map(disjunction), inner.map(negation))


@settings(max_examples=150, deadline=None)
@given(st.recursive(leaves(), joined, max_leaves=6))
def test_any_valid_query_finds_the_rows_that_brute_force_finds(store: Store, question: Question) -> None:
    text, ask = question
    if len(text) <= MAX_CHARACTERS:
        assert seeds(store, text) == [row.seed for row in ROWS if ask(row) is True]


@pytest.mark.parametrize(
    ("expr", "named"),
    [
        ("accuracy > 0.5 and", "it breaks off, and a comparison is missing at its end"),
        ("accuracy = 0.5", "write == for = (column 10: '= 0.5')"),
        ("epochs == 3 and squeeze = 'a==b'", "write == for ="),
        ("accuracy > 0.5 AND seed == 1", "write and for AND"),
        ("accuracy => 1", "write >= for =>"),
        ("__import__('os').system('true')", "a call is refused (column 1"),
        ("macs < 1 and open('x') == 1", "a call is refused (column 14"),
        ("key.upper == 'A'", "an attribute"),
        ("macs + 1 < 3", "arithmetic"),
        ("macs < 6 * 7", "arithmetic"),
        ("f'{macs}' == key", "an f-string"),
        ("lambda: 1", "a lambda"),
        ("seed in [s for s in (1, 2)]", '"in" with anything but a list'),
        ("curves[0] == 1", "a subscript"),
        ("(x := 1) == seed", "an assignment"),
        ("1 if seed == 1 else 2", "a conditional"),
        ("accuracy", "a column that is not compared"),
        ("1", "a constant that is not compared"),
        ("1 < 2", "a comparison without a column"),
        ("accuracy > 'x'", "a comparison of number with text"),
        ("data == 3", "a comparison of text with number"),
        ("data == macs", "a comparison of text with number"),
        ("seed in (1, 'x')", "a comparison of number with text"),
        ("seed in ()", "list of constants"),
        ("seed in (1, None)", "None outside"),
        ("seed == None", "None outside"),
        ("seed is 1", '"is" with anything but'),
        ("seed == True", "a truth value"),
        ("seed == -True", "a truth value"),
        ("seed == b'1'", "a constant that is neither"),
        ("seed == 1j", "a constant that is neither"),
        ("data == '\\ud800'", "a constant that is neither"),
        ("data == 'a\\0'", "a constant that is neither"),
        ("macs < 1e999", "a number outside of 64 bits"),
        (f"macs < {2**63}", "a number outside of 64 bits"),
        ("seed == ~1", "a sign or operator"),
        ("accuracy = 1", "cannot be read"),
        ("macs <", "cannot be read"),
        ("a" * 2001, "2001 characters"),
        ("", "is empty"),
        ("seed == 1 \0", "cannot be read"),
        ("data == '\ud800'", "cannot be read"),
        ("not " * 60 + "seed == 1", "nesting deeper than 50"),
        ("(" * 900 + "seed == 1" + ")" * 900, "cannot be read"),
        ("-" * 1500 + "1 == seed", "a sign or operator"),
        ("acuracy > 0.5", "did you mean accuracy?"),
        ("status == complete", "no column 'complete'"),
        ("error == 'x'", "no column 'error'"),
        ("'é' == data + 1 or seed == 1", "arithmetic is refused (column 8: 'data + 1"),
    ],
)
def test_whatever_is_no_comparison_of_columns_is_refused_by_name(expr: str, named: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(expr)
    assert named in str(caught.value)
    assert any(word in str(caught.value) for word in ("allowed", "Columns: identity, network_key"))


def test_the_limits_themselves_are_allowed(store: Store) -> None:
    assert seeds(store, "seed == 1".rjust(MAX_CHARACTERS)) == [1]
    assert seeds(store, "not " * MAX_DEPTH + "seed == 1") == [1]
    assert seeds(store, " or ".join(["seed == 1"] * 153)) == [1]
    assert seeds(store, "<".join(["seed"] * 400)) == []


_words = ["seed", "macs", "data", "nope", "1", "-1", "'a'", "None", "True", "(", ")", "[", "]", ",", "and", "or", "not"]
_words += ["in", "is", "<", "==", "+", ".", "lambda", ":", "f'{", "}'", "\\", "\n", "#", "*", "if", "else", "for", "é"]


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(_words), max_size=14).map(" ".join))
def test_no_text_raises_anything_but_a_query_error(store: Store, expr: str) -> None:
    refuse_or_run(store, expr)


def refuse_or_run(store: Store, expr: str) -> None:
    try:
        condition = parse(expr)
    except QueryError:
        return
    with store.engine.connect() as connection:  # what is accepted must also run
        connection.execute(sa.select(condition)).all()


_nodes = st.sampled_from([*map(str, QUERY_COLUMNS), "nope"]).map(lambda n: ast.Name(n, ast.Load())) | st.builds(
    ast.Constant, st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3)
)


def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=2, max_size=3)
    compare = [ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Is, ast.IsNot, ast.In, ast.NotIn]
    return st.one_of(
        st.builds(ast.BoolOp, st.sampled_from([ast.And(), ast.Or()]), several),
        st.builds(ast.UnaryOp, st.sampled_from([ast.Not(), ast.USub(), ast.Invert()]), inner),
        st.builds(ast.BinOp, inner, st.sampled_from([ast.Add(), ast.Pow(), ast.MatMult()]), inner),
        st.builds(lambda a, o, b: ast.Compare(a, [o()], [b]), inner, st.sampled_from(compare), inner),
        st.builds(lambda f, a: ast.Call(f, a, []), inner, several),
        st.builds(lambda v: ast.Attribute(v, "real", ast.Load()), inner),
        st.builds(lambda a, b: ast.Subscript(a, b, ast.Load()), inner, inner),
        st.builds(lambda e: ast.Tuple(e, ast.Load()), several),
    )


@settings(max_examples=300, deadline=None)
@given(st.recursive(_nodes, grown, max_leaves=8))
def test_no_expression_tree_raises_anything_but_a_query_error(store: Store, tree: ast.expr) -> None:
    refuse_or_run(store, ast.unparse(tree))


def test_a_query_may_name_every_scalar_of_a_row() -> None:
    assert set(QUERY_COLUMNS) == set(COLUMNS) - {"curves", "versions", "error"}


def test_literals_reach_the_database_as_bound_parameters() -> None:
    condition = parse('data == "x\' or 1=1 --"').compile()
    assert "1=1" not in str(condition) and list(condition.params.values()) == ["x' or 1=1 --"]
