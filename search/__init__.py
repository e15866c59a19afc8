"""Which design is next: the search, its engine, and the command line, which must start without loading torch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.launch import search

__all__ = ["search"]


def __getattr__(name: str) -> Any:
    if name == "search":
        from search.launch import search

        return search
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
