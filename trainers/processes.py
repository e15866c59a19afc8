"""The processes of one training: this one alone, or those that torchrun has started on one host or several."""

from __future__ import annotations

import os
import re
import socket
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from search_space.errors import UserError
from trainers.outcome import NotFiniteError

_PATIENCE = timedelta(hours=12)
_LIBRARY = re.compile("gloo/transport|NCCL")
_T = TypeVar("_T")


class ProcessError(UserError):
    """One of several processes of a training has failed, and the others can't go on without it."""


class PeerLostError(ProcessError):
    """It was another one: what happened it has said itself."""


@dataclass(frozen=True, slots=True)
class Processes:
    """What `world` processes do together; with one, nothing. Every process has to call the same in the same order.

    `patient` are the same, among CPUs, and may be waited for: the first reads storages and lists images.
    """

    rank: int = 0
    world: int = 1
    patient: dist.ProcessGroup | None = None

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def share(self, value: _T) -> _T:
        """The first process's value, in all of them."""
        if self.world == 1:
            return value
        held = [value]
        with _peers():
            dist.broadcast_object_list(held, src=0, group=self.patient)
        return held[0]

    def once(self, make: Callable[[], _T]) -> _T:
        """What the first process makes, or the `UserError` that it raises, in all of them."""
        if self.world == 1:
            return make()
        made: _T | None = None
        error: UserError | None = None
        if self.first:
            try:
                made = make()
            except UserError as raised:
                error = raised
        made, error = self.share((made, error))
        if error is not None:
            raise error
        return made  # type: ignore[return-value]

    def any(self, flag: bool) -> bool:
        """Whether it is true in any of them. Among CPUs: no accelerator is waited for."""
        if self.world == 1:
            return flag
        flags = torch.tensor([int(flag)])
        with _peers():
            dist.all_reduce(flags, op=dist.ReduceOp.MAX, group=self.patient)
        return bool(flags.item())

    def total(self, values: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        if self.world > 1:
            with _peers():
                dist.all_reduce(values, group=None if values.is_cuda else self.patient)
        return values

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the processes, in place."""
        return self.total(values) if self.world == 1 else self.total(values).div_(self.world)

    def union(self, found: Mapping[str, str]) -> dict[str, str]:
        """What any of them has found."""
        if self.world == 1:
            return dict(found)
        all_found: list[Mapping[str, str]] = [{} for _ in range(self.world)]
        with _peers():
            dist.all_gather_object(all_found, found, group=self.patient)
        return {name: text for each in all_found for name, text in each.items()}


ALONE = Processes()


def started_by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ or {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys()


def is_first() -> bool:
    """Known before the processes have joined, and after they have parted."""
    return os.environ.get("RANK", "0") == "0"


def own_device(name: str | None) -> str | None:
    """The device of this process where nothing more is said: with torchrun each has an accelerator of its own.

    Raises `UserError` where one accelerator is named for several processes, or there are fewer than processes.
    """
    if not started_by_torchrun():
        return name
    local, here = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if name == "cpu" or not torch.cuda.is_available():
        return name
    if name not in (None, "cuda"):
        raise UserError(f"device: {name!r} given; under torchrun allowed: cpu, or cuda, of which each process has one.")
    if here > (there := torch.cuda.device_count()):
        raise UserError(f"torchrun started {here} processes here, and there are {there} accelerators: one for each.")
    return f"cuda:{local}"


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """All processes of this training, together as long as the block lasts; this one alone without torchrun."""
    if not started_by_torchrun():
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        patient = dist.new_group(backend="gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"the processes of this training did not find each other: {error}") from error
    yield Processes(dist.get_rank(), dist.get_world_size(), patient)
    dist.destroy_process_group()  # not after an error: NCCL would wait for what the others never come to


@contextmanager
def _peers() -> Iterator[None]:
    with failing_as_one_of(Processes(dist.get_rank(), dist.get_world_size())):
        yield


@contextmanager
def failing_as_one_of(processes: Processes) -> Iterator[None]:
    """An error within is raised as what it is for the others too."""
    try:
        yield
    except Exception as error:
        if (told := _failed(error, processes)) is error:
            raise  # from itself it would be a cycle, which keeps all that its traceback holds
        raise told from error


def _failed(error: Exception, processes: Processes) -> Exception:
    """What to raise for an error in one of several processes: only a loss that is not finite do all of them have."""
    if processes.world == 1 or isinstance(error, (ProcessError, NotFiniteError)):
        return error
    who = f"process {processes.rank} of {processes.world} on {socket.gethostname()}"
    if isinstance(error, UserError):
        return ProcessError(f"{who}: {error}")
    if isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and _LIBRARY.search(str(error))):
        why = str(error).strip().splitlines()[0]
        return PeerLostError(
            f"another process of this training has ended or can't be reached ({why}). What it said is above, or on "
            "its host; the same command goes on from the last checkpoint."
        )
    told = "".join(traceback.format_exception(error))
    return ProcessError(f"{who} failed, and the others with it; the same command goes on:\n{told}")
