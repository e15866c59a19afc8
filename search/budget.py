"""How much a search may spend, and when it is told to stop. Imports no torch."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from search_space.errors import UserError

_LONG = 3600  # seconds
_MANY = 10**6
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class BudgetError(UserError):
    """A budget that allows no search."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Each limit counts over all workers and all earlier runs of the study, except `seconds`: that is this run's."""

    trials: int | None = 100
    epochs: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.trials is not None and self.trials < 1:
            raise BudgetError(f"trials: {self.trials} given; allowed: 1 or more.")
        if self.epochs is not None and not self.epochs > 0:
            raise BudgetError(f"epochs in all: {self.epochs} given; allowed: a number above 0.")
        if self.seconds is not None and not self.seconds > 0:
            raise BudgetError(f"time: {self.seconds} s given; allowed: above 0.")

    def trainings(self, workers: int, epochs: int) -> int:
        """At most so many, of so many epochs, for each of the workers; where only a time is given, as many as you like
        in an hour or more."""
        limits = [] if self.trials is None else [self.trials]
        limits += [] if self.epochs is None else [int(self.epochs / epochs)]
        if not limits:
            return 1 if self.seconds is not None and self.seconds < _LONG else _MANY
        return max(1, min(limits) // workers)


def parse_duration(text: str, what: str = "time") -> float:
    """Seconds of `90`, `90s`, `15m`, `2h`, `1d`, `1h30m`. Raises `BudgetError` that says `what` was given so."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise BudgetError(f"{what}: {text!r} given; write seconds, or as in 90s, 15m, 2h, 1h30m, 1d.")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


class HandedBack(BaseException):
    """A training gives its claim back, because the search was told to stop. No Exception: it must not become a row."""


class TimeUp(HandedBack):
    """The search's time has ended."""


class Stop:
    """Whether a search was told to stop: by a signal, by its time, or by its driver.

    After a signal a training may still finish within `grace_seconds`; when the time is up it ends at once. `check` is
    called between the steps of a training.
    """

    def __init__(
        self,
        *,
        grace_seconds: float = 30.0,
        deadline: float | None = None,
        on_ask: Callable[[Stop], None] | None = None,
    ) -> None:
        self.on_ask = on_ask
        self.grace_seconds = grace_seconds
        self.deadline = deadline  # unix seconds, so that several processes mean the same moment
        # plain values: a signal handler that took a lock could wait for the very code it interrupted
        self.asked = self.again = False
        self.signal: int | None = None  # that asked, if one did
        self.latest: int | None = None  # that asked last
        self.too_late = False  # to begin anything that would end before the deadline; what runs may go on
        self._last_moment = float("inf")

    def ask(self, number: int | None = None) -> None:
        """Begin nothing new; asked again, end at once."""
        self.signal, self.latest = self.signal or number, number
        self._last_moment = time.time() + (0 if self.asked else self.grace_seconds)
        self.asked, self.again = True, self.asked
        if self.on_ask is not None:
            self.on_ask(self)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask, as long as the block lasts; outside the main thread nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, lambda given, _: self.ask(given)) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    @property
    def time_is_up(self) -> bool:
        """Whether the time allows nothing new."""
        return self.too_late or self._is_past_deadline

    @property
    def told(self) -> bool:
        """Whether nothing new may begin."""
        return self.asked or self.time_is_up

    def check(self) -> None:
        """Raises `HandedBack` when a training must end now."""
        if self.asked and time.time() >= self._last_moment:
            raise HandedBack
        if self._is_past_deadline:
            raise TimeUp

    @property
    def _is_past_deadline(self) -> bool:
        return self.deadline is not None and time.time() >= self.deadline

    def wait(self, seconds: float) -> None:
        """Sleep, but not past a request to stop by more than a tenth of a second."""
        end = time.monotonic() + seconds
        while not self.told and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
