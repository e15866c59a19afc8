"""What each class of failure means for a search: tried again at once or not, and whether it stops everything."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from results.row import FAILURES, Row
from trainers import Outcome

BREAKER = 3  # failures in a row, of classes that break, that end a search


@dataclass(frozen=True, slots=True)
class Policy:
    """`again`: seconds to wait before each further try. `breaks`: whether the next design would fail the same way."""

    again: tuple[float, ...]
    breaks: bool
    why: str


POLICIES = {
    "nan": Policy((), False, "the same seed would diverge again: it belongs to the design; further seeds are a choice"),
    "oom": Policy(
        (1.0,), True, "another process may have held the memory: tried once more after what is free is freed"
    ),
    "bug": Policy((), True, "the same code would fail again"),
    "infra": Policy((1.0, 5.0), True, "a full disk, a lost device or connection: no fault of the design"),
    "timeout": Policy((), False, "it would take as long again"),
}
assert POLICIES.keys() == set(FAILURES)


def attempt(training: Callable[[], Outcome]) -> tuple[Outcome, int]:
    """What the training gave in the end, with the epochs of all tries, and how often it was tried."""
    outcome = training()
    tries, epochs = 1, outcome.epochs_trained
    while outcome.failure is not None and tries <= len(POLICIES[outcome.failure].again):
        time.sleep(POLICIES[outcome.failure].again[tries - 1])
        gc.collect()
        _empty_accelerator()
        outcome = training()
        tries += 1
        epochs += outcome.epochs_trained
    return replace(outcome, epochs_trained=epochs), tries


def first_of_a_row(rows: list[Row]) -> Row | None:
    """The first of the last `BREAKER` rows, oldest first, if each of them failed in a class that breaks a search."""
    last = rows[-BREAKER:]
    broken = len(last) == BREAKER and all(row.failure is not None and POLICIES[row.failure].breaks for row in last)
    return last[0] if broken else None


def _empty_accelerator() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
