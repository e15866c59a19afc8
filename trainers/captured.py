"""A function of tensors that is recorded once and then replayed: on CUDA as one graph, for which Python never waits.

What is recorded reads its arguments from one place and changes the same state every time; so arguments are copied into
place, and the steps before the recording, which choose kernels and make what is made once, are undone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_WARM_UP = 3  # steps, as PyTorch's documentation has them before a recording

Record = Callable[[Callable[[], Tensor], Callable[[], None]], Callable[[], Tensor]]
"""`record(function, warm_up)`: calls `warm_up`, then gives what replays `function`."""


class Captured:
    """`function` as it was at the first call. `state()` lists the tensors that a call changes, those it makes last.

    A call with arguments of other shapes (the last batch of a split) runs the function itself.
    """

    def __init__(self, function: Callable[..., Tensor], state: Callable[[], list[Tensor]], record: Record) -> None:
        self._function, self._state, self._record = function, state, record
        self._places: tuple[Tensor, ...] = ()
        self._replay: Callable[[], Tensor] | None = None

    def __call__(self, *arguments: Tensor) -> Tensor:
        if self._replay is None:
            self._places = tuple(argument.clone() for argument in arguments)
            self._replay = self._record(lambda: self._function(*self._places), self._warm_up)
        if any(place.shape != argument.shape for place, argument in zip(self._places, arguments, strict=True)):
            return self._function(*arguments)
        for place, argument in zip(self._places, arguments, strict=True):
            place.copy_(argument, non_blocking=True)
        return self._replay()

    def _warm_up(self) -> None:
        before = [tensor.detach().clone() for tensor in self._state()]
        for _ in range(_WARM_UP):
            self._function(*self._places)
        with torch.no_grad():
            for number, tensor in enumerate(self._state()):
                if number < len(before):
                    tensor.copy_(before[number])
                else:
                    tensor.zero_()  # a momentum of nothing


def on_cuda(function: Callable[[], Tensor], warm_up: Callable[[], None]) -> Callable[[], Tensor]:
    """As a CUDA graph."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        warm_up()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def nowhere(function: Callable[[], Tensor], warm_up: Callable[[], None]) -> Callable[[], Tensor]:
    """Recorded by no device: each replay runs the function. For seeing without one that the rest is right."""
    warm_up()
    return function
