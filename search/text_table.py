"""A table of texts that are formatted already."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from results.exchange import readable


def draw(rows: Sequence[dict[str, str]], left: Collection[str] = ()) -> None:
    """Every row with the same columns; numbers to the right, the columns `left` to the left; none steers a terminal."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        drawn.add_column(readable(name), justify="left" if name in left else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*map(readable, row.values()))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 100_000  # as wide as it needs to be when it is piped
    console.print(drawn)
