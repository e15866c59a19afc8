"""SQL of the user's own, on a copy in memory: there is nothing beside it that could be read or written.

The copy holds the tables of the storage (`evaluations`, `studies`, `latencies`, `recipes`) and a view `rows`: the
columns of an evaluation with the axes of its design. A statement is one SELECT with functions of `FUNCTIONS`; SQLite's
own authorizer refuses everything else while it is compiled, and one that takes long, or on Linux much memory (elsewhere
no cheap number tells), is stopped.
"""

from __future__ import annotations

import difflib
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from results.columns import AXES
from results.memory_copy import copy_of
from results.resident import resident_bytes
from results.row import COLUMNS
from results.table import EVALUATIONS, LATENCIES, RECIPES, STUDIES
from search_space.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from results.store import Store

MAX_STEPS = 2_000_000_000
"""Of SQLite's virtual machine; some 20 s."""
MAX_SECONDS = 60.0
MAX_ROWS = 2_000_000
MAX_CELLS = 20_000_000
MAX_CHARACTERS = 20_000
_LONGEST = 2**20  # bytes of one text: one step of SQLite's machine may take the square of it
_MOST = 2**30  # characters of an answer
_MEMORY = 4 * 2**30  # bytes that the process may grow by
_STEPS_BETWEEN_LOOKS = 1000
_SECONDS_BETWEEN_LOOKS = 0.01

_FUNCTIONS = """
avg count group_concat max min string_agg sum total
cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
abs char coalesce concat format glob hex ifnull iif instr length like likelihood likely lower ltrim nullif printf quote
replace round rtrim sign substr substring trim typeof unicode unlikely upper
acos asin atan atan2 ceil ceiling cos degrees exp floor ln log log10 log2 mod pi pow power radians sin sqrt tan trunc
current_date current_time current_timestamp date datetime julianday strftime time unixepoch
json json_array json_array_length json_extract json_group_array json_group_object json_object json_quote json_type
json_valid -> ->>
"""
FUNCTIONS = frozenset(_FUNCTIONS.split())
"""What a statement may call. Not load_extension, and not what makes bytes without end."""
_TABLES = ("rows", *(table.name for table in (EVALUATIONS, STUDIES, LATENCIES, RECIPES)))
_COLUMNS = list(dict.fromkeys([*COLUMNS, *AXES, *(c.name for t in (STUDIES, LATENCIES, RECIPES) for c in t.c)]))
_READ_ONLY = (
    "`attnas results sql` only reads, and from a copy of the storage; give one SELECT ... FROM rows (or evaluations, "
    "studies, latencies, recipes)"
)
_READING = ("SELECT", "WITH", "VALUES", "EXPLAIN")
_HARMLESS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE)
_NAMES = {
    getattr(sqlite3, f"SQLITE_{name}"): name.replace("_", " ")
    for name in (
        *("ALTER_TABLE", "ANALYZE", "ATTACH", "DELETE", "DETACH", "INSERT", "PRAGMA", "REINDEX", "SAVEPOINT"),
        *("TRANSACTION", "UPDATE", "CREATE_INDEX", "CREATE_TABLE", "CREATE_TEMP_TABLE", "CREATE_TEMP_VIEW"),
        *("CREATE_TRIGGER", "CREATE_VIEW", "CREATE_VTABLE", "DROP_TABLE", "DROP_VIEW", "DROP_INDEX"),
    )
}


class SqlError(UserError):
    """A statement that is refused or fails: what is wrong in it, and what is allowed."""


class Answer(NamedTuple):
    """Names of columns, and rows of numbers, text and None."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    def frame(self) -> pd.DataFrame:
        """As objects: a whole number stays one beside a missing one. A column of several kinds becomes text."""
        import pandas as pd

        columns = list(zip(*self.rows, strict=True)) or [()] * len(self.columns)
        return pd.DataFrame(
            {n: pd.Series(_one_kind(c), dtype=object) for n, c in zip(self.columns, columns, strict=True)}
        )

    def records(self) -> list[dict[str, Any]]:
        """Rows as JSON values: a number that is not finite is None."""
        return [dict(zip(self.columns, map(_finite, row), strict=True)) for row in self.rows]


def sql(storages: str | Store | Iterable[str | Store], statement: str) -> pd.DataFrame:
    """What a SELECT statement finds in one storage or several joined (see `results.frame_of`).

    `sql(url, "SELECT squeeze, count(*) AS n, avg(accuracy) FROM rows WHERE status = 'complete' GROUP BY squeeze")`

    Raises:
        SqlError: the statement is no single SELECT, names what there is not, calls a function that is not in
            `FUNCTIONS`, or takes too long.
        StorageError: a URL cannot be opened.
    """
    return select(storages, statement).frame().infer_objects()


def select(storages: str | Store | Iterable[str | Store], statement: str, *, max_steps: int = MAX_STEPS) -> Answer:
    """As `sql`, without pandas."""
    if len(statement) > MAX_CHARACTERS:
        raise SqlError(f"the statement has {len(statement)} characters; at most {MAX_CHARACTERS} are allowed")
    with copy_of(storages) as connection:
        return _ask(connection, statement, max_steps)


def _ask(connection: sqlite3.Connection, statement: str, max_steps: int) -> Answer:
    guard = _Guard(statement, max_steps)
    connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')")  # known from now on; others are refused
    connection.execute("PRAGMA query_only = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
    connection.set_authorizer(guard.authorise)
    connection.set_progress_handler(guard.tick, _STEPS_BETWEEN_LOOKS)
    try:
        cursor = connection.execute(statement)
        if cursor.description is None:
            raise SqlError(f"the statement {statement.strip()!r} returns nothing; give one SELECT ... FROM rows")
        columns = [name for name, *_ in cursor.description]
        twice = sorted(name for name, number in Counter(columns).items() if number > 1)
        if twice:
            raise SqlError(f"several columns are called {', '.join(twice)}; name each with AS")
        return Answer(columns, _fetch(cursor, min(MAX_ROWS, MAX_CELLS // len(columns))))
    except (sqlite3.Error, sqlite3.Warning, ValueError, MemoryError) as error:
        raise SqlError(guard.explained(error)) from error


def _fetch(cursor: sqlite3.Cursor, most: int) -> list[tuple[Any, ...]]:
    """All rows, unless they would fill the memory; bytes as hexadecimal digits, for no format of ours takes them."""
    rows: list[tuple[Any, ...]] = []
    characters = 0
    while part := cursor.fetchmany(50):
        if any(type(value) is bytes for row in part for value in row):
            part = [tuple(value.hex() if isinstance(value, bytes) else value for value in row) for row in part]
        characters += sum(len(value) for row in part for value in row if type(value) is str)
        rows += part
        if len(rows) > most or characters > _MOST:
            raise SqlError(f"the answer has more than {most:,} rows or 1 GiB of text; add a LIMIT, or group them")
    return rows


def _one_kind(values: tuple[Any, ...]) -> Sequence[Any]:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} or len(kinds) == 1:
        return [_finite(value) for value in values]
    return [None if value is None else str(value) for value in values]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Guard:
    """What SQLite asks while it compiles a statement and while it runs."""

    def __init__(self, statement: str, max_steps: int) -> None:
        self._verb = statement.split(maxsplit=1)[0].upper() if statement.strip() else ""
        self.left = max_steps
        self.refused: str | None = None
        self.is_too_large = False
        self._end = time.monotonic() + MAX_SECONDS
        self._next_look = 0.0
        self._most_memory = resident_bytes() + _MEMORY

    def authorise(self, action: int, _one: str | None, two: str | None, *_: object) -> int:
        if action in _HARMLESS or (action == sqlite3.SQLITE_FUNCTION and str(two).lower() in FUNCTIONS):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION:
            self.refused = self.refused or f"the function {two} is refused; allowed: {', '.join(sorted(FUNCTIONS))}"
        else:
            verb = _NAMES.get(action, "this") if self._verb in _READING else self._verb
            self.refused = self.refused or f"{verb} is refused: {_READ_ONLY}"
        return sqlite3.SQLITE_DENY

    def tick(self) -> bool:
        self.left -= _STEPS_BETWEEN_LOOKS
        now = time.monotonic()
        if now > self._next_look:
            self._next_look = now + _SECONDS_BETWEEN_LOOKS
            self.is_too_large = resident_bytes() > self._most_memory
        if now > self._end:
            self.left = 0
        return self.left <= 0 or self.is_too_large

    def explained(self, error: Exception) -> str:
        if self.refused is not None:
            return self.refused
        if self.is_too_large or isinstance(error, MemoryError):
            return f"the statement took more than {_MEMORY >> 30} GiB and was stopped; add a WHERE, or sort less of it"
        if self.left <= 0:
            return (
                "the statement took too long and was stopped; does a join lack its condition, or a recursion its end?"
            )
        if str(error).startswith("cannot modify"):  # the view, before the authorizer is asked
            return f"{self._verb} is refused: {_READ_ONLY}"
        return f"SQLite says: {error}{_hint(str(error))}"


def _hint(said: str) -> str:
    """The nearest name for one that there is not; all of them where none is near."""
    for what, names in (("table", _TABLES), ("column", _COLUMNS), ("function", sorted(FUNCTIONS))):
        _, found, name = said.partition(f"no such {what}: ")
        if found:
            near = difflib.get_close_matches(name.rpartition(".")[2].lower(), names, n=1)
            return f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(names)}"
    return ""
