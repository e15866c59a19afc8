"""Which design is next: the search, its engine, and the command line, which must start without loading torch."""

from typing import TYPE_CHECKING

from search_space.lazy import lazily

if TYPE_CHECKING:
    from search.launch import search

__all__ = ["search"]

__getattr__ = lazily(__name__, {"search": "launch"})
