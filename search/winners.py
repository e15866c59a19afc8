"""Which designs of a search are worth training in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from results.lines import lines
from results.row import CONTEXT
from search_space.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def winners(storage: str, *, top: int | None, where: str | None) -> tuple[str, list[str]]:
    """What they were trained in, in words, and the texts of the best `top` designs, or of the front where it is None.

    Of several contexts the first by `results.contexts.precedence`, as in a report. Raises `UserError` where nothing is
    complete, or only on the test split, whose rows choose nothing.
    """
    read = lines(storage, where, split="validation")
    if read.empty:
        raise UserError(
            f"no complete row of the validation split in {storage}"
            + (f" for which {where} holds" if where else "")
            + "; `attnas results top` lists what there is"
        )
    from results.ranking import pareto
    from results.ranking import top as best
    from search.tables import context_line, records

    meant, others = _meant(read)
    ranked = pareto(meant) if top is None else best(meant, top)
    more = f" ({others} other(s) there; --where chooses)" if others else ""
    return context_line(records(ranked.head(1))[0]) + more, ranked["design"].tolist()


def _meant(read: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    from results.contexts import precedence

    parts = [part for _, part in read.groupby(list(CONTEXT), sort=True)]
    ranks = [precedence("validation", len(part), int(part["n"].sum())) for part in parts]
    return parts[ranks.index(min(ranks))], len(parts) - 1
