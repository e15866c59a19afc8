"""`attnas export`: a trained network as a folder for timm, the Hugging Face hub and ONNX Runtime."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from results.exchange import readable
from search.cli_cost import at_placement, network_classes, network_size
from search.options import CORES, JSON, PLACEMENT
from search_space.errors import DesignError, UserError

if TYPE_CHECKING:
    from search_space import AttentionDesign, Layered
    from trainers.export import Exported
    from trainers.model_facts import ModelFacts
    from trainers.retrained import State

EPILOG = """Examples:

attnas export retrain/avg_conv1d-resnet50-0 --to eca-resnet50

attnas export avg/conv1d --backbone resnet50 --to eca-resnet50

attnas export fca-ts --backbone resnet50 --to untrained --no-torch-export"""


def export_command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="KEY|CHECKPOINT",
            help="The folder of a retraining, its model.pt or a checkpoint in it; or a preset, design text or key.",
        ),
    ],
    to: Annotated[Path, typer.Option(help="The folder to make.")] = ...,  # type: ignore[assignment]
    backbone: Annotated[
        str | None,
        typer.Option(help="With a design. Of a checkpoint it is known; a function of yours is named to be allowed."),
    ] = None,
    retrained: Annotated[Path, typer.Option(help="Where `attnas retrain` wrote: a design is looked for there.")] = Path(
        "retrain"
    ),
    image_size: Annotated[
        int | None, typer.Option(min=1, max=2048, help="Of untrained weights; 32 for CIFAR's, else 224.")
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="Of untrained weights; 100 for CIFAR's, else 1000."),
    ] = None,
    placement: PLACEMENT = None,
    onnx: Annotated[bool, typer.Option(help="Write model.onnx, of fixed size and free batch.")] = True,
    opset: Annotated[int, typer.Option(help="Version of ONNX's operators.")] = 18,
    torch_export: Annotated[bool, typer.Option(help="Write model.pt2, for torch.export.load.")] = True,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = CORES,
    as_json: JSON = False,
) -> None:
    """A network as a folder for timm, the Hugging Face hub, ONNX Runtime and torch.export, loaded again and compared.

    `timm.create_model("local-dir:DIR", pretrained=True)` loads it after `import trainers.timm_registry`. A design that
    was not retrained is exported untrained, as output, card and config say. Exit code 1 where what was written computes
    something else; the folder is not made then.
    """
    checkpoint = Path(what)
    design = None if checkpoint.exists() else _design(what, placement)
    if design is None and (image_size, classes, placement) != (None, None, None):
        raise UserError(
            f"{what} is a checkpoint, which says its image size, classes and placement; drop --image-size, --classes "
            "and --placement."
        )
    import torch
    from rich.console import Console

    from trainers.export import check_place, export
    from trainers.factories import is_factory
    from trainers.parity import ParityError
    from trainers.timm_registry import allow

    torch.set_num_threads(threads)
    check_place(to)
    if backbone is not None and is_factory(backbone):
        allow(backbone)
    facts, state = (
        _of_checkpoint(checkpoint, backbone)
        if design is None
        else _of_design(design, backbone, retrained, image_size, classes)
    )
    console = Console(stderr=True)
    try:
        with console.status("exporting"):
            made = export(facts, state, to, onnx=onnx, opset=opset, torch_export=torch_export)
    except ParityError as error:
        print(f"error: {to} was not made, for it would not compute what the network does: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(json.dumps(_facts(made))) if as_json else _say(made)


def _design(text: str, placement: str | None) -> AttentionDesign | Layered:
    from search_space import find_design

    try:
        return at_placement(find_design(text), placement)
    except DesignError as error:
        if (parent := Path(text).parent) != Path() and parent.is_dir():
            there = ", ".join(sorted(path.parent.name for path in parent.glob("*/model.json"))[:8]) or "none"
            raise UserError(f"{text}: no such file or folder; retrainings in {parent}: {there}.") from error
        raise UserError(f"{text!r} is no file or folder that exists, and no design: {error}") from error


def _of_checkpoint(path: Path, backbone: str | None) -> tuple[ModelFacts, State]:
    from trainers.retrained import retrained

    facts, state = retrained(path)
    if backbone is not None and backbone != facts.network:
        raise UserError(f"--backbone {backbone} given, but {path} is of {readable(facts.network)}; drop it.")
    return facts, state


def _of_design(
    design: AttentionDesign | Layered, backbone: str | None, folder: Path, image_size: int | None, classes: int | None
) -> tuple[ModelFacts, State | None]:
    """The weights of its one retraining in `folder`, else untrained ones."""
    from search_space import find_design

    found = [
        path
        for path, facts in _retrainings(folder)
        if find_design(facts.design).key == design.key  # not the key of then: what is one design is said today
        and backbone in (None, facts.network)
        and image_size in (None, facts.image_size)
        and classes in (None, len(facts.classes))
    ]
    if len(found) > 1:
        named = ", ".join(str(path) for path in found[:8])
        raise UserError(f"{design} was retrained more than once in {folder}: {named}. Name the one to export.")
    if found:
        print(readable(f"of {found[0]}"), file=sys.stderr)
        return _of_checkpoint(found[0], backbone)
    if backbone is None:
        raise UserError(
            f"{design}: no retraining of it in {folder} (--retrained names another folder). Name its checkpoint; or "
            "with --backbone NAME the untrained network is exported."
        )
    from trainers.imagenet_recipe import FCA
    from trainers.retrained import facts_of

    size, number = network_size(backbone, image_size), network_classes(backbone, classes)
    return facts_of(design, backbone, size, tuple(map(str, range(number))), FCA), None


def _retrainings(folder: Path) -> list[tuple[Path, ModelFacts]]:
    """Folders with weights in it, in order; what can't be read is none."""
    from search_space import find_design
    from trainers import model_facts

    found = []
    for path in sorted(folder.glob(f"*/{model_facts.NAME}")):
        if (path.parent / "model.pt").exists():
            try:
                facts = model_facts.read(path)
                find_design(facts.design)
            except UserError:
                continue
            found.append((path.parent, facts))
    return found


def _facts(made: Exported) -> dict[str, Any]:
    facts = made.facts
    return {
        "directory": str(made.directory),
        "design": facts.design,
        "key": facts.key,
        "backbone": facts.backbone,
        "image_size": facts.image_size,
        "classes": len(facts.classes),
        "trained": facts.trained,
        "state": facts.state,
        "reached": facts.reached,
        "data": None if facts.data is None else facts.data["name"],
        "measured": facts.measured,
        "params": made.cost.params,
        "macs": made.cost.macs,
        "opset": made.opset,
        "files": made.files,
        "checks": [asdict(check) for check in made.checks],
    }


def _say(made: Exported) -> None:
    from search.wording import size

    facts = made.facts
    print(readable(f"{facts.design} in {facts.network} at {facts.image_size} px, {len(facts.classes)} classes"))
    for told in facts.reservations:
        print(readable(told))
    if facts.measured and facts.data:
        seen = facts.measured
        on = f"{seen['split']} of {facts.data['name']}, {seen['images']:,} images"
        print(readable(f"top-1 {seen['accuracy']:.2%} on {on}, after epoch {seen['epoch']:.0f}, seed {facts.seed}"))
    from trainers.parity import IMAGES

    print(f"compared with the network in float32 on {IMAGES}:")
    for check in made.checks:
        print(f"  {check}")
    print(f"{made.directory}: {', '.join(f'{name} {size(number)}' for name, number in made.files.items())}, README.md")
