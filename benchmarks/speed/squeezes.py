"""Every linear squeeze of the default space beside an average pool: its module, its share of a fused block's passes,
and the level-by-level transform that it stands for."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.speed.clock import Times, alternated, ratio
from benchmarks.speed.levels import level_by_level
from benchmarks.speed.plain import Form
from benchmarks.speed.scale import Scale
from benchmarks.tables import figures, table
from search_space import NONE, AttentionDesign, Space, build
from search_space.bases import is_linear
from search_space.module import Attention
from search_space.squeeze import squeeze_only
from trainers.fused_kernels import Norm, Run, listen, spread
from trainers.fused_native import native
from trainers.fused_norm import folds
from trainers.memory import keep_freed_memory

FORMS = (Form("bfloat16", "channels_last"), Form("float32", "contiguous"))  # those in which searches train
Step = Callable[[], object]


RATIOS = ("module_to_pool", "heard_to_alone", "heard_to_pool")


class Size(NamedTuple):
    side: int
    channels: int
    batch: int


SIZES = (
    *(Size(side, 64 * 56 // side, 32) for side in (56, 28, 14, 7)),
    *(Size(side, 16 * 32 // side, 128) for side in (32, 16, 8)),
)
SMALL = (Size(8, 8, 2),)


@dataclass(frozen=True)
class Measured:
    """Milliseconds: medians over the rounds; ratios: medians of those by rounds. 0 where there is none."""

    form: str
    squeeze: str
    family: str
    coefficients: int  # a channel
    side: int
    channels: int
    batch: int
    passes: str  # forward | both
    mean_ms: float
    adaptive_ms: float
    module_ms: float
    levels_ms: float
    heard_alone_ms: float  # batch norm's passes, which give the pool
    heard_ms: float  # the same with the squeeze
    module_to_pool: float  # to the faster of the two
    heard_to_alone: float
    heard_to_pool: float
    levels_to_module: float


def squeezes() -> dict[AttentionDesign, AttentionDesign]:
    """{what is squeezed: a design with it}, of the default space."""
    every = (design for design in Space().distinct() if design != NONE and not design.is_block)
    return {squeeze_only(design): design for design in every if is_linear(design)}


def section(scale: Scale) -> str:
    torch.set_num_threads(1)
    keep_freed_memory()  # as in any training
    chosen = dict(list(squeezes().items())[:: 30 if scale.small else 1])
    sizes = SMALL if scale.small else SIZES
    found: list[Measured] = []
    path = scale.output.with_name(f"{scale.output.stem}_squeezes.csv")
    for form in FORMS[:1] if scale.small else FORMS:
        for size in sizes:
            scale.say(f"squeezes: {form}, {size.side} px, {size.channels} channels")
            for squeeze, design in chosen.items():
                found += measure(squeeze, design, size, form, scale)
            _write(found, path)
    ratios = [name for one in ("module", "fused", "fused, all") for name in (one, "both ways")]
    head = ["squeeze", "coefficients", "designs", *ratios, "by levels"]
    parts = [
        f"{form}:\n\n{table(head, list(rows([one for one in found if one.form == str(form)])))}"
        for form in dict.fromkeys(one.form for one in found)
    ]
    shapes = ", ".join(f"{size.side} px with {size.channels}" for size in sizes)
    return f"""## Linear squeezes

All {len(chosen)} squeezes that are inner products with fixed rows, on maps of {shapes} channels
(batch {", ".join(str(batch) for batch in dict.fromkeys(size.batch for size in sizes))}), one thread, processor's time;
each squeeze in turn with the pools, n = {_rounds(scale)}, median. *Module*: its time over that of the faster of
`x.mean((2, 3))` and `adaptive_avg_pool2d`, in the same layout and format. *Fused*: the passes over a map in which a
fused block computes batch norm's statistics, the pool, and the squeeze, over the same passes without the squeeze;
*fused, all*: over the faster pool alone. *Both ways*: forward and backward. *By levels*: the time of a transform level
by level, or of a product as large as the map, over that of the module, forward. Each the median over the designs of a
row and the sizes, and in brackets the most; wanted: 1.10 or less for up to 8 coefficients. Every number:
[{path.name}]({path.name}).

{scale.where("pywavelets")}

{(chr(10) * 2).join(parts)}
"""


def _rounds(scale: Scale) -> int:
    return scale.repeats


def rows(found: list[Measured]) -> Iterator[list[str]]:
    """A line for each family with so many coefficients a channel."""
    groups: dict[tuple[str, int], list[Measured]] = defaultdict(list)
    for one in found:
        groups[one.family, one.coefficients].append(one)
    for (family, coefficients), group in sorted(groups.items(), key=lambda pair: (pair[0][1], pair[0][0])):
        cells = []
        for column, passes in [*product(RATIOS, ("forward", "both")), ("levels_to_module", "forward")]:
            values = [getattr(one, column) for one in group if one.passes == passes]
            cells.append(_middle_and_most([value for value in values if value]))
        yield [family, str(coefficients), str(len({one.squeeze for one in group})), *cells]


def _middle_and_most(values: list[float]) -> str:
    return f"{figures(median(values))} ({figures(max(values))})" if values else ""


def measure(
    squeeze: AttentionDesign, design: AttentionDesign, size: Size, form: Form, scale: Scale, run: Run = native
) -> list[Measured]:
    x = torch.randn(size.batch, size.channels, size.side, size.side, generator=torch.Generator().manual_seed(0))
    x = x.to(torch.bfloat16 if form.precision == "bfloat16" else torch.float32, memory_format=form.memory_format)
    layer = build(design, size.channels)
    assert isinstance(layer, Attention)
    functions = {
        "mean": lambda x: x.mean((2, 3)),
        "adaptive": lambda x: F.adaptive_avg_pool2d(x, 1),
        "module": layer.pooling,
    }
    forward: dict[str, Step] = {name: partial(function, x) for name, function in functions.items()}
    forward["levels"] = partial(level_by_level(squeeze, x), x)
    both = {name: both_ways(function, x) for name, function in functions.items()}
    if folds(layer):
        passes = (passes_with(layer.pooling.rows(x), x, run), passes_with([], x, run))
        for way, (heard, alone) in zip((forward, both), zip(*passes, strict=True), strict=True):
            way |= {"heard": heard, "alone": alone}
    rounds = _rounds(scale)
    least = 0.0 if scale.small else 2e-3
    facts = [str(form), str(squeeze).partition("/")[0], family_of(squeeze), squeeze.numbers, *_shape(size)]
    return [
        Measured(*facts, passes=name, **_numbers(alternated(way, rounds, least_seconds=least)))  # type: ignore[arg-type]
        for name, way in (("forward", forward), ("both", both))
    ]


def _shape(size: Size) -> tuple[int, int, int]:
    return size.side, size.channels, size.batch


def family_of(squeeze: AttentionDesign) -> str:
    """All of one row of the table."""
    if squeeze.squeeze == "wavelet":
        return f"wavelet, {squeeze.depth} level{'s' * (squeeze.depth != 1)}"
    return {"dct": "DCT", "avg": "average", "ortho": "random orthonormal"}.get(squeeze.squeeze, squeeze.squeeze)


def both_ways(function: Callable[[Tensor], Tensor], x: Tensor) -> Step:
    leaf = x.detach().clone().requires_grad_()
    grad = torch.ones_like(function(x))
    return lambda: torch.autograd.grad(function(leaf), leaf, grad)


def passes_with(given: list[Tensor], y: Tensor, run: Run) -> tuple[Step, Step]:
    """The passes of a fused block that read y for batch norm and squeeze: forward, and forward and backward."""
    B, C = y.shape[:2]
    norm = Norm(torch.ones(C), torch.zeros(C), torch.zeros(C), 1e-5, None)
    numbers = torch.ones(B, C)
    heard, told = run(listen, y, norm, given)

    def forward() -> object:
        return run(listen, y, norm, given)

    def both() -> object:
        run(listen, y, norm, given)
        of_told = [torch.ones_like(one) for one in told]
        return run(spread, y, y, y, norm, heard, (numbers, numbers), numbers, False, of_told, given)

    return forward, both


def _numbers(times: dict[str, Times]) -> dict[str, float]:
    milliseconds = {name: 1000 * median(one.cpu) for name, one in times.items()}
    pool = min(("mean", "adaptive"), key=milliseconds.__getitem__)
    found = {f"{name}_ms": milliseconds.get(name, 0.0) for name in ("mean", "adaptive", "module", "levels", "heard")}
    found |= {"heard_alone_ms": milliseconds.get("alone", 0.0)}
    found |= {"module_to_pool": ratio(times["module"], times[pool])}
    found |= {"heard_to_alone": ratio(times["heard"], times["alone"]) if "heard" in times else 0.0}
    found |= {"heard_to_pool": ratio(times["heard"], times[pool]) if "heard" in times else 0.0}
    return found | {"levels_to_module": ratio(times["levels"], times["module"]) if "levels" in times else 0.0}


def _write(found: Iterable[Measured], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Measured)])
        writer.writeheader()
        for one in found:
            writer.writerow({name: f"{v:.5g}" if isinstance(v, float) else v for name, v in asdict(one).items()})
