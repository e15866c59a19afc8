"""`attnas space`: which designs there are, and a look at one of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli_cost import at_placement, network_classes, network_size
from search.options import AXES, BACKBONE, DESIGN, JSON, NETWORK_SIZE, PLACEMENT, SPACE_FILE

if TYPE_CHECKING:
    from search_space import AttentionDesign, Site, Space

app = typer.Typer(
    help="The axes of the space, how many designs they make, and which.",
    invoke_without_command=True,
    rich_markup_mode=None,
    epilog="Example: attnas space --count --axis squeeze=avg,dct --backbone resnet20",
)
_SAID = {
    "raw": "raw combinations",
    "valid": "valid designs",
    "distinct": "distinct designs",
    "networks": "distinct networks",
}
_SHOWN_NEIGHBOURS = 6  # of each axis


@app.callback()
def space(
    context: typer.Context,
    count: Annotated[
        bool, typer.Option("--count", help="Combinations, valid designs, distinct designs, networks of a backbone.")
    ] = False,
    list_designs: Annotated[
        bool, typer.Option("--list", help="Every distinct design, one a line; its cost with --backbone.")
    ] = False,
    backbone: Annotated[
        str | None, typer.Option(help="Count and cost the designs as networks of this backbone.")
    ] = None,
    image_size: NETWORK_SIZE = None,
    axes: AXES = None,
    space_file: SPACE_FILE = None,
    as_json: JSON = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    chosen = narrowed(space_file, axes)
    if list_designs:
        _list(chosen, backbone, image_size, as_json)
    elif count:
        numbers = chosen.count()
        if backbone is not None:
            numbers["networks"] = len(_networks(chosen, backbone, image_size))
        where = f" of {backbone}" if backbone else ""
        lines = [f"{number:>10,}  {_SAID[key]}{where * (key == 'networks')}" for key, number in numbers.items()]
        print(json.dumps(numbers) if as_json else "\n".join(lines))
    elif as_json:
        print(json.dumps(chosen.axes()))
    else:
        for axis, values in chosen.axes().items():
            print(f"{axis:12} {', '.join(str(value).lower() for value in values)}")


@app.command(epilog="Example: attnas space show fca-ts --backbone resnet50 --plot fca-ts.png")
def show(
    design: DESIGN,
    backbone: BACKBONE = "resnet20",
    image_size: NETWORK_SIZE = None,
    placement: PLACEMENT = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the squeeze's basis into this file (.png, .svg, .pdf).")
    ] = None,
    as_json: JSON = False,
) -> None:
    """One design: its maths in words, the rank of its basis, cost a stage, neighbours, other spellings."""
    from search_space import AttentionDesign, find_design
    from search_space.layered import spread
    from search_space.sites import check
    from trainers import sites

    chosen = at_placement(find_design(design), placement)
    size = network_size(backbone, image_size)
    places = sites(backbone, size, chosen)
    check(chosen, places)
    pairs = list(zip(spread(chosen, len(places)), places, strict=True))
    facts = _about(chosen) if isinstance(chosen, AttentionDesign) else {"design": str(chosen), "key": chosen.key}
    facts |= {"backbone": backbone, "image_size": size, "stages": _stages(pairs)}
    if plot is not None:
        from results.figure_bases import NOTE, bases
        from results.figure_style import check_picture, write_picture

        check_picture(plot)
        title = str(chosen) if "words" in facts else "place by place"
        write_picture(bases(list(dict.fromkeys(pairs)), f"{title}: {NOTE}"), plot)
    print(json.dumps(facts)) if as_json else _say(facts)


def _about(design: AttentionDesign) -> dict[str, Any]:
    from dataclasses import replace

    from search_space import PRESETS, PUBLISHED
    from search_space.words import aliases, in_words, neighbours

    unmoved = replace(design, placement=None)
    named = next((PUBLISHED[name] for name, preset in PRESETS.items() if preset == unmoved), None)
    return {
        "design": str(design),
        "key": design.key,
        "aliases": aliases(design),
        "paper": named.paper if named else None,
        "reading": named.reading if named else None,
        "words": in_words(design),
        "neighbours": neighbours(design),
    }


def _stages(pairs: list[tuple[AttentionDesign, Site]]) -> list[dict[str, Any]]:
    """Runs of equal places: design, map, the rank of the basis there, parameters and MACs of them together."""
    from itertools import groupby

    from search_space.bases import basis, is_linear, rank
    from search_space.sites import added_macs, added_params

    stages = []
    for (design, site), run in groupby(pairs):
        here = [place for _, place in run]
        linear = is_linear(design)
        shape = (site.height, site.width, site.channels)
        stages.append(
            {"design": str(design), "places": len(here)}
            | {"channels": site.channels, "height": site.height, "width": site.width}
            | {"rows": len(basis(design, *shape)) if linear else None, "rank": rank(design, *shape) if linear else None}
            | {"params": added_params(design, here), "macs": added_macs(design, here)}
        )
    return stages


def _say(facts: dict[str, Any]) -> None:
    print(facts["design"])
    if "words" in facts:
        _say_what_it_is(facts)
    print(f"in {facts['backbone']} at {facts['image_size']} px:")
    for stage in facts["stages"]:
        basis = f"  rank {stage['rank']} of {stage['rows']}" if stage["rows"] else ""
        shape = f"{stage['channels']} x {stage['height']} x {stage['width']}"
        own = "" if "words" in facts else f"  {stage['design']}"
        cost = f"{stage['params']:>11,} params {stage['macs']:>13,} MACs"
        print(f"  {stage['places']} x {shape:18}{basis:18} {cost}{own}")
    if "neighbours" in facts:
        print("neighbours, one axis away:")
        for axis, texts in facts["neighbours"].items():
            print(f"  {axis:12} {_few(texts, _SHOWN_NEIGHBOURS)}")


def _say_what_it_is(facts: dict[str, Any]) -> None:
    for label in ("paper", "reading"):
        if facts[label]:
            print(f"{'our reading' if label == 'reading' else label:12} {facts[label]}")
    for part, sentence in facts["words"].items():
        print(f"{part:12} {sentence}")
    others = [name for name in facts["aliases"] if name != facts["design"]]
    print(f"{'key':12} {facts['key']}")
    print(f"{'also called':12} {_few(others, 10) or 'nothing else'}")


def _few(texts: list[str], number: int) -> str:
    more = f" and {len(texts) - number} more" if len(texts) > number else ""
    return ", ".join(texts[:number]) + more


def _list(space: Space, backbone: str | None, image_size: int | None, as_json: bool) -> None:
    if backbone is None:
        texts = [str(design) for design in space.distinct()]
        print(json.dumps(texts) if as_json else "\n".join(texts))
        return
    found = list(_networks(space, backbone, image_size).values())
    if as_json:
        print(json.dumps(found))
        return
    for entry in found:
        print(f"{entry['params']:>12,} params {entry['macs']:>15,} MACs  {entry['design']}")


def _networks(space: Space, backbone: str, image_size: int | None) -> dict[str, dict[str, Any]]:
    """{network key: design, params, MACs} of all that the backbone can carry; only the plain network is built."""
    from search_space import DesignError
    from search_space.sites import check, network_key
    from trainers import design_cost, sites

    size = network_size(backbone, image_size)
    classes = network_classes(backbone, None)
    found: dict[str, dict[str, Any]] = {}
    for design in space.distinct():
        places = sites(backbone, size, design)
        try:
            check(design, places)
        except DesignError:
            continue  # impossible here, as K = 32 groups of 16 channels
        key = network_key(design, backbone=backbone, image_size=size, num_classes=classes, sites=places)
        if key not in found:
            own = design_cost(design, backbone, size, classes)
            found[key] = {"design": str(design), "params": own.params, "macs": own.macs}
    return found


def narrowed(path: Path | None, axes: list[str] | None) -> Space:
    """The default space, or that of a TOML file, narrowed by `--axis`."""
    from search_space import Space

    base = Space() if path is None else Space.from_toml(path)
    return base.narrow_text(axes) if axes else base
