"""A network as a machine trains it: on its device, compiled, one copy in each process."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from trainers.execution import Execution
from trainers.timm_import import prepare

prepare()
_NAMES = signature(DistributedDataParallel).parameters
_SYNCED = "forward_sync_buffers" if "forward_sync_buffers" in _NAMES else "broadcast_buffers"  # before torch 2.13
from timm.layers import convert_sync_batchnorm  # noqa: E402


def on_machine(
    net: nn.Module, execution: Execution, *, layout: torch.memory_format, dtype: torch.dtype
) -> tuple[nn.Module, nn.Module]:
    """The network, whose weights and names are the state, and what to call in training: itself, or around it what
    takes the mean of the gradients over the processes. The processes have the same weights from here on."""
    if execution.sync_norm:
        net = convert_sync_batchnorm(net)
    net = net.to(execution.place, dtype, memory_format=layout)  # type: ignore[call-overload]
    if execution.compiled:
        net.compile()
    if execution.processes.world == 1:
        return net, net
    place = [execution.place] if execution.place.type == "cuda" else None
    # running statistics are united once an update: see `trainers.batch_statistics`
    options: dict[str, Any] = {"device_ids": place, "gradient_as_bucket_view": True, _SYNCED: False}
    wrapped = DistributedDataParallel(net, **options)
    return net, wrapped


def together_at(wrapped: nn.Module, last: bool) -> AbstractContextManager[None]:
    """For a batch of an update: only at its last do the processes exchange gradients."""
    if last or not isinstance(wrapped, DistributedDataParallel):
        return nullcontext()
    quiet: AbstractContextManager[None] = wrapped.no_sync()
    return quiet
