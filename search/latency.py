"""The latency of a network on this machine: measured once, kept in the storage."""

from __future__ import annotations

import torch

from results.latencies import Latency
from results.store import Store
from search.candidates import Candidate
from search.objective import Setting
from search.study import Study
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


def check_hardware(study: Study) -> None:
    """Raises `LatencyError` if latency counts in this study and was measured on another machine's hardware."""
    if not study.plan.needs_latency:
        return
    here = hardware(pick_device(study.setting.device))
    others = {row.hardware for row in study.mirror.finished.values() if row.latency_seconds is not None} - {here}
    if others:
        raise LatencyError(
            f"the latencies of this study were measured on {', '.join(map(str, others))}; this machine is {here}, and "
            "its latencies would not compare. Go on there, or leave latency out of objectives and limits."
        )
