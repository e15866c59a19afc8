"""Ways to train a network timed beside each other, by steps of a training that is the same in all of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from search_space import AttentionDesign, UserError
from trainers.backbones import backbone
from trainers.learner import Learner
from trainers.recipe import PROXY
from trainers.way import Way, plainness

_GATE = AttentionDesign("avg", excitation="affine")  # possible in every network
_FIRST = 3  # steps that are not counted
_ROUNDS, _MOST_ROUNDS = 5, 30
_SECONDS = 3.0  # in which more than the least rounds are made: short steps are told apart by many
_RATE = 0.002  # small, so that rounding does not grow into other losses
_AGREES = 0.3  # of how far the weights have moved: layouts in bfloat16 differ by some hundredths, a wrong gradient by 1

_log = logging.getLogger(__name__)


def measure(
    ways: Sequence[Way], name: str, image_size: int, batch_size: int, device: torch.device
) -> dict[Way, float | None]:
    """Least seconds of a few alternating steps: other processes only ever add time. None: the network has no such way.
    What can't be had for another reason, which may pass, is left out.

    The plainest way of each precision stays, each other is tried beside them and let go, for all may not fit at once.
    """
    network = (name, image_size, batch_size, device)
    found: dict[Way, float | None] = {}
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        plain: dict[str, Steps] = {}
        for way in sorted(ways, key=plainness):
            steps = _started(way, network, found)
            if steps is None:
                continue
            beside = plain.setdefault(way.precision, steps)
            if not steps.agrees_with(beside):
                _warn(name, way, f"its first steps are not those of {beside.way}")
                continue
            tried = {one.way: one for one in plain.values()} | {way: steps}
            for one, several in _alternated(tried).items():
                found[one] = min(filter(None, [found.get(one), *several]))
    return found


def _started(way: Way, network: tuple[str, int, int, torch.device], found: dict[Way, float | None]) -> Steps | None:
    try:
        steps = Steps(way, *network)
        for _ in range(_FIRST):  # the first chooses kernels, compiles, records
            steps()
    except UserError as error:  # it has no such blocks, or no such step: nothing is wrong
        found[way] = None
        _log.info("%s is not trained as %s: %s", network[0], way, error)
        return None
    except Exception as error:  # too little memory, no compiler: whatever it is, the way can't be had now
        _warn(network[0], way, " ".join(str(error).split())[:300])
        return None
    steps.remember()
    return steps


def _alternated(steps: Mapping[Way, Callable[[], float]]) -> dict[Way, list[float]]:
    seconds: dict[Way, list[float]] = {way: [] for way in steps}
    end = time.perf_counter() + _SECONDS
    for done in range(_MOST_ROUNDS):
        if done >= _ROUNDS and time.perf_counter() > end:
            break
        for way, step in steps.items():
            seconds[way].append(step())
    return seconds


def _warn(name: str, way: Way, reason: str) -> None:
    _log.warning("%s can't be trained as %s here: %s", name, way, reason)


class Steps:
    """Steps of one training, the same in every way."""

    def __init__(self, way: Way, name: str, image_size: int, batch_size: int, device: torch.device) -> None:
        self.way, self.device = way, device
        torch.manual_seed(0)
        net = backbone(name, _GATE, num_classes=100, image_size=image_size)
        middle = torch.full((3,), 0.5)
        self.learner = Learner(net, PROXY, way, mean=middle, std=middle / 2, device=device)
        random = torch.Generator().manual_seed(0)
        size = (batch_size, 3, image_size, image_size)
        self.images = torch.randint(0, 256, size, dtype=torch.uint8, generator=random).to(device)
        self.labels = torch.randint(0, 100, (batch_size,), generator=random).to(device)
        self._start = self._weights()
        self._moved = torch.zeros(0)

    def __call__(self) -> float:
        """Seconds of a step."""
        start = time.perf_counter()
        self.learner.update(self.images, self.labels, _RATE).item()  # which waits for an accelerator
        return time.perf_counter() - start

    def remember(self) -> None:
        """How far the weights have come."""
        self._moved = self._weights() - self._start

    def agrees_with(self, other: Steps) -> bool:
        """Whether both had come to the same: a faster way that computes something else is none."""
        distance, length = (self._moved - other._moved).norm(), other._moved.norm()
        return bool(length > 0) and bool(distance <= _AGREES * length)

    def _weights(self) -> torch.Tensor:
        """All in a row, on the CPU."""
        return torch.cat([weight.detach().flatten().float().cpu() for weight in self.learner.net.parameters()])
