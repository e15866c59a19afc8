"""The README.md of an export: a model card as the Hugging Face hub shows it, for who finds it years later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import timm
import torch

from search_space import PRESETS, PUBLISHED, AttentionDesign, Layered, find_design
from search_space.words import in_words
from trainers.environment import commit, versions
from trainers.factories import is_factory
from trainers.model_facts import ModelFacts
from trainers.parity import BATCHES, IMAGES
from trainers.proportion import wilson

if TYPE_CHECKING:
    from trainers.export import Exported


def card(exported: Exported, places: int) -> str:
    """Markdown with the hub's front matter. Names and numbers of a training stand under the name of its own data."""
    facts = exported.facts
    design = find_design(facts.design)
    parts = [
        _front_matter(facts),
        f"# {_title(facts)}",
        _summary(exported, design, places),
        "## Use\n\n" + _use(exported),
        "## Design\n\n" + _in_words(design, exported.settled),
        *(["## Measured\n\n" + _measured(facts)] if facts.measured else []),
        *(["## Training\n\n" + _training(facts)] if facts.trained else []),
        "## Files\n\n" + _files(exported),
        "## Licence\n\nNone is stated. Who publishes this adds `license: ...` to the first lines of this file, with "
        "regard to the images that it was trained on.",
    ]
    return "\n\n".join(parts) + "\n"


def plain(text: object) -> str:
    """What Markdown, YAML and a terminal take as text and nothing else."""
    return "".join(letter if letter.isprintable() and letter not in "`|<>[]*\\" else "?" for letter in str(text))


def design_text(text: str) -> str:
    """Of several places the first few: a design a place is a long text, which config.json has whole."""
    parts = text.split(" | ")
    return text if len(parts) <= 4 else " | ".join(parts[:3]) + f" | ... ({len(parts)} places)"


def _title(facts: ModelFacts) -> str:
    return plain(f"{design_text(facts.design)} in {facts.network}")


def _front_matter(facts: ModelFacts) -> str:
    lines = ["library_name: timm", "pipeline_tag: image-classification"]
    lines += ["tags:", *(f"- {tag}" for tag in ("image-classification", "timm", "attnas", "channel-attention"))]
    if facts.measured and facts.data:
        name = json.dumps(f"{plain(facts.data['name'])}, {plain(facts.measured['split'])}")
        lines += [
            "model-index:",
            f"- name: {json.dumps(_title(facts))}",
            "  results:",
            "  - task:",
            "      type: image-classification",
            "    dataset:",
            f"      name: {name}",
            f"      type: {json.dumps(plain(facts.data['name']))}",
            "    metrics:",
            *(
                line
                for metric, key in (("accuracy", "accuracy"), ("top-5 accuracy", "top5"))
                if key in facts.measured
                for line in (
                    "    - type: accuracy",
                    f"      name: {metric}",
                    f"      value: {float(facts.measured[key])}",
                )
            ),
        ]
    return "\n".join(("---", *lines, "---"))


def _summary(exported: Exported, design: AttentionDesign | Layered, places: int) -> str:
    facts, counted = exported.facts, exported.cost
    lines = [f"**{plain(told)}.**" for told in facts.reservations]
    attention = f"with the channel attention `{plain(design_text(facts.design))}`{_named(design)} in {places} places"
    lines.append(
        f"An image classifier: `{plain(facts.network)}` {attention if places else 'without channel attention'}, for "
        f"{len(facts.classes)} classes at {facts.image_size} x {facts.image_size} pixels."
    )
    lines.append(
        f"- parameters: {counted.params:,}\n- multiply-accumulates: {counted.macs:,} ({counted.convention})\n"
        f"- gates start as `{plain(facts.gate_start)}`, squeezes are scaled as `{plain(facts.scale)}`"
    )
    return "\n\n".join(lines)


def _named(design: AttentionDesign | Layered) -> str:
    found = next((name for name, preset in PRESETS.items() if preset.key == design.key), None)
    return "" if found is None or found == str(design) else f" (known as `{found}`)"


def _use(exported: Exported) -> str:
    facts = exported.facts
    allow = [
        "",
        f"# `{plain(facts.network)}` is code that is not in this folder; it is imported only if you allow it",
        f"trainers.timm_registry.allow({plain(facts.network)!r})",
    ]
    code = [
        "import trainers.timm_registry  # of attnas: registers `attnas_net`",
        "import timm",
        *(allow if is_factory(facts.network) else []),
        "",
        'net = timm.create_model("local-dir:PATH/OF/THIS/FOLDER", pretrained=True).eval()  # hub: "hf-hub:YOU/NAME"',
        "transform = timm.data.create_transform(**timm.data.resolve_model_data_config(net), is_training=False)",
        "",
        'logits = net(transform(image)[None])  # image: a PIL image, RGB; names: net.pretrained_cfg["label_names"]',
    ]
    text = "```python\n" + "\n".join(code) + "\n```"
    looks = (
        f"Images: RGB, the shorter side resized ({plain(facts.interpolation)}) so that the central "
        f"{facts.image_size} pixels are {facts.crop_pct:g} of it, 0 to 1, minus {list(facts.mean)}, divided by "
        f"{list(facts.std)}. "
    )
    reduced = (
        "In training and measuring a JPEG of more than twice the pixels that this takes was decoded at a half, a "
        "quarter or an eighth of its side, which `attnas eval` does too and timm's transform does not. "
    )
    return f"{text}\n\n{looks}{reduced if facts.reduced_decoding else ''}The graphs below take images so normalised."


def _in_words(design: AttentionDesign | Layered, settled: str | None) -> str:
    if isinstance(design, Layered):
        return (
            "One design for each place of the network, in forward order, joined by ` | ` in `config.json`:\n\n"
            + "\n".join(f"{number}. `{plain(one)}`" for number, one in enumerate(design.designs, start=1))
        )
    said = "\n".join(f"- {part}: {sentence}" for part, sentence in in_words(design).items())
    papers = (PUBLISHED[name].paper for name, preset in PRESETS.items() if preset.key == design.key)
    chosen = [] if settled is None else [f"What these weights chose, as a design: `{plain(settled)}`"]
    return "\n\n".join((said, *(f"Published as: {paper}" for paper in papers), *chosen))


def _measured(facts: ModelFacts) -> str:
    assert facts.measured and facts.data
    seen, n = facts.measured, int(facts.measured["images"])
    lines = [
        f"On `{plain(seen['split'])}` of `{plain(facts.data['name'])}`, {n:,} images, after epoch {seen['epoch']}:"
    ]
    rows = ["| | share | 95 % interval |", "|---|---|---|"]
    for name, key in (("top-1", "accuracy"), ("top-5", "top5")):
        if key in seen:
            low, high = wilson(round(seen[key] * n), n)
            rows.append(f"| {name} | {seen[key]:.2%} | {low:.2%} to {high:.2%} |")
    lines.append("\n".join(rows))
    corrupt = f" {seen['corrupt']} images of train and val together could not be read." if seen.get("corrupt") else ""
    lines.append(
        f"One training (seed {facts.seed}), computed in {plain(facts.precision)}; the interval (Wilson) is the luck of "
        f"these images, not of the seed.{corrupt} Content of the images: `{plain(facts.data['content_hash'])}`."
    )
    return "\n\n".join(lines)


def _training(facts: ModelFacts) -> str:
    assert facts.recipe is not None
    recipe, data = facts.recipe, facts.data or {}
    length = facts.unfinished or f"{plain(recipe.get('epochs'))} epochs"
    head = (
        f"Recipe `{plain(recipe.get('name'))}` ({plain(recipe.get('hash'))}), {length}, "
        f"seed {facts.seed}, on {data.get('train_images', '?')} images of `{plain(data.get('name'))}`."
    )
    return "\n\n".join((head, _table(recipe), "Trained with:", _table(facts.environment or {})))


def _table(cells: dict[str, Any]) -> str:
    return "\n".join(
        ("| | |", "|---|---|", *(f"| {plain(name)} | `{plain(value) or 'none'}` |" for name, value in cells.items()))
    )


def _files(exported: Exported) -> str:
    about = {
        "model.safetensors": "weights; nothing in it can be executed",
        "config.json": "timm's, with the design as text; under `attnas` all that is known of the training",
        "model.onnx": f"ONNX, opset {exported.opset}, input `images` float32 [batch, 3, {exported.facts.image_size}, "
        f"{exported.facts.image_size}], output `logits`; any batch",
        "model.pt2": f"for `torch.export.load` of torch {torch.__version__}; that later ones read it is not promised; "
        "any batch",
    }
    lines = [f"- `{name}` ({size / 1e6:,.1f} MB): {about[name]}" for name, size in exported.files.items()]
    checks = ["| loaded by | batch | largest difference of logits | largest logit |", "|---|---|---|---|"]
    checks += [f"| {one.name} | {one.batch} | {one.difference:.1e} | {one.largest:.3g} |" for one in exported.checks]
    made = {name: number for name, number in versions().items() if name in ("torch", "python", "numpy")}
    made |= {"timm": timm.__version__, "attnas commit": commit() or "unknown"}
    said = ", ".join(f"{name} {plain(number)}" for name, number in made.items())
    return "\n".join(
        (
            *lines,
            "- `SHA256SUMS`: of all of these (`sha256sum -c SHA256SUMS`)",
            "",
            "Checked when this was written, against the network it was made from, in float32 on the CPU with "
            f"{IMAGES}, batches of {' and '.join(map(str, BATCHES))}:",
            "",
            *checks,
            "",
            f"Written by {said}.",
        )
    )
