"""How a training is carried out fastest here: number format, layout of maps, fused blocks. Measured, never assumed.

A measurement is made once for a machine, a network and a batch, and kept: see `trainers.measurements`.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import lru_cache

import torch

from search_space import UserError
from trainers import measurements, native_build
from trainers.environment import hardware, versions
from trainers.factories import is_factory, versioned
from trainers.fused_native import is_native
from trainers.precision import PRECISIONS, check_precision
from trainers.timed_steps import measure
from trainers.way import Way, default_way, layouts_of, plainness

FEW_STEPS = 300
"""A process with fewer steps in all does not win back what compiling costs it, and hardly what a measurement does: it
has the layout of its precision, and no fused block unless told."""
MANY_SECONDS = 1800.0
"""Of training in a process, from which on it pays to compile and measure fused blocks where that is done for each
network and kind of gate: a minute and more. On a CPU they are one program for all, compiled in seconds, once."""
SOME_SECONDS = 300.0
"""From which on it pays to load them there, where they are known to be faster: seconds of every process."""

_HALF_IS_WORTH = 1.15  # bfloat16 must win by more than a noisy machine varies, for it costs digits
_OTHER_IS_WORTH = 1.03  # of two ways to compute the same

_VERSION = 6
"""Of what is measured and of the fused kernels: to be raised when either changes, so that all is measured again."""


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
    if any(way.fused for way in ways) and is_native(device) and (why := native_build.problem()):
        if fused:
            raise UserError(f"fused blocks were asked for (--fuse) and can't be had here: {why}")
        ways = [way for way in ways if not way.fused]
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
    is_said = precision != "auto" and fused is not None
    if steps < FEW_STEPS and not (is_said and _is_known(ways, *network)):
        return [replace(default_way(pick_precision(precision, device)), fused=bool(fused))]
    quick = [way for way in ways if not way.fused]  # there is nothing to compile
    if is_said or not quick:
        return ways
    seconds = _known_or_measured(quick, *network)
    if not seconds:
        return ways
    # fused blocks of the slower format need not be measured: they win about as much in either
    ways = [way for way in ways if way.precision == fastest(seconds).precision]
    if is_native(device):
        return ways
    least = SOME_SECONDS if _is_known(ways, *network) else MANY_SECONDS
    return quick if steps * min(seconds.values()) < least else ways


def _possible(precision: str, fused: bool | None, name: str, device: torch.device) -> list[Way]:
    precisions = PRECISIONS if precision == "auto" else (precision,)
    fusions = (False, True) if fused is None else (fused,)
    ways = [Way(one, layout, fusion) for one in precisions for layout in layouts_of(one) for fusion in fusions]
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
    ways = sorted((way for way in seconds if way.precision == precision), key=plainness)
    chosen = ways[0]
    for way in ways[1:]:
        if seconds[chosen] > _OTHER_IS_WORTH * seconds[way]:
            chosen = way
    return chosen


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
        if any(way.fused for way in ways):  # to be compiled, which can take a minute or two
            telling = measurements.announced(f"how {name} trains fastest on this machine")
        with telling as told:
            measured = measure(ways, name, image_size, batch_size, device)
            told.append(_told(measured))
        known = known | {str(way): seconds for way, seconds in measured.items()}
        measurements.keep(key, known)
    return {way: known[str(way)] for way in ways if known.get(str(way)) is not None}


def _told(measured: Mapping[Way, float | None]) -> str:
    """`bfloat16 channels_last fused 48 ms a step, bfloat16 channels_last 60 ms, ...`, the fastest first."""
    seconds = {way: one for way, one in measured.items() if one is not None}
    ordered = sorted(seconds, key=lambda way: seconds[way])
    return ", ".join(f"{way} {1000 * seconds[way]:.3g} ms{' a step' * (way == ordered[0])}" for way in ordered)
