"""A function of tensors that is recorded once and then replayed: on CUDA as one graph, for which Python never waits.

What is recorded reads its arguments from one place and changes the same state every time; so arguments are copied into
place, and the steps before the recording, which choose kernels, are undone.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor

_WARM_UP = 3  # steps, as PyTorch's documentation has them before a recording

Function = Callable[..., Tensor]
State = Callable[[], list[Tensor]]
Record = Callable[[Callable[[], Tensor], Callable[[], None]], Callable[[], Tensor]]
"""`record(function, warm_up)`: calls `warm_up`, then gives what replays `function`."""

_log = logging.getLogger(__name__)


class Captured:
    """A function as it was at the first call. It is given at every call, not kept: a method of who keeps this would
    keep both, and all that the recording holds of an accelerator's memory, until Python looks for cycles.

    A call with arguments of other shapes (the last batch of a split) runs the function itself, and so does every call
    if it can't be recorded, which is warned of.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._places: tuple[Tensor, ...] = ()
        self._replay: Callable[[], Tensor] | None = None
        self._gave_up = False

    def __call__(self, function: Function, state: State, *arguments: Tensor) -> Tensor:
        """`state()` lists the tensors that a call changes."""
        device = arguments[0].device
        # streams and graphs are those of the current device
        with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            if self._replay is None and not self._gave_up:
                self._begin(function, state, arguments)
            if self._replay is None or not self._fits(arguments):
                return function(*arguments)
            for place, argument in zip(self._places, arguments, strict=True):
                place.copy_(argument, non_blocking=True)
            return self._replay()

    def _begin(self, function: Function, state: State, arguments: tuple[Tensor, ...]) -> None:
        self._places = tuple(argument.clone() for argument in arguments)
        try:
            self._replay = self._record(lambda: function(*self._places), lambda: self._warm_up(function, state))
        except RuntimeError as error:  # what it computes waits for the device: a recording can't
            self._gave_up, self._places = True, ()
            _log.warning("a step can't be recorded and is computed as it is: %s", " ".join(str(error).split())[:300])

    def _fits(self, arguments: tuple[Tensor, ...]) -> bool:
        return all(place.shape == argument.shape for place, argument in zip(self._places, arguments, strict=True))

    def _warm_up(self, function: Function, state: State) -> None:
        before = [tensor.detach().clone() for tensor in state()]
        for _ in range(_WARM_UP):
            function(*self._places)
        with torch.no_grad():
            for tensor, value in zip(state(), before, strict=True):
                tensor.copy_(value)


def on_cuda(function: Callable[[], Tensor], warm_up: Callable[[], None]) -> Callable[[], Tensor]:
    """As a CUDA graph of the current device."""
    before, aside = torch.cuda.current_stream(), torch.cuda.Stream()
    aside.wait_stream(before)
    with torch.cuda.stream(aside):
        warm_up()
    before.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    try:
        with warnings.catch_warnings(), torch.cuda.graph(graph):
            warnings.filterwarnings("error", message=".*graph is empty", category=UserWarning)
            result = function()
    except UserWarning as warning:
        raise RuntimeError(str(warning)) from warning
    finally:
        torch.cuda.set_stream(before)  # torch leaves its own current if a recording fails

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def nowhere(function: Callable[[], Tensor], warm_up: Callable[[], None]) -> Callable[[], Tensor]:
    """Recorded by no device: each replay runs the function. For seeing without one that the rest is right."""
    warm_up()
    return function
