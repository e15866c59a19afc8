"""`attnas cost` and `attnas space`: what a design is and costs, without a storage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.options import AXES, BACKBONE, DESIGN, IMAGE_SIZE, JSON, SPACE_FILE

if TYPE_CHECKING:
    from search_space import AttentionDesign, Site, Space


def cost(
    design: DESIGN,
    backbone: BACKBONE = "resnet20",
    image_size: IMAGE_SIZE = 32,
    classes: Annotated[int, typer.Option(min=1, max=1_000_000, help="Width of the classifier.")] = 100,
    as_json: JSON = False,
) -> None:
    """Parameters and multiply-accumulates (what papers call FLOPs) of a backbone with a design."""
    from search_space import NONE, find_design
    from search_space.sites import check
    from trainers import design_cost, sites

    chosen = find_design(design)
    check(chosen, sites(backbone, image_size))
    found = design_cost(chosen, backbone, image_size, classes)
    plain = design_cost(NONE, backbone, image_size, classes)
    if as_json:
        facts = {"params": found.params, "macs": found.macs, "convention": found.convention}
        added = {"added_params": found.params - plain.params, "added_macs": found.macs - plain.macs}
        named = {"design": str(chosen), "key": chosen.key, "backbone": backbone}
        print(json.dumps(named | {"image_size": image_size, "classes": classes} | facts | added))
        return
    print(f"{chosen} in {backbone} at {image_size} px, {classes} classes")
    for line in _rank_lines(chosen, sites(backbone, image_size)):
        print(line)
    print(f"params  {found.params:>14,}  ({found.params - plain.params:+,} by the attention)")
    print(f"MACs    {found.macs:>14,}  ({found.macs - plain.macs:+,} by the attention)")
    print(found.convention)


def space(
    count: Annotated[
        bool, typer.Option("--count", help="How many combinations, valid designs, distinct designs.")
    ] = False,
    list_designs: Annotated[bool, typer.Option("--list", help="Every distinct design, one a line.")] = False,
    axes: AXES = None,
    space_file: SPACE_FILE = None,
    as_json: JSON = False,
) -> None:
    """The axes of the space, how many designs they make, and which."""
    chosen = narrowed(space_file, axes)
    if list_designs:
        texts = [str(design) for design in chosen.distinct()]
        print(json.dumps(texts) if as_json else "\n".join(texts))
    elif count:
        numbers = chosen.count()
        said = {"raw": "raw combinations", "valid": "valid designs", "distinct": "distinct designs"}
        print(json.dumps(numbers) if as_json else "\n".join(f"{numbers[key]:>8,}  {said[key]}" for key in numbers))
    elif as_json:
        print(json.dumps(chosen.axes()))
    else:
        for axis, values in chosen.axes().items():
            print(f"{axis:12} {', '.join(str(value).lower() for value in values)}")


def narrowed(path: Path | None, axes: list[str] | None) -> Space:
    """The default space, or that of a TOML file, narrowed by `--axis`."""
    from search_space import Space

    base = Space() if path is None else Space.from_toml(path)
    return base.narrow_text(axes) if axes else base


def _rank_lines(design: AttentionDesign, places: Sequence[Site]) -> list[str]:
    """How many of the K entries a linear squeeze really tells apart at each size of map."""
    from search_space.bases import rank

    if design.squeeze not in ("dct", "wavelet") or design.statistic != "mean":
        return []
    sizes = dict.fromkeys((site.height, site.width) for site in places)
    found = ", ".join(f"{height}x{width}: {rank(design, height, width)}" for height, width in sizes)
    return [f"rank of its basis, of {design.entries}: {found}"]
