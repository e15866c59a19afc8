"""What lies beside trained weights, so that nobody has to say again what they are: `model.json`. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from search_space.errors import UserError
from trainers.whole_files import whole

NAME, WEIGHTS = "model.json", "model.pt"
FORMAT = 1
_LARGEST = 64 * 2**20  # of a file that is read whole; 22,000 class names are 1 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A network, how images are put to it, and how it came by its weights.

    `design` and `backbone` build it (a backbone of the user's own with the digest of its source, `a.b:f#digest`), with
    `scale` and `gate_start`, which no state dict shows. Without a `recipe` the weights are untrained. `data` says what
    was trained on, `measured` what the training itself saw on the data's `val`, and `weights_sha256` which `model.pt`
    that was said of. `reached`, of a checkpoint, are its whole `epochs`, the `updates` since, and whether it was
    `chosen` as the best on `val`. Numbers of plain JSON in the dictionaries.
    """

    design: str
    key: str
    backbone: str
    image_size: int
    classes: tuple[str, ...]
    scale: str
    gate_start: str
    crop_pct: float
    interpolation: str
    reduced_decoding: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    seed: int
    identity: str = ""
    precision: str = ""
    recipe: dict[str, Any] | None = None
    data: dict[str, Any] | None = None
    measured: dict[str, Any] | None = None
    environment: dict[str, Any] | None = None
    weights_sha256: str | None = None
    reached: dict[str, Any] | None = None

    @property
    def trained(self) -> bool:
        return self.recipe is not None

    @property
    def unfinished(self) -> str:
        """How far the training had come, where that is not its end."""
        if self.reached is None or self.recipe is None or self.reached["epochs"] >= self.recipe["epochs"]:
            return ""
        updates = f" and {self.reached['updates']} updates" if self.reached["updates"] else ""
        return f"after epoch {self.reached['epochs']}{updates} of {self.recipe['epochs']}, unfinished"

    @property
    def state(self) -> str:
        """Of the weights, in a word."""
        return "untrained" if not self.trained else "unfinished" if self.unfinished else "trained"

    @property
    def reservations(self) -> list[str]:
        """What has to be said of the weights wherever they are spoken of."""
        if not self.trained:
            return [f"UNTRAINED: the weights are what seed {self.seed} draws, and their answers mean nothing"]
        told = [f"UNFINISHED: the weights are those {self.unfinished}"] if self.unfinished else []
        if self.reached is not None and self.reached["chosen"]:
            told.append(f"CHOSEN ON VAL: the best of {self.reached['epochs']} epochs there, which flatters it")
        return told

    @property
    def network(self) -> str:
        """The backbone as `trainers.backbone` takes it."""
        return self.backbone.partition("#")[0]

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"format": FORMAT, **asdict(self)}

    def with_last(self, curves: list[dict[str, float]]) -> ModelFacts:
        """With what the last epoch of a training measured."""
        if not curves or self.data is None:
            return self
        last = curves[-1]
        seen: dict[str, Any] = {"split": "val", "images": self.data["val_images"]}
        seen |= {name: last[name] for name in ("accuracy", "top5", "loss") if name in last}
        seen |= {name: int(last[name]) for name in ("epoch", "corrupt") if name in last}
        return replace(self, measured=seen)


def write(folder: Path, facts: ModelFacts, curves: list[dict[str, float]] | None = None) -> None:
    """Put `model.json` into the folder; with `curves` it is said of the `model.pt` that lies there. Without them one of
    the same training stays."""
    if curves is not None:
        facts = replace(facts.with_last(curves), weights_sha256=sha256_of(folder / WEIGHTS))
    elif _identity_in(folder / NAME) == facts.identity:
        return
    path = folder / NAME
    try:
        with whole(path) as part:
            part.write_text(json.dumps(facts.plain, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} can't be written: {error}. Make room or mend the permissions.") from error


def _identity_in(path: Path) -> str | None:
    try:
        return read(path).identity
    except UserError:
        return None


def read(path: Path) -> ModelFacts:
    """Raises `UserError` where there is no such file, or it is none of this format."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("too large")
        return checked(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(
            f"{path} is not there: nothing says what these weights are. `attnas retrain` writes it; of a training of "
            "before, the same command with --storage sqlite:///again.db writes it from its last.pt and trains nothing."
        ) from None
    except (OSError, ValueError, RecursionError) as error:  # of JSON and of UTF-8 too
        raise UserError(f"{path} can't be read as what `attnas retrain` writes: {error}.") from error


def checked(cells: Any) -> ModelFacts:
    """Of JSON that anybody may have written. Raises `ValueError`."""
    if not isinstance(cells, dict) or cells.get("format") != FORMAT:
        raise ValueError(f'no object with "format": {FORMAT}')
    known = {field.name: field for field in fields(ModelFacts)}
    cells = {name: value for name, value in cells.items() if name in known}
    for name, field in known.items():
        if name not in cells:
            if name == "reached":  # came later
                continue
            raise ValueError(f"{name} is missing")
        if not _KINDS[str(field.type)](cells[name]):
            raise ValueError(f"{name}: {str(cells[name])[:80]!r} is no {field.type}")
    if not cells["classes"] or cells["image_size"] < 1:
        raise ValueError("no classes, or images of no pixels")
    for name, needed in _INSIDE.items():
        for inside, kind in needed.items() if cells.get(name) is not None else ():
            if not _KINDS[kind](cells[name].get(inside)):
                raise ValueError(f"{name}: no {inside}, or one that is no {kind}")
    if cells["measured"] is not None and (cells["data"] is None or cells["recipe"] is None):
        raise ValueError("measured, and not by which training")
    for name in ("classes", "mean", "std"):
        cells[name] = tuple(cells[name])
    return ModelFacts(**cells)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_KINDS = {
    "str": lambda value: isinstance(value, str),
    "str | None": lambda value: value is None or isinstance(value, str),
    "int": lambda value: type(value) is int,
    "float": _number,
    "count": lambda value: type(value) is int and value > 0,
    "share": lambda value: _number(value) and 0 <= value <= 1,
    "share | None": lambda value: value is None or (_number(value) and 0 <= value <= 1),
    "bool": lambda value: isinstance(value, bool),
    "tuple[str, ...]": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "tuple[float, ...]": lambda value: isinstance(value, list) and len(value) == 3 and all(map(_number, value)),
    "dict[str, Any] | None": lambda value: value is None or isinstance(value, dict),
}


_INSIDE = {
    "data": {"name": "str", "content_hash": "str", "train_images": "count", "val_images": "count"},
    "measured": {"split": "str", "images": "count", "epoch": "count", "accuracy": "share", "top5": "share | None"},
    "recipe": {"name": "str", "hash": "str", "epochs": "count"},
    "reached": {"epochs": "int", "updates": "int", "chosen": "bool"},
}


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
