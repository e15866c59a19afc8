"""The latency of a network on this machine: measured once, kept in the storage."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from results.latencies import Latency
from results.row import Row
from results.store import Store
from search.candidates import Candidate
from search.objective import Setting
from search_space import NONE, UserError
from trainers import backbone
from trainers.environment import hardware, pick_device
from trainers.latency import latency

BATCH = 16
REPEATS = 9


class LatencyError(UserError):
    """Latencies that can't be compared."""


class OverLatencyError(Exception):
    """Measuring a network has shown that it is over the limit, by this fraction."""

    def __init__(self, excess: float) -> None:
        super().__init__(f"over the limit of latency by {excess:.0%}")
        self.excess = excess


def conditions() -> str:
    """What a latency was measured under, beside network and hardware; only equal ones are compared."""
    return f"forward, batch {BATCH}, float32, {torch.get_num_threads()} threads"


def measured_latency(candidate: Candidate, setting: Setting, store: Store) -> float:
    """Median seconds of a forward pass in eval mode, a batch of `BATCH`; from the storage if it is known there."""
    device = pick_device(setting.device)
    where = (candidate.key, hardware(device), conditions())
    known = store.latencies.get(*where)
    if known is not None:
        return known.seconds
    classes, size = setting.data.num_classes, setting.data.image_size
    nets = [backbone(setting.backbone, design, num_classes=classes) for design in (candidate.design, NONE)]
    timing = latency(
        *nets,
        image_size=size,
        batch=BATCH,
        repeats=REPEATS,
        device=device,
        threads=torch.get_num_threads(),
        phases=("forward",),
    )["forward"]
    spread = timing.upper_quartile - timing.lower_quartile
    key, machine, under = where
    found = Latency(
        network_key=key, hardware=machine, conditions=under, seconds=timing.median, seconds_iqr=spread, n=timing.n
    )
    return store.latencies.put(found).seconds


def latency_within(candidate: Candidate, setting: Setting, store: Store, limit: float | None) -> float:
    """The latency; raises `OverLatencyError` if it is over the limit in seconds."""
    seconds = measured_latency(candidate, setting, store)
    if limit is not None and seconds > limit:
        raise OverLatencyError(seconds / limit - 1)
    return seconds


class LatencyBook:
    """The latencies known for this machine's hardware, and which are over a limit in seconds."""

    def __init__(self, setting: Setting, store: Store, limit: float | None) -> None:
        self.store, self.limit = store, limit
        self.hardware = hardware(pick_device(setting.device))
        self.seconds: dict[str, float] = {}  # by network key

    def learn(self) -> bool:
        """Look the storage up; whether there is anything new."""
        before = len(self.seconds)
        self.seconds = self.store.latencies.known(self.hardware, conditions())
        return len(self.seconds) != before

    def excess(self, key: str) -> float:
        """The fraction by which a network is over the limit; 0 within it, and of one that was never measured."""
        return 0.0 if self.limit is None else max(0.0, self.seconds.get(key, 0.0) / self.limit - 1)


def check_hardware(rows: Iterable[Row], book: LatencyBook) -> None:
    """Raises `LatencyError` if latencies in these rows were measured on another machine's hardware."""
    measured = (row for row in rows if row.latency_seconds is not None and row.network_key not in book.seconds)
    others = {row.hardware for row in measured} - {book.hardware}
    if others:
        here = book.hardware
        raise LatencyError(
            f"the latencies of this study were measured on {', '.join(map(str, others))}; this machine is {here}, and "
            "its latencies would not compare. Go on there, or leave latency out of objectives and limits."
        )
