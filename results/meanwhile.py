"""Imports while a database works: SQLite does so without Python's lock, so that neither waits for the other."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module


@contextmanager
def imported(*modules: str) -> Iterator[None]:
    """The modules are imported while the block runs, and are there at its end."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        begun = [pool.submit(import_module, module) for module in modules]
        yield
        for each in begun:
            each.result()
