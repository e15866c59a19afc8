"""Progress of long data work, on stderr so that stdout stays a result."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress(what: str, total: int | None, *, in_bytes: bool = False) -> Iterator[Callable[[int], None]]:
    """Yield `advance(n)`. A bar where stderr is a terminal; otherwise one plain line at the start and one at the end.

    `total` None means that the length is unknown.
    """
    if not sys.stderr.isatty():
        started = time.monotonic()
        print(f"{what} ...", file=sys.stderr, flush=True)
        yield lambda _: None
        print(f"{what}: done in {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
        return
    amount = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(what, total=total)
        yield lambda n: bars.advance(task, n)
