"""What `attnas export` writes: a folder that timm loads, with graphs that run without this code, all of it checked."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from search_space import NONE, UserError, find_design
from trainers import timm_registry
from trainers.backbones import sites
from trainers.costs import Cost, cost
from trainers.model_card import card
from trainers.model_facts import ModelFacts, sha256_of
from trainers.onnx_export import OPSET, check_opset, require_onnx, runner, session, traced, write_onnx
from trainers.outcome import settled
from trainers.parity import BATCHES, Parity, compare, photograph_like
from trainers.timm_import import prepare

prepare()
import timm  # noqa: E402
from safetensors.torch import save  # noqa: E402

WEIGHTS, CONFIG, ONNX, GRAPH, CARD, SUMS = (
    *("model.safetensors", "config.json", "model.onnx", "model.pt2", "README.md", "SHA256SUMS"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A folder and what was checked of it."""

    directory: Path
    facts: ModelFacts
    cost: Cost
    opset: int | None
    settled: str | None  # what a learned selection chose, as a design
    files: dict[str, int] = field(default_factory=dict)  # bytes
    checks: list[Parity] = field(default_factory=list)


def network_of(facts: ModelFacts, state: Mapping[str, Tensor] | None) -> nn.Module:
    """The network in evaluation mode on the CPU; without a state as `facts.seed` draws it.

    Raises `UserError` where the weights are another network's.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(facts.seed)
        net = timm_registry.built(
            find_design(facts.design), facts.backbone, len(facts.classes), facts.scale, facts.gate_start
        )
    if state is not None:
        try:
            net.load_state_dict(state)
        except RuntimeError as error:
            what = f"{facts.design} in {facts.backbone} with {len(facts.classes)} classes"
            raise UserError(f"the weights are not those of {what}: {in_a_line(error)}") from error
    return net.eval()


def in_a_line(error: Exception) -> str:
    """The beginning of what torch says in lines of its own."""
    return " ".join(line.strip() for line in str(error).splitlines()[:4])


def export(
    facts: ModelFacts,
    state: Mapping[str, Tensor] | None,
    to: Path,
    *,
    onnx: bool = True,
    opset: int = OPSET,
    torch_export: bool = True,
) -> Exported:
    """Write the folder `to`, whole or not at all, after every way to load it has given the network's logits.

    Raises `UserError` for a place that can't be written to or holds something and for weights of another network,
    `ParityError` where what was written computes something else.
    """
    check_place(to)
    if onnx:
        require_onnx()
        check_opset(opset)
    net = network_of(facts, state)
    counted = cost(net, facts.image_size)
    _make(to.parent)
    with tempfile.TemporaryDirectory(prefix=f".{to.name}-", dir=to.parent) as scratch:
        made = Path(scratch, "export")
        made.mkdir()  # with the permissions that a new folder of this user has
        checks = _write_weights(facts, net, made)
        checks += _write_graphs(facts, net, made, onnx=onnx, opset=opset, torch_export=torch_export)
        found = Exported(
            directory=to,
            facts=facts,
            cost=counted,
            opset=opset if onnx else None,
            settled=settled(find_design(facts.design), net),
            files=_sizes(made),
            checks=checks,
        )
        (made / CARD).write_text(card(found, _attention(facts)), encoding="utf-8")
        _write_sums(made)
        check_place(to)  # again: to write may have taken minutes
        made.rename(to)
    return found


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} can't be made: {error.strerror}; name another place (--to).") from error


def check_place(to: Path) -> None:
    """Raises `UserError` unless there is nothing, or an empty folder."""
    if to.is_symlink() or (to.exists() and not to.is_dir()):
        raise UserError(f"{to} is there and is no folder; name a new one (--to).")
    if to.is_dir() and (there := sorted(os.listdir(to))):  # noqa: PTH208 - names alone
        raise UserError(f"{to} holds {there[0]!r}, and nothing is written over; name a new folder (--to).")


def _write_weights(facts: ModelFacts, net: nn.Module, made: Path) -> list[Parity]:
    tensors = {name: value.detach().contiguous().clone() for name, value in net.state_dict().items()}
    # not by its save_file, whose files nobody else may read; one word about it, for it writes two in any order
    (made / WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))
    (made / CONFIG).write_text(json.dumps(_config(facts, net), indent=1) + "\n", encoding="utf-8")
    loaded = timm.create_model(f"local-dir:{made}", pretrained=True).eval()
    return compare("timm.create_model", net, loaded, _images(facts), exact=True)


def _config(facts: ModelFacts, net: nn.Module) -> dict[str, Any]:
    """timm's, which builds the network from `model_args`; what it does not know is under `attnas`."""
    theirs = getattr(net, "pretrained_cfg", None) or {}
    numbers = {"input_size": [3, facts.image_size, facts.image_size], "fixed_input_size": False}
    looks = {"mean": facts.mean, "std": facts.std, "crop_pct": facts.crop_pct, "crop_mode": "center"}
    interpolation = "bilinear" if facts.interpolation == "random" else facts.interpolation
    classifier = theirs.get("classifier") or ("head" if isinstance(getattr(net, "head", None), nn.Linear) else None)
    return {
        "architecture": timm_registry.ARCHITECTURE,
        "num_classes": len(facts.classes),
        "model_args": {
            "design": facts.design,
            "backbone": facts.backbone,
            "scale": facts.scale,
            "gate_start": facts.gate_start,
        },
        "label_names": facts.classes,
        "pretrained_cfg": {
            "tag": facts.state,
            "num_classes": len(facts.classes),
            **numbers,
            **looks,
            "interpolation": interpolation,
            "first_conv": theirs.get("first_conv"),
            "classifier": classifier,
        },
        "attnas": facts.plain,
    }


def _write_graphs(
    facts: ModelFacts, net: nn.Module, made: Path, *, onnx: bool, opset: int, torch_export: bool
) -> list[Parity]:
    if not (onnx or torch_export):
        return []
    checks, images, program = [], _images(facts), traced(net, facts.image_size)
    if torch_export:
        torch.export.save(program, made / GRAPH)
        loaded = torch.export.load(made / GRAPH).module()
        checks += compare("torch.export", net, loaded, images, exact=False)
    if onnx:
        write_onnx(program, made / ONNX, opset, _about(facts))
        checks += compare("ONNX Runtime", net, runner(session(made / ONNX)), images, exact=False)
    return checks


def _about(facts: ModelFacts) -> dict[str, str]:
    """For people who have the ONNX file alone; JSON, so that no class name is more than a text."""
    names = ("design", "backbone", "image_size", "mean", "std", "crop_pct", "interpolation", "classes")
    return {name: json.dumps(facts.plain[name]) for name in names} | {"state": json.dumps(facts.state)}


def _images(facts: ModelFacts) -> Tensor:
    return photograph_like(max(BATCHES), facts.image_size, facts.mean, facts.std)


def _attention(facts: ModelFacts) -> int:
    """How many places carry the design."""
    design = find_design(facts.design)
    return 0 if design == NONE else len(sites(facts.network, facts.image_size, design))


def _sizes(made: Path) -> dict[str, int]:
    return {name: (made / name).stat().st_size for name in (WEIGHTS, CONFIG, ONNX, GRAPH) if (made / name).exists()}


def _write_sums(made: Path) -> None:
    """Of all but the card, to which a licence is added by hand."""
    names = sorted(path.name for path in made.iterdir() if path.name != CARD)
    lines = [f"{sha256_of(made / name)}  {name}\n" for name in names]
    (made / SUMS).write_text("".join(lines), encoding="utf-8")


def sums_of(folder: Path) -> dict[str, str]:
    """{file: SHA-256} as written; nothing where the sums were taken away."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
