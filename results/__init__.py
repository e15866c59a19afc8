"""What was measured: rows, the table that keeps them, questions to it, and rankings.

Importing this package loads neither pandas nor SQLAlchemy: each name below does so when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from search_space.lazy import lazily

if TYPE_CHECKING:
    from results.comparison import compare
    from results.frames import frame_of
    from results.grouping import group
    from results.query import QueryError
    from results.ranking import pareto, top
    from results.row import Row
    from results.sandbox import sql
    from results.store import StorageError, Store, open_store
    from results.summary import summarise

__all__ = [
    "QueryError",
    "Row",
    "StorageError",
    "Store",
    "compare",
    "frame_of",
    "group",
    "open_store",
    "pareto",
    "sql",
    "summarise",
    "top",
]

_HOMES = {
    "QueryError": "query",
    "Row": "row",
    "StorageError": "store",
    "Store": "store",
    "compare": "comparison",
    "frame_of": "frames",
    "group": "grouping",
    "open_store": "store",
    "pareto": "ranking",
    "sql": "sandbox",
    "summarise": "summary",
    "top": "ranking",
}

__getattr__ = lazily(__name__, _HOMES)
