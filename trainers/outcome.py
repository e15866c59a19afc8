"""What a training gave, and the frame around every training: time, memory, and failures that become outcomes."""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from search_space import AttentionDesign, Layered, UserError, settle
from trainers.environment import commit, hardware, versions
from trainers.fused_native import passes_by
from trainers.memory import peak_memory_bytes, reset_peak_memory

EpochReport = Callable[[dict[str, float]], None]
Epochs = Generator[dict[str, float], None, str | None]
"""A training: yields a record an epoch; returns the text of what it `settled`."""


class NotFiniteError(ArithmeticError):
    """A loss became NaN or infinite."""


class TrialTimeout(Exception):  # noqa: N818  an end that was asked for, no error in the training
    """A training took longer than it was given. For `on_step` to raise."""


@dataclass(slots=True)
class Effort:
    """How far a training has come in this call, kept up by the trainer: a failed one has cost something too."""

    epochs: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one training gave. `accuracy` is a fraction, `loss` the cross-entropy without smoothing, of `split`.

    A `stopped` training was measured before the last epoch of its recipe. `settled` is the text of the design that the
    training chose, where the design leaves a choice to it. `seconds` are those of the whole training, in this call and
    in those that it went on from; `epochs_trained` are this call's alone.
    """

    status: str  # complete | stopped | failed
    split: str
    accuracy: float | None = None
    loss: float | None = None
    settled: str | None = None
    curves: list[dict[str, float]] = field(default_factory=list)
    failure: str | None = None  # oom | nan | timeout | infra | bug
    error: str | None = None
    seconds: float = 0.0
    epochs_trained: float = 0.0
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
    fused: bool = False,
    device: torch.device,
    on_epoch: EpochReport | None = None,
    earlier: list[dict[str, float]] | None = None,
    seconds_before: float = 0.0,
    effort: Effort | None = None,
    end: str = "complete",
) -> Outcome:
    """Run `training()` to its end and return what it gave, with the status `end`.

    `earlier` holds the records of epochs before a resumption, which took `seconds_before`. Without an `effort` that the
    training keeps up, the records of this call are counted. A training that turns NaN, runs out of memory or raises
    comes back as a failed outcome with its class and traceback; a user's error and Ctrl-C are raised, as is every other
    BaseException that is no Exception.
    """
    facts: dict[str, Any] = {"split": split, "precision": precision, "hardware": hardware(device)}
    facts |= {"versions": versions() | ({"fused blocks": passes_by(device)} if fused else {}), "commit": commit()}
    reset_peak_memory(device)
    start = time.perf_counter()
    curves = list(earlier or [])
    records_before = len(curves)

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
        facts |= {"status": end, "accuracy": curves[-1]["accuracy"], "loss": curves[-1]["loss"]}
    seconds = seconds_before + time.perf_counter() - start
    facts["epochs_trained"] = float(len(curves) - records_before) if effort is None else effort.epochs
    return Outcome(curves=curves, seconds=seconds, peak_memory_bytes=peak_memory_bytes(device), **facts)


def settled(design: AttentionDesign | Layered, net: nn.Module) -> str | None:
    """Text of what the trained network chose where `design` leaves the choice to training; one design if all places
    chose the same, else one for each place joined by ` | `. None where nothing is left to choose."""
    if not design.learned:
        return None
    chosen = settle(net)
    return str(chosen[0] if len(set(chosen)) == 1 else Layered(tuple(chosen)))


def failure_class(error: BaseException) -> str:
    """`nan`, `oom`, `timeout`, `infra` (disk, network, a lost accelerator: the machine's fault) or `bug`."""
    if isinstance(error, NotFiniteError):
        return "nan"
    if isinstance(error, TrialTimeout):
        return "timeout"
    if _says(error, _STARVED) or isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return "oom"
    if isinstance(error, OSError):
        return "oom" if error.errno == errno.ENOMEM else "infra"
    return "infra" if _says(error, _LOST) else "bug"


def _says(error: BaseException, phrases: tuple[str, ...]) -> bool:
    """torch raises plain RuntimeErrors for most of what a device does."""
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in phrases)


_STARVED = ("DefaultCPUAllocator", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
# cudaGetErrorString of what no kernel of ours can cause; an illegal access or a failed device assertion is a bug
_LOST = (
    "CUDA-capable device(s) is/are busy or unavailable",
    "no CUDA-capable device is detected",
    "uncorrectable ECC error",
    "uncorrectable NVLink error",
    "hardware stack error",
    "CUDA error: unknown error",
    "CUDA error: initialization error",
    "driver shutting down",
    "system not yet initialized",
    "GPU is lost",
    "DataLoader worker (pid",  # killed, as by the system when memory runs out; what it raises itself comes as it is
)
