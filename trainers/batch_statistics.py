"""Running statistics of batch norm where an update sees several batches, in several processes or one after another.

Whoever computes them, an update moves the running statistics once, by the mean of those of its batches:
r <- (1 - m) r + m mean(s_1, ..., s_K) for the momentum m.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainers.processes import Processes


class RunningStatistics:
    """Of all batch norms of a network, over `accumulate` batches in this process and those of the others."""

    def __init__(self, net: nn.Module, accumulate: int, processes: Processes) -> None:
        norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
        both = (buffer for norm in norms for buffer in (norm.running_mean, norm.running_var))
        self._buffers = [buffer for buffer in both if buffer is not None]
        self.accumulate, self.processes = accumulate, processes
        self._start = self._sum = torch.empty(0)

    @contextmanager
    def batch(self, number: int) -> Iterator[None]:
        """One of `accumulate` in an update, counted from 0: each begins with the same statistics, and their mean stays.

        To lower the momentum instead would make a compiled network compile anew for each of them.
        """
        if self.accumulate == 1 or not self._buffers:
            yield
            return
        if number == 0:
            self._start = self._flat()
            self._sum = torch.zeros_like(self._start)
        yield
        self._sum += self._flat()
        self._set(self._start if number + 1 < self.accumulate else self._sum / self.accumulate)

    def unite(self) -> None:
        """The mean over the processes, after each of them has seen its batches of an update."""
        if self.processes.world > 1 and self._buffers:
            self._set(self.processes.mean(self._flat()))

    def _flat(self) -> Tensor:
        return torch.cat([buffer.flatten() for buffer in self._buffers])

    @torch.no_grad()
    def _set(self, flat: Tensor) -> None:
        parts = flat.split([buffer.numel() for buffer in self._buffers])
        for buffer, part in zip(self._buffers, parts, strict=True):
            buffer.copy_(part.view_as(buffer))
