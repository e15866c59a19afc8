"""What people read of an export: README.md, and CITATION.cff (citation-file-format.github.io, version 1.2.0)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from results import exchange
from results.counted import counted
from results.exchange_tally import Tally

PLACEHOLDER = "name the authors"
_FILES = {
    exchange.ROWS: "one evaluation a line (JSON, by identity): design, context, result, learning curve, cost, machine",
    exchange.DESIGNS: "each design on each network: key, axes, multiply-accumulates (MACs), parameters, evaluations",
    exchange.STUDIES: "the searches that asked for rows; a row names its own by id in `study`",
    exchange.RECIPES: "how was trained: every value behind a row's `recipe_hash`, the defaults of the day too",
    exchange.LATENCIES: "seconds of a network on some hardware",
    exchange.ENVIRONMENT: "hardware, library versions, commits and precisions, each with its number of rows",
    exchange.MANIFEST: "the format's version and what was asked for",
    exchange.CITATION: "how to cite this",
    exchange.SUMS: "SHA-256 of every other file",
}


@dataclass(frozen=True)
class About:
    """What its makers say of an export, and the content hash that is its version."""

    title: str
    authors: tuple[str, ...]
    note: str | None
    content: str


def readme(tally: Tally, about: About, *, where: str | None, unknown_recipes: Sequence[str]) -> str:
    statuses = ", ".join(f"{number:,} {status}" for status, number in sorted(tally.statuses.items()))
    designs = counted(len(tally.design_texts), "design")
    counts = f"{counted(tally.rows, 'evaluation')} ({statuses or 'none'}) of {designs}"
    parts = [
        f"# {_line(about.title)}",
        *([_line(about.note)] if about.note else []),
        f"{counts}; {tally.seconds / 3600:,.2f} hours of training; the newest of {tally.date or 'no day'}. "
        "Measured by attnas (neural architecture search over channel-attention designs).",
        *([f"Only rows for which this holds: `{_line(where)}`."] if where else []),
        f"Content hash (of rows, studies, recipes and latencies):\n\n    {about.content}",
        "## What may be compared\n\n"
        "Accuracy is a fraction of `split`. Rows may be ranked together only within one line of this table, and means "
        "over seeds need their number and spread beside them.\n\n" + _contexts(tally),
        "## Files\n\n" + "\n".join(f"- `{name}`: {told}" for name, told in _FILES.items()),
        "## Check and load\n\n"
        "    sha256sum -c SHA256SUMS\n"
        "    attnas results import . --storage sqlite:///attnas.db   # merges; again, it doubles nothing\n\n"
        "or without attnas: `pandas.read_json('rows.jsonl', lines=True, dtype=False)` (a commit of digits stays "
        "a text). Nothing here is code.",
        "## What is left out\n\n"
        "Evaluations that were still running; the owner of each evaluation (a host and a process); the folders in "
        "the paths of error texts. Names of data, hardware and recipes are as they were. The images are not here: "
        "`data_hash` tells whether yours are the same.",
        *([_unknown(unknown_recipes)] if unknown_recipes else []),
        "## Cite\n\n"
        f"{_line('; '.join(about.authors) or PLACEHOLDER)}: {_line(about.title)} (data set), "
        f"{(tally.date or 'n.d.')[:4]}, version {about.content[:12]}. See `{exchange.CITATION}`.",
    ]
    return "\n\n".join(parts) + "\n"


def citation(tally: Tally, about: About) -> str:
    """YAML, of which JSON's quoted strings are a part."""
    lines = [
        "cff-version: 1.2.0",
        "type: dataset",
        'message: "If you use these results, please cite them as below."',
        f"title: {_quoted(about.title)}",
        "authors:",
        *(line for author in about.authors or [PLACEHOLDER] for line in _author(author)),
        f"version: {_quoted(about.content)}",
        *([f"date-released: {_quoted(tally.date)}"] if tally.date else []),
        *([f"abstract: {_quoted(about.note)}"] if about.note else []),
    ]
    return "\n".join(lines) + "\n"


def _author(text: str) -> list[str]:
    family, comma, given = (part.strip() for part in text.partition(","))
    if comma and family and given:
        return [f"  - family-names: {_quoted(family)}", f"    given-names: {_quoted(given)}"]
    return [f"  - name: {_quoted(text)}"]


def _contexts(tally: Tally) -> str:
    heads = ("data", "data_hash", "split", "network", "recipe (hash)", "epochs of schedule", "evaluations")
    lines = [heads, ("---",) * len(heads)]
    for values, number in sorted(tally.contexts.items(), key=lambda item: exchange.canonical(item[0])):
        of: dict[str, Any] = dict(zip(tally.CONTEXT, values, strict=True))
        network = f"{of['backbone']} at {of['image_size']} px, {of['num_classes']} classes"
        recipe = f"{of['recipe']} ({of['recipe_hash']})"
        epochs = f"{of['epochs']} of {of['schedule_epochs']}"
        lines.append((of["data"], of["data_hash"], of["split"], network, recipe, epochs, f"{number:,}"))
    return "\n".join("| " + " | ".join(_line(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _unknown(hashes: Sequence[str]) -> str:
    return (
        "## Not known\n\n"
        f"What the recipe hashes {', '.join(map(_line, hashes))} stand for: their rows were written before attnas kept "
        "recipes."
    )


def _line(text: str) -> str:
    return exchange.readable(text)


def _quoted(text: str) -> str:
    return json.dumps(exchange.readable(text), ensure_ascii=False)
