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
        norms = [module for module in net.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
        self._norms = [(norm, norm.momentum) for norm in norms if norm.momentum is not None]
        self._buffers = [
            buffer for norm in norms for buffer in (norm.running_mean, norm.running_var) if buffer is not None
        ]
        self.accumulate, self.processes = accumulate, processes

    @contextmanager
    def batch(self, number: int) -> Iterator[None]:
        """Of an update, counted from 0: after all K the running statistics are as above.

        The k-th of them has the momentum (m / K) / (1 - (K - k) m / K), k from 1, which leaves each of them m / K.
        """
        if self.accumulate == 1:
            yield
            return
        for norm, momentum in self._norms:
            each = momentum / self.accumulate
            norm.momentum = each / (1 - (self.accumulate - 1 - number) * each)
        try:
            yield
        finally:
            for norm, momentum in self._norms:
                norm.momentum = momentum

    @torch.no_grad()
    def unite(self) -> None:
        """The mean over the processes, after each of them has seen its batches of an update."""
        if self.processes.world == 1 or not self._buffers:
            return
        flat = self.processes.mean(torch.cat([buffer.flatten() for buffer in self._buffers]))
        parts: tuple[Tensor, ...] = flat.split([buffer.numel() for buffer in self._buffers])
        for buffer, part in zip(self._buffers, parts, strict=True):
            buffer.copy_(part.view_as(buffer))
