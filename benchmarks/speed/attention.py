"""A training step with attention beside the same network without it: modules, fused blocks, timm's own layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import nn

from benchmarks.speed.clock import Times, alternated, ratios
from benchmarks.speed.plain import Form, optimiser_of, train_step
from benchmarks.speed.scale import Scale
from benchmarks.tables import figures, middle_half, table
from search_space import NONE, AttentionDesign
from trainers.backbones import initialised
from trainers.cifar_resnet import BasicBlock
from trainers.fuse import fuse
from trainers.fused_kernels import compiled, plainly
from trainers.fused_native import native
from trainers.memory import keep_freed_memory
from trainers.recipe import PROXY
from trainers.timm_import import prepare

prepare()
from timm.layers import create_attn  # noqa: E402

DESIGNS = {
    "none": NONE,
    "SE (`avg/mlp-r4`)": AttentionDesign.parse("avg/mlp-r4"),
    "ECA (`avg/conv1d`)": AttentionDesign.parse("avg/conv1d"),
    "FCA (`dct-top4/mlp-r4`)": AttentionDesign.parse("dct-top4/mlp-r4"),
    "FCA (`dct-low8-each/mlp-r4`)": AttentionDesign.parse("dct-low8-each/mlp-r4"),
    "wavelet (`haar-d2-coarse4/mlp-r4`)": AttentionDesign.parse("haar-d2-coarse4/mlp-r4"),
    "two statistics (`avg+std/mlp-r4`)": AttentionDesign.parse("avg+std/mlp-r4"),
}
TIMM = {"none": "", "timm's SEModule": "se", "timm's EcaModule": "eca"}
FORMS = (Form("bfloat16", "channels_last"), Form("float32", "channels_last"), Form("float32", "contiguous"))
FEW = ("none", "SE (`avg/mlp-r4`)")  # of which the fused block runs in other ways too
RUNS = {"fused": native, "TorchInductor": compiled, "plain PyTorch": plainly}
Step = Callable[[], object]


def section(scale: Scale) -> str:
    torch.set_num_threads(1)
    keep_freed_memory()  # as in any training
    backbones = ("resnet8",) if scale.small else ("resnet8", "resnet20")
    parts = []
    for backbone in backbones:
        for form in FORMS[:1] if scale.small else FORMS:
            scale.say(f"attention: {backbone}, {form}")
            parts.append(_table(backbone, form, scale))
    return f"""## A step with attention

Forward, backward and step of SGD, batch {_batch(scale)} at 32 px, one thread; all steps of a table in turn,
n = {_rounds(scale)} after one that is not counted; milliseconds by the wall, median (quartiles). Ratios to `none` of
the same column in the same round, by the processor's time of the process and, in brackets, by the wall: medians.
*Modules*: each layer by itself, eager. *Fused*: the same modules and weights in blocks that read their maps less
often, in C++; then the same blocks compiled by TorchInductor, and in plain PyTorch. *timm*: the layer of `timm.layers`
in the same blocks, eager. Wanted of the fused: 1.06 or less.

{scale.where("timm")}

{(chr(10) * 2).join(parts)}
"""


def _batch(scale: Scale) -> int:
    return 8 if scale.small else 128


def _rounds(scale: Scale) -> int:
    return 2 if scale.small else 4 * scale.repeats


def _table(backbone: str, form: Form, scale: Scale) -> str:
    designs = dict(list(DESIGNS.items())[: 2 if scale.small else None])
    kinds = {"modules": list(designs), "fused": list(designs), "plain PyTorch": FEW, "timm": list(TIMM)[1:]}
    if not scale.small:
        kinds["TorchInductor"] = FEW
    steps = {(kind, name): step_of(kind, name, backbone, form, _batch(scale)) for kind in kinds for name in kinds[kind]}
    times = alternated(steps, _rounds(scale))
    rows = []
    for name in [*designs, *list(TIMM)[1:]]:
        own = "timm" if name in TIMM and name != "none" else "modules"
        rows.append([name, *(cell for kind in (own, *RUNS) for cell in _cells(times, kind, name))])
    head = ["attention", "modules or timm, ms", "ratio", *(word for kind in RUNS for word in (f"{kind}, ms", "ratio"))]
    return f"{backbone}, {form}:\n\n{table(head, rows)}"


def _cells(times: dict[tuple[str, str], Times], kind: str, name: str) -> list[str]:
    if (kind, name) not in times:
        return ["", ""]
    ours, without = times[kind, name], times["modules" if kind == "timm" else kind, "none"]
    by_cpu, by_wall = (figures(median(ratios(*pair))) for pair in ((ours.cpu, without.cpu), (ours.wall, without.wall)))
    return [middle_half([1000 * seconds for seconds in ours.wall]), f"{by_cpu} ({by_wall})"]


def step_of(kind: str, name: str, backbone: str, form: Form, batch: int) -> Step:
    design = DESIGNS.get(name, NONE)
    net = initialised(backbone, design, PROXY, seed=0, num_classes=100, image_size=32).train()
    if kind == "timm":
        put_timm_layers(net, TIMM[name])
    net = net.to(memory_format=form.memory_format)  # type: ignore[call-overload]
    if kind in RUNS:
        assert fuse(net, RUNS[kind]), name
    images = torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images, labels = images.contiguous(memory_format=form.memory_format), torch.arange(batch) % 100
    optimiser = optimiser_of(net, PROXY, fused=True)  # as the trainer steps
    for group in optimiser.param_groups:
        group["lr"] = 1e-3  # forever on one batch
    return partial(train_step, net, images, labels, optimiser, PROXY, form)


def put_timm_layers(net: nn.Module, attn_layer: str) -> None:
    """What the blocks would have built themselves, given this `attn_layer`."""
    for block in net.modules():
        if isinstance(block, BasicBlock):
            block.se = create_attn(attn_layer, block.conv2.out_channels)
