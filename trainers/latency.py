"""How long a network takes, beside the same network without attention, measured in turns on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median, quantiles

import torch
from torch import nn
from torch.utils.benchmark import Timer

from search_space import UserError

PHASES = ("forward", "forward_backward")
_WARM_UP = 3
_SHORTEST = 0.05  # seconds a repeat: below it the clock and the scheduler are part of what is measured


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds a batch over `n` repeats: median and quartiles; `ratio`s are to the plain network in the same turn."""

    n: int
    median: float
    lower_quartile: float
    upper_quartile: float
    plain_median: float
    ratio_median: float
    ratio_lower_quartile: float
    ratio_upper_quartile: float


def latency(
    net: nn.Module,
    plain: nn.Module,
    *,
    image_size: int,
    batch: int,
    repeats: int = 15,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    threads: int = 1,
    phases: Sequence[str] = PHASES,
    on_repeat: Callable[[], None] | None = None,
) -> dict[str, Timing]:
    """{phase: Timing} of `forward` (eval mode, no gradient) and `forward_backward` (training mode).

    `net` and `plain` take turns, so that what else the machine does falls on both. Each turn runs as often as fills
    0.05 s, after a warm-up; on an accelerator the clock waits for it. `dtype` other than float32 is autocast.
    """
    if repeats < 2 or batch < 1:
        raise UserError(f"latency: {repeats} repeats of batches of {batch} given; allowed: 2 or more, 1 or more.")
    device = torch.device(device)
    x = torch.randn(batch, 3, image_size, image_size, device=device)
    found = {}
    for phase in phases:
        timers = [_timer(network.to(device), x, phase, dtype, threads) for network in (net, plain)]
        counts = [_warm_up(timer) for timer in timers]
        pairs = []
        for _ in range(repeats):
            pairs.append([timer.timeit(count).mean for timer, count in zip(timers, counts, strict=True)])
            if on_repeat is not None:
                on_repeat()
        found[phase] = _timing(pairs)
    return found


def repeated(step: Callable[[], object], *, repeats: int, threads: int) -> list[float]:
    """Seconds of a step in each of the turns, after a warm-up; a turn runs it as often as fills 0.05 s, and an
    accelerator is waited for."""
    if repeats < 2:
        raise UserError(f"latency: {repeats} repeats given; allowed: 2 or more.")
    timer = Timer("step()", globals={"step": step}, num_threads=threads)
    count = _warm_up(timer)
    return [timer.timeit(count).mean for _ in range(repeats)]


def _timer(net: nn.Module, x: torch.Tensor, phase: str, dtype: torch.dtype, threads: int) -> Timer:
    cast = nullcontext() if dtype == torch.float32 else torch.autocast(x.device.type, dtype)

    def forward() -> None:
        with torch.no_grad(), cast:
            net(x)

    def forward_backward() -> None:
        with cast:
            loss = net(x).float().square().mean()
        loss.backward()
        net.zero_grad(set_to_none=True)

    net.train(phase == "forward_backward")
    steps = {"forward": forward, "forward_backward": forward_backward}
    return Timer("step()", globals={"step": steps[phase]}, num_threads=threads)


def _warm_up(timer: Timer) -> int:
    """Runs in one repeat."""
    timer.timeit(_WARM_UP)
    return max(1, round(_SHORTEST / timer.timeit(1).mean))


def _timing(pairs: list[list[float]]) -> Timing:
    seconds = [own for own, _ in pairs]
    ratios = [own / plain for own, plain in pairs]
    low, _, high = quantiles(seconds, n=4, method="inclusive")
    ratio_low, _, ratio_high = quantiles(ratios, n=4, method="inclusive")
    plain = median(plain for _, plain in pairs)
    return Timing(len(pairs), median(seconds), low, high, plain, median(ratios), ratio_low, ratio_high)
