"""How much is measured."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """`quick`: everything once and little of it, to see that it works."""

    quick: bool
    began: float
    repeats: int

    @property
    def share(self) -> float:
        """Of the trials of a whole run."""
        return 0.2 if self.quick else 1.0

    def say(self, words: str) -> None:
        print(f"{time.monotonic() - self.began:6.0f} s  {words}", file=sys.stderr, flush=True)
