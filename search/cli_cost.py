"""`attnas cost`: what a backbone with a design costs: parameters, multiply-accumulates, and time on this machine."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.options import BACKBONE, DESIGN, DEVICE, JSON, NETWORK_SIZE, PLACEMENT
from search_space.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from search_space import AttentionDesign, Layered, Site
    from trainers.latency import Timing

_DTYPES = ("float32", "bfloat16", "float16")


def cost(
    design: DESIGN,
    backbone: BACKBONE = "resnet20",
    image_size: NETWORK_SIZE = None,
    classes: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="Width of the classifier; 100 (CIFAR) or 1000 unless given."),
    ] = None,
    placement: PLACEMENT = None,
    convention: Annotated[
        str, typer.Option(help="What counts as a MAC: layers+squeeze | layers | fvcore | all of them.")
    ] = "layers+squeeze",
    latency: Annotated[
        bool, typer.Option("--latency", help="Measure forward and forward-backward, in turns with no attention.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, help="Images a batch, for --latency.")] = 16,
    repeats: Annotated[int, typer.Option(min=2, help="Turns, for --latency.")] = 15,
    precision: Annotated[str, typer.Option(help="float32 | bfloat16 | float16, for --latency.")] = "float32",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads, for --latency.")] = 1,
    device: DEVICE = None,
    as_json: JSON = False,
) -> None:
    """Parameters and multiply-accumulates (what papers call FLOPs) of a backbone with a design."""
    from search_space import NONE, find_design
    from trainers import design_cost, sites
    from trainers.backbones import says_where

    if precision not in _DTYPES:
        raise UserError(f"precision {precision!r} is not possible; allowed: {', '.join(_DTYPES)}.")
    chosen = at_placement(find_design(design), placement)
    image_size, classes = network_size(backbone, image_size), network_classes(backbone, classes)
    places = sites(backbone, image_size, chosen)
    found = design_cost(chosen, backbone, image_size, classes)
    plain = design_cost(NONE, backbone, image_size, classes)
    macs = _under(chosen, backbone, image_size, classes, convention)
    facts: dict[str, Any] = {
        "design": str(chosen),
        "key": chosen.key,
        "placement": "attn_layer" if says_where(backbone) else chosen.place,
    }
    facts |= {"backbone": backbone, "image_size": image_size, "classes": classes, "places": len(places)}
    facts |= _ranks(chosen, places)
    facts |= {"params": found.params, "added_params": found.params - plain.params}
    facts |= next(iter(macs.values())) | ({"conventions": macs} if len(macs) > 1 else {})
    if not as_json:
        _say(facts, macs)
    if latency:
        timings = _latency(
            chosen,
            backbone,
            image_size=image_size,
            classes=classes,
            batch=batch,
            repeats=repeats,
            precision=precision,
            threads=threads,
            device=device,
        )
        facts["latency"] = timings
        if not as_json:
            _say_latency(timings)
    if as_json:
        print(json.dumps(facts))


def _ranks(design: AttentionDesign | Layered, places: Sequence[Site]) -> dict[str, Any]:
    """How many of the entries a basis of several rows really tells apart at each size of map."""
    from search_space import AttentionDesign
    from search_space.bases import is_linear, rank

    if not isinstance(design, AttentionDesign) or not is_linear(design) or design.entries == 1:
        return {"entries": None, "ranks": {}}
    sizes = dict.fromkeys((site.height, site.width) for site in places)
    return {"entries": design.entries, "ranks": {f"{h}x{w}": rank(design, h, w) for h, w in sizes}}


def at_placement(design: AttentionDesign | Layered, placement: str | None) -> AttentionDesign | Layered:
    from search_space.layered import placed

    if placement is None:
        return design
    if design.moved and design.place != placement:
        raise UserError(f"placement {placement!r} given, and another in the design {str(design)!r}; drop one of them.")
    return placed(design, placement)


def is_small(backbone: str) -> bool:
    """Whether the backbone is one for 32-pixel images; a user's own is taken for one, as the proxy data are small."""
    from trainers.factories import is_factory
    from trainers.small_shapes import SMALL

    return backbone in SMALL or is_factory(backbone)


def network_size(backbone: str, image_size: int | None) -> int:
    return image_size or (32 if is_small(backbone) else 224)


def network_classes(backbone: str, classes: int | None) -> int:
    return classes or (100 if is_small(backbone) else 1000)


def _under(
    design: AttentionDesign | Layered, name: str, image_size: int, classes: int, convention: str
) -> dict[str, dict[str, Any]]:
    """{convention: MACs, what attention adds, what is counted}."""
    from search_space import NONE
    from trainers import backbone, cost, design_cost
    from trainers.costs import CONVENTIONS, DEFAULT_CONVENTION

    if convention not in (*CONVENTIONS, "all"):
        raise UserError(f"convention {convention!r} does not exist; allowed: {', '.join(CONVENTIONS)}, all.")
    found = {}
    for asked in CONVENTIONS if convention == "all" else (convention,):
        if asked == DEFAULT_CONVENTION:
            own, plain = (design_cost(one, name, image_size, classes) for one in (design, NONE))
        else:
            own, plain = (cost(backbone(name, one, num_classes=classes), image_size, asked) for one in (design, NONE))
        found[asked] = {"macs": own.macs, "added_macs": own.macs - plain.macs, "convention": own.convention}
    return found


def _say(facts: dict[str, Any], macs: dict[str, dict[str, Any]]) -> None:
    print(f"{facts['design']} in {facts['backbone']} at {facts['image_size']} px, {facts['classes']} classes")
    print(f"placement: {facts['placement']}, {facts['places']} places")
    if facts["ranks"]:
        found = ", ".join(f"{size}: {rank}" for size, rank in facts["ranks"].items())
        print(f"rank of its basis, of {facts['entries']}: {found}")
    print(f"params  {facts['params']:>14,}  ({facts['added_params']:+,} by the attention)")
    for name, counted in macs.items():
        print(f"MACs    {counted['macs']:>14,}  ({counted['added_macs']:+,} by the attention)")
        print(f"        {name}: {counted['convention']}")


def _latency(
    design: AttentionDesign | Layered,
    name: str,
    *,
    image_size: int,
    classes: int,
    batch: int,
    repeats: int,
    precision: str,
    threads: int,
    device: str | None,
) -> dict[str, Any]:
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from trainers import backbone
    from trainers.environment import hardware, pick_device
    from trainers.latency import PHASES, latency

    chosen = pick_device(device)
    torch.set_num_threads(threads)
    nets = [backbone(name, num_classes=classes), backbone(name, design, num_classes=classes)]
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("latency", total=len(PHASES) * repeats)
        found = latency(
            nets[1],
            nets[0],
            image_size=image_size,
            batch=batch,
            repeats=repeats,
            device=chosen,
            dtype=getattr(torch, precision),
            threads=threads,
            on_repeat=lambda: bar.advance(task),
        )
    about = {"batch": batch, "precision": precision, "threads": threads, "hardware": hardware(chosen)}
    return about | {phase: asdict(timing) for phase, timing in found.items()}


def _say_latency(found: dict[str, Any]) -> None:
    from trainers.latency import PHASES, Timing

    print(f"latency of a batch of {found['batch']}, {found['precision']}, {found['hardware']}")
    for phase in PHASES:
        print(_timing_line(phase, Timing(**found[phase])))
    print("median (quartiles) of n turns beside the same network without attention", file=sys.stderr)


def _timing_line(phase: str, timing: Timing) -> str:
    own, low, high, plain = (
        f"{1000 * seconds:.2f}"
        for seconds in (timing.median, timing.lower_quartile, timing.upper_quartile, timing.plain_median)
    )
    ratio = f"{timing.ratio_median:.3f} ({timing.ratio_lower_quartile:.3f} to {timing.ratio_upper_quartile:.3f})"
    return f"{phase:17} {own} ms ({low} to {high}), without attention {plain} ms, ratio {ratio}, n = {timing.n}"
