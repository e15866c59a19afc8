"""What a training gave, and the frame around every training: time, memory, and failures that become outcomes."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from search_space import AttentionDesign, Layered, UserError, settle
from trainers.environment import commit, hardware, peak_memory_bytes, reset_peak_memory, versions

EpochReport = Callable[[dict[str, float]], None]
Epochs = Generator[dict[str, float], None, str | None]
"""A training: yields a record an epoch; returns the text of what it `settled`."""


class NotFiniteError(ArithmeticError):
    """A loss became NaN or infinite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one training gave. `accuracy` is a fraction, `loss` the cross-entropy without smoothing, of `split`.

    `settled` is the text of the design that a complete training chose, where the design leaves a choice to it.
    """

    status: str  # complete | failed
    split: str
    accuracy: float | None = None
    loss: float | None = None
    settled: str | None = None
    curves: list[dict[str, float]] = field(default_factory=list)
    failure: str | None = None  # oom | nan | bug
    error: str | None = None
    seconds: float = 0.0
    peak_memory_bytes: int | None = None
    precision: str
    hardware: str
    versions: dict[str, str]
    commit: str | None


def observe(
    training: Callable[[], Epochs],
    *,
    split: str,
    precision: str,
    device: torch.device,
    on_epoch: EpochReport | None = None,
    earlier: list[dict[str, float]] | None = None,
) -> Outcome:
    """Run `training()` to its end and return what it gave.

    `earlier` holds the records of epochs before a resumption. A training that turns NaN, runs out of memory or raises
    comes back as a failed outcome with its class and traceback; a user's error and Ctrl-C are raised.
    """
    facts: dict[str, Any] = {"split": split, "precision": precision, "hardware": hardware(device)}
    facts |= {"versions": versions(), "commit": commit()}
    reset_peak_memory(device)
    start = time.perf_counter()
    curves = list(earlier or [])
    seconds_before = curves[-1]["seconds"] if curves else 0.0

    def followed() -> Iterator[dict[str, float]]:
        facts["settled"] = yield from training()

    try:
        for record in followed():
            curves.append(record)
            if on_epoch is not None:
                on_epoch(record)
    except UserError:
        raise
    except Exception as error:  # every other failure belongs in the row, with its traceback
        facts |= {"status": "failed", "failure": failure_class(error), "error": traceback.format_exc()}
    else:
        facts |= {"status": "complete", "accuracy": curves[-1]["accuracy"], "loss": curves[-1]["loss"]}
    seconds = seconds_before + time.perf_counter() - start
    return Outcome(curves=curves, seconds=seconds, peak_memory_bytes=peak_memory_bytes(device), **facts)


def settled(design: AttentionDesign | Layered, net: nn.Module) -> str | None:
    """Text of what the trained network chose where `design` leaves the choice to training; one design if all places
    chose the same, else one for each place joined by ` | `. None where nothing is left to choose."""
    if not design.learned:
        return None
    chosen = settle(net)
    return str(chosen[0] if len(set(chosen)) == 1 else Layered(tuple(chosen)))


def failure_class(error: BaseException) -> str:
    """`nan`, `oom` or `bug`."""
    if isinstance(error, NotFiniteError):
        return "nan"
    # the CPU allocator raises a plain RuntimeError
    starved = isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "DefaultCPUAllocator" in str(error)
    return "oom" if starved else "bug"
