"""Where the time of a trial goes, as PyTorch's profiler sees it: with the modules eager, and with fused blocks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.speed.loop import Task, few
from benchmarks.speed.scale import Scale
from benchmarks.tables import table
from search_space import AttentionDesign
from search_space.excitation import Excitation
from search_space.module import Attention
from trainers.data import load_data
from trainers.fused_kernels import Run
from trainers.recipe import PROXY
from trainers.way import Way

STEP, EVALUATION, NETWORK, ATTENTION = "trial: step", "trial: evaluation", "trial: network", "trial: attention"
_NODE = "autograd::engine::evaluate_function"
PASS = "trial: pass"
_WORDS = {
    "convolution": ("convolution", "ConvolutionBackward"),
    "batch norm, ReLU, addition": ("batch_norm", "BatchNorm", "relu", "clamp", "threshold", "Relu", "::add", "AddB"),
}
ALL = (*_WORDS, "fused passes", "attention", "optimiser", "data, augmentation", "evaluation", "rest")


def section(scale: Scale) -> str:
    torch.set_num_threads(1)
    backbone = "resnet8" if scale.small else "resnet20"
    data = load_data("synthetic")
    if scale.small:
        data = few(data, 128)
    ways = [Way("bfloat16", "channels_last", fused) for fused in ((False,) if scale.small else (False, True))]
    task = Task(data, backbone, AttentionDesign.parse("avg/mlp-r4"), PROXY.changed(epochs=2))
    each: dict[Way, list[dict[str, float]]] = {way: [] for way in ways}
    for repeat in range(scale.repeats):
        for way in ways:
            scale.say(f"profile: {backbone}, {way}, {repeat}")
            each[way].append(shares(task, way))
    found = {way: {group: median(one[group] for one in ones) for group in ALL} for way, ones in each.items()}
    rows = []
    for group in ALL:
        cells = [f"{of[group]:.2f} ({100 * of[group] / sum(of.values()):.0f} %)" for of in found.values()]
        rows.append([group, *cells])
    rows.append(["together", *(f"{sum(of.values()):.2f}" for of in found.values())])
    return f"""## Where the time of a trial goes

Seconds of one epoch, its measuring included, of {backbone} with `avg/mlp-r4` on {len(data.train)} images of 32 px in
batches of {PROXY.batch_size}, after one that is not counted; one thread, in turn, median of n = {scale.repeats}. The
time that PyTorch's profiler gives to an operator alone, without those it calls; a backward operator counts where its
forward one did. In fused blocks the gate's own few numbers are *attention*, and every pass over a map is *fused
passes*; *rest* is Python between operators, the loss, the head.

{scale.where("timm")}

{table(["", *map(str, ways)], rows)}
"""


def shares(task: Task, way: Way) -> dict[str, float]:
    """Seconds of each group in the second epoch."""
    run = task.run(way)
    _mark(run.net)
    list(run.train_to(run.steps_an_epoch))
    scopes = _Scopes()

    def on_step() -> None:
        scopes.next(STEP if run.net.training else EVALUATION)

    run.on_step = on_step
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        list(run.train_to(run.steps))
        scopes.next(None)
    return grouped(profiler.events())


class _Scopes:
    """One after the other, each until the next."""

    def __init__(self) -> None:
        self.now: Any = None

    def next(self, name: str | None) -> None:
        if self.now is not None:
            self.now.__exit__(None, None, None)
        self.now = None if name is None else record_function(name)
        if self.now is not None:
            self.now.__enter__()


def _mark(net: nn.Module) -> None:
    """Let network, attention and fused passes say in the profile where they begin and end."""
    for block in [one for one in net.modules() if hasattr(one, "run")]:
        block.run = partial(_passing, block.run)
    parts = (Attention, Excitation)  # a fused block calls the second alone
    for name, module in [(NETWORK, net), *((ATTENTION, one) for one in net.modules() if isinstance(one, parts))]:
        scopes = _Scopes()
        module.register_forward_pre_hook(lambda *_, name=name, scopes=scopes: scopes.next(name))
        module.register_forward_hook(lambda *_, scopes=scopes: scopes.next(None))


def _passing(run: Run, *of: Any) -> Any:
    with record_function(PASS):
        return run(*of)


def grouped(events: Iterable[Any]) -> dict[str, float]:
    """Seconds by group."""
    seconds = dict.fromkeys(ALL, 0.0)
    of_forward: dict[int, bool] = {}  # whether it is attention's, by the number that autograd's node will have
    for event in sorted(events, key=lambda event: event.time_range.start):
        above = _above(event)
        names = [one.name for one in above]
        node = next((one for one in above if one.name.startswith(_NODE)), None)
        is_attention = ATTENTION in names if node is None else of_forward.get(node.sequence_nr, False)
        if node is None and event.sequence_nr >= 0:
            of_forward[event.sequence_nr] = is_attention  # the last that has the number makes the node
        seconds[_group(names, is_attention, node is not None)] += event.self_cpu_time_total / 1e6
    return seconds


def _above(event: Any) -> list[Any]:
    """The event and what it is part of, outermost last."""
    found = []
    while event is not None:
        found.append(event)
        event = event.cpu_parent
    return found


def _group(names: list[str], is_attention: bool, is_backward: bool) -> str:
    """By the name of an event and those of what it is part of."""

    def has(*words: str) -> bool:
        return any(word in name for name in names for word in words)

    in_step = STEP in names and NETWORK not in names and not is_backward
    found = {
        "evaluation": EVALUATION in names,
        "rest": names[0] in (STEP, NETWORK, ATTENTION) or (in_step and has("loss", "softmax")),
        "optimiser": has("_fused_sgd_"),
        "data, augmentation": in_step,
        "fused passes": has(PASS),
        "attention": is_attention or has("_Listen", "_Finish"),
        **{group: has(*words) for group, words in _WORDS.items()},
    }
    return next((group for group, is_it in found.items() if is_it), "rest")
