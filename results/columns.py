"""What every column means, said once: the query grammar, `attnas results columns` and the formats read it here."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from results.row import COLUMNS
from search_space.errors import UserError


@dataclass(frozen=True, slots=True)
class Column:
    """Its kind: "text", "integer", "number" or "json"; its unit, if it has one; and what it says."""

    kind: str
    meaning: str
    unit: str = ""

    @property
    def is_number(self) -> bool:
        return self.kind in ("integer", "number")


ROWS = {
    "identity": Column("text", "names the evaluation: a hash of network, recipe, data, split, fidelity and seed"),
    "network_key": Column("text", "the design resolved on its backbone, image size and classes"),
    "recipe_hash": Column("text", "a hash of every setting of the training"),
    "data_hash": Column("text", "a hash of the images and labels"),
    "split": Column("text", "what accuracy and loss were measured on: validation or test"),
    "epochs": Column("integer", "how far it was trained", "epochs"),
    "schedule_epochs": Column("integer", "the length of the schedule; more than epochs if it was stopped", "epochs"),
    "seed": Column("integer", "of weights and order of images"),
    "key": Column("text", "the canonical text of the design: equal designs have equal keys"),
    "design": Column("text", "the text of the design as it was written"),
    "data": Column("text", "the name of the data"),
    "backbone": Column("text", "the network around the design"),
    "image_size": Column("integer", "side of the images", "pixels"),
    "num_classes": Column("integer", "classes of the data"),
    "recipe": Column("text", "the name of the recipe"),
    "status": Column("text", "running, complete, stopped (at a rung, measured) or failed"),
    "failure": Column("text", "why it failed: oom, nan, bug, infra or timeout"),
    "error": Column("text", "the traceback of a failure"),
    "accuracy": Column("number", "top-1", "fraction"),
    "loss": Column("number", "cross-entropy", "nats"),
    "settled": Column("text", "the design that a learned selection chose"),
    "curves": Column("json", "a record an epoch: losses and accuracy"),
    "macs": Column("integer", "multiply-accumulates of one image", "MACs"),
    "macs_convention": Column("text", "what was counted as a MAC"),
    "params": Column("integer", "parameters of the network"),
    "seconds": Column("number", "wall time of training and evaluation", "s"),
    "peak_memory_bytes": Column("integer", "most memory of the device at once", "bytes"),
    "precision": Column("text", "float32 or bfloat16"),
    "hardware": Column("text", "where it ran"),
    "versions": Column("json", "of Python, PyTorch, timm and others"),
    "commit": Column("text", "of attnas"),
    "owner": Column("text", "the process that trained it: host:pid:start"),
    "heartbeat": Column("number", "when its owner was last heard", "unix s"),
    "started": Column("number", "when it began", "unix s"),
    "finished": Column("number", "when it ended", "unix s"),
    "study": Column("text", "the id of the study that had it trained"),
    "attempts": Column("integer", "how many owners began it"),
    "latency_seconds": Column("number", "median forward pass of a batch of 16", "s"),
    "epochs_trained": Column("number", "by this evaluation alone, less what a checkpoint gave", "epochs"),
    "progress": Column("number", "epochs done when its owner was last heard", "epochs"),
}
"""The columns of an evaluation, `results.row.COLUMNS`."""
assert tuple(ROWS) == COLUMNS

AXES = {
    "squeeze": Column("text", "the squeeze operator: avg, dct, wavelet...; `layered` for a design a place"),
    "wavelet": Column("text", "the filter of a wavelet squeeze: haar, db2..."),
    "depth": Column("integer", "levels of a wavelet analysis"),
    "frequencies": Column("text", "which frequencies of a DCT: low16, top16, at00.01.60..."),
    "bands": Column("text", "which bands of a wavelet: all, details, coarse4..."),
    "selection": Column("text", "frequencies or bands, whichever the squeeze has"),
    "statistic": Column("text", "of the bands of a wavelet: mean or energy"),
    "each": Column("text", "whether each channel sees every entry of a basis, or its group's: True or False"),
    "excitation": Column("text", "the excitation: mlp, conv1d, affine..."),
    "reduction": Column("integer", "r of an mlp"),
    "kernel": Column("integer", "k of a conv1d; missing where it adapts to the width"),
    "placement": Column("text", "where in the block"),
}
"""The axes of a design, read from its text (`results.axes`); missing where the design has no such axis."""

_MEAN = "mean over seeds"
MEANS = {
    "preset": Column("text", "the name it was published under: se, fca-ts...; missing where that is its text"),
    "n": Column("integer", "distinct seeds"),
    "accuracy": Column("number", f"top-1, {_MEAN}", "fraction"),
    "accuracy_sd": Column("number", "standard deviation between its seeds", "fraction"),
    "accuracy_low": Column("number", "lower end of the 95 % confidence interval of the mean, at least 0", "fraction"),
    "accuracy_high": Column("number", "upper end, at most 1", "fraction"),
    "expected": Column("number", "what fresh seeds would give: the mean, drawn to that of all by its luck", "fraction"),
    "loss": Column("number", f"cross-entropy, {_MEAN}", "nats"),
    "latency": Column("number", f"latency_seconds, {_MEAN}", "s"),
    "memory": Column("number", f"peak_memory_bytes, {_MEAN}", "bytes"),
    "seconds": Column("number", f"of training, {_MEAN}", "s"),
    "precision": Column("text", "of its rows, joined by +"),
    "hardware": Column("text", "of its rows, joined by +"),
}
"""The columns of `top` and `pareto` that are no columns of a row, or mean something else there."""

GROUPS = {
    "rows": Column("integer", "evaluations"),
    "designs": Column("integer", "distinct networks"),
    "accuracy": Column("number", "mean over designs of each design's mean over seeds", "fraction"),
    "accuracy_sd": Column("number", "standard deviation between the designs' means", "fraction"),
    "accuracy_low": Column(
        "number", "lower end of its 95 % interval, at least 0: Student's t, a design being the unit", "fraction"
    ),
    "accuracy_high": Column("number", "upper end, at most 1", "fraction"),
}
"""The columns of `--group-by` that are not those of `MEANS`; loss, macs, params... are means over designs, too."""

HEAVY = ("curves", "versions", "error")
"""Columns that are long: read and printed only where they are asked for."""

_NO_GROUPS = {"accuracy", "loss", "macs", "params", "latency_seconds", "peak_memory_bytes", "seconds", *HEAVY}
_NO_GROUPS |= {"network_key", "key", "design", "identity", "status"}
GROUPABLE = tuple(name for name in (*AXES, *ROWS) if name not in _NO_GROUPS)
"""What rows may be grouped by: the axes of the design, and what a row says beside its measurements."""


def documented() -> list[dict[str, str]]:
    """Every column of every answer: where it stands, its kind and unit, what it means."""
    named = {"rows": ROWS, "axes": AXES, "top, pareto": MEANS, "group-by": GROUPS}
    return [
        {"of": of, "column": name, "kind": column.kind, "unit": column.unit, "meaning": column.meaning}
        for of, columns in named.items()
        for name, column in columns.items()
    ]


class ColumnError(UserError):
    """A name that is no column here: the nearest spelling, and what there is."""


def check_columns(given: Iterable[str], allowed: Collection[str]) -> list[str]:
    """The names, each once; raises `ColumnError` for one that is not allowed."""
    names = list(dict.fromkeys(given))
    for name in names:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ColumnError(f"there is no column {name!r} here; {hint}Columns: {', '.join(allowed)}")
    return names


def columns_to_group(by: str | Sequence[str]) -> list[str]:
    """The columns of rows among `by`: what lines have to be told apart by.

    Raises:
        ColumnError: `by` names what rows cannot be grouped by.
        UserError: `by` is empty.
    """
    names = check_columns([by] if isinstance(by, str) else by, GROUPABLE)
    if not names:
        raise UserError(f"group by nothing? Name one or more of {', '.join(GROUPABLE)}")
    return [name for name in names if name not in AXES]
