"""One item of the checklist of good practice, and the words that its questions share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

YES, PARTLY, NO = "yes", "partly", "no"
LH = "Lindauer & Hutter 2020"
YANG = "Yang et al. 2020"


@dataclass(frozen=True, slots=True)
class Item:
    """A question, the answer (`yes`, `partly`, `no`), what in the rows says so, and what is missing ("" if nothing)."""

    question: str
    source: str
    verdict: str
    evidence: str
    missing: str = ""


def some(names: Sequence[str], one: str, many: str | None = None) -> str:
    """`2 commits (a, b)`, at most four named."""
    plural = many or f"{one}s"
    shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return f"{len(names)} {one if len(names) == 1 else plural} ({shown})"


def seeds(n: int) -> str:
    return f"{n} seed" if n == 1 else f"{n} seeds"
