"""How a training is carried out fastest here: number format, layout of maps, fused blocks. Measured, never assumed.

A measurement is made once for a machine, a network and a batch, and kept: see `trainers.measurements`.
"""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from search_space import AttentionDesign, UserError
from trainers import measurements
from trainers.backbones import backbone
from trainers.environment import hardware, versions
from trainers.factories import is_factory, versioned
from trainers.learner import Learner
from trainers.precision import PRECISIONS, check_precision, memory_format
from trainers.recipe import PROXY

FEW_STEPS = 300
"""A process with fewer steps in all does not win back what compiling costs it, and hardly what a measurement does: it
has the layout of its precision, and no fused block unless told."""
MANY_SECONDS = 900.0
"""Of training in a process, from which on it pays to compile and measure fused blocks, which takes a minute or two."""
SOME_SECONDS = 60.0
"""From which on it pays to load them, where they are known to be faster: some five seconds of every process."""

_LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
_HALF_IS_WORTH = 1.15  # bfloat16 must win by more than a noisy machine varies, for it costs digits
_OTHER_IS_WORTH = 1.05  # of two ways to compute the same
_GATE = AttentionDesign("avg", excitation="affine")  # possible in every network
_FIRST = 3  # steps that are not counted
_ROUNDS = 5
_RATE = 0.002  # small, so that rounding does not grow into other losses
_AGREES = 0.3  # of how far the weights have moved: layouts in bfloat16 differ by some hundredths, a wrong gradient by 1

_VERSION = 2
"""Of what is measured and of the fused kernels: to be raised when either changes, so that all is measured again."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Way:
    """`layout`: contiguous | channels_last. `captured`: a step is recorded once, and replayed as one CUDA graph."""

    precision: str
    layout: str
    fused: bool = False
    captured: bool = False

    def __str__(self) -> str:
        words = [self.precision, self.layout, "fused" * self.fused, "captured" * self.captured]
        return " ".join(filter(None, words))

    @property
    def memory_format(self) -> torch.memory_format:
        return _LAYOUTS[self.layout]


def pick_way(
    precision: str,
    fused: bool | None,
    *,
    name: str,
    image_size: int,
    batch_size: int,
    steps: int,
    device: torch.device,
) -> Way:
    """The fastest way to train the network `name` in this precision (`auto`: in any), with or without fused blocks
    (None: either). `steps` are all that a process will train so, in however many trainings.

    Raises:
        UserError: no such precision; or fused blocks were asked for and can't be compiled here, or there are none.
    """
    check_precision(precision)
    network = (name, image_size, batch_size, device)
    ways = _worthwhile(precision, fused, steps, *network)
    if len(ways) == 1 and not ways[0].fused:
        return ways[0]
    seconds = _known_or_measured(ways, *network)
    if fused and not any(way.fused for way in seconds):
        raise UserError(
            f"fused blocks of {name!r} were asked for (--fuse) and can't be had here: it has no block that can run so, "
            "or they can't be compiled, which a warning above tells."
        )
    return fastest(seconds) if seconds else default_way(pick_precision(precision, device))


def _worthwhile(
    precision: str, fused: bool | None, steps: int, name: str, image_size: int, batch_size: int, device: torch.device
) -> list[Way]:
    """The ways among which so many steps are worth a measurement, or none is needed."""
    network = (name, image_size, batch_size, device)
    ways = _possible(precision, fused, name, device)
    is_known, is_said = _is_known(ways, *network), precision != "auto" and fused is not None
    if steps < FEW_STEPS and not (is_known and is_said):
        return [replace(default_way(pick_precision(precision, device)), fused=bool(fused))]
    quick = [way for way in ways if not way.fused]  # there is nothing to compile
    if is_said or not quick:
        return ways
    seconds = _known_or_measured(quick, *network)
    least = SOME_SECONDS if is_known else MANY_SECONDS
    return quick if seconds and steps * min(seconds.values()) < least else ways


def _possible(precision: str, fused: bool | None, name: str, device: torch.device) -> list[Way]:
    precisions = PRECISIONS if precision == "auto" else (precision,)
    fusions = (False, True) if fused is None else (fused,)
    ways = [Way(one, layout, fusion) for one in precisions for layout in _layouts(one) for fusion in fusions]
    if device.type == "cuda" and not is_factory(name):  # who knows what a function of the user's does
        ways += [replace(way, captured=True) for way in ways]
    return ways


def pick_precision(wanted: str, device: torch.device) -> str:
    """`float32` (plain), or `bfloat16` (autocast); `auto`: the faster of both for a ResNet-8 at 32 pixels."""
    check_precision(wanted)
    if wanted != "auto":
        return wanted
    seconds = _known_or_measured(list(map(default_way, PRECISIONS)), "resnet8", 32, 128, device)
    return fastest(seconds).precision if seconds else PRECISIONS[0]


def default_way(precision: str) -> Way:
    layout = memory_format(precision)
    return Way(precision, next(name for name, one in _LAYOUTS.items() if one is layout))


def fastest(seconds: Mapping[Way, float]) -> Way:
    """Of the ways that were measured; of two that are about as fast, the plainer."""
    best = {
        precision: min(seconds[way] for way in seconds if way.precision == precision)
        for precision in {way.precision for way in seconds}
    }
    if len(best) == 1:
        [precision] = best
    else:
        precision = "bfloat16" if best["float32"] > _HALF_IS_WORTH * best["bfloat16"] else "float32"
    ways = sorted((way for way in seconds if way.precision == precision), key=_plainness)
    chosen = ways[0]
    for way in ways[1:]:
        if seconds[chosen] > _OTHER_IS_WORTH * seconds[way]:
            chosen = way
    return chosen


def _layouts(precision: str) -> Sequence[str]:
    return tuple(_LAYOUTS) if precision == "float32" else ("channels_last",)  # half maps in rows were never faster


def _known_or_measured(
    ways: Sequence[Way], name: str, image_size: int, batch_size: int, device: torch.device
) -> dict[Way, float]:
    """Seconds of a training step of each way; those that can't be had here are left out."""
    key = network_key(name, image_size, batch_size, device)
    return _of_this_process(tuple(ways), key, name, image_size, batch_size, device)


def _is_known(ways: Sequence[Way], name: str, image_size: int, batch_size: int, device: torch.device) -> bool:
    known = measurements.of(network_key(name, image_size, batch_size, device))
    return all(str(way) in known for way in ways)


def network_key(name: str, image_size: int, batch_size: int, device: torch.device) -> str:
    """All that a measurement depends on."""
    kernels = f"torch {versions()['torch']}, timm {versions()['timm']}, attnas {_VERSION}"
    where = f"{platform.node()}: {hardware(device)}"
    return f"{where}, {kernels}, {versioned(name)} at {image_size}, batch {batch_size}"


@lru_cache(maxsize=64)
def _of_this_process(
    ways: tuple[Way, ...], key: str, name: str, image_size: int, batch_size: int, device: torch.device
) -> dict[Way, float]:
    known = measurements.of(key)
    if not all(str(way) in known for way in ways):
        telling: AbstractContextManager[list[str]] = nullcontext([])
        if any(way.fused for way in ways):  # to be compiled, which takes a minute or two
            telling = measurements.announced(f"how {name} trains fastest on this machine")
        with telling as told:
            measured = _measured(ways, name, image_size, batch_size, device)
            told.append(_told(measured))
        known = known | {str(way): seconds for way, seconds in measured.items()}
        measurements.keep(key, known)
    return {way: known[str(way)] for way in ways if known.get(str(way)) is not None}


def _told(measured: Mapping[Way, float | None]) -> str:
    """`bfloat16 channels_last fused 48 ms a step, bfloat16 channels_last 60 ms, ...`, the fastest first."""
    seconds = {way: one for way, one in measured.items() if one is not None}
    ordered = sorted(seconds, key=lambda way: seconds[way])
    return ", ".join(f"{way} {1000 * seconds[way]:.3g} ms{' a step' * (way == ordered[0])}" for way in ordered)


def _measured(
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
        for way in sorted(ways, key=_plainness):
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


def _plainness(way: Way) -> tuple[bool, bool, bool]:
    return way.captured, way.fused, way != default_way(way.precision)


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
    for _ in range(_ROUNDS):
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
