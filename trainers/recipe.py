"""How a proxy network is trained, as a frozen value with a hash. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, fields, replace
from typing import Any

from trainers.settings import Checked, RecipeError, find, read_settings

SCHEDULES = ("linear", "constant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Checked):
    """SGD with Nesterov momentum, linear warm-up, linear decay to zero, label smoothing; crops and mirrors.

    `learning_rate` is the peak for the given batch size. Under the schedule `linear` the decay begins where the warm-up
    ends, and `warmup` is a fraction of all steps. Under `constant` the peak is held between them (the trunk), so that
    trainings of every length begin alike: `warmup` is in epochs, since a trunk does not know its end, and the decay
    takes the last fraction `cooldown` of the epochs; `cooldown` means nothing to `linear`. No weight decay on norms and
    biases. `gate_start` and `scale` are those of `search_space.build`. The hash covers everything but the name and the
    epochs: how long was trained is a row's fidelity.
    """

    name: str
    epochs: int
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.2
    label_smoothing: float = 0.1
    crop_padding: int = 4
    mirror: bool = True
    gate_start: str = "identity"
    scale: str = "unit"
    schedule: str = "linear"
    cooldown: float = 0.25

    def __post_init__(self) -> None:
        self._require("epochs", isinstance(self.epochs, int) and self.epochs >= 1, "a whole number >= 1")
        self._require("batch_size", self.batch_size >= 2, "2 or more: batch norm needs two images")
        self._require("learning_rate", 0 < self.learning_rate < float("inf"), "above 0")
        self._require("momentum", 0 <= self.momentum < 1, "from 0 to below 1")
        self._require("weight_decay", 0 <= self.weight_decay < float("inf"), "0 or more")
        self._require("label_smoothing", 0 <= self.label_smoothing < 1, "from 0 to below 1")
        self._require("crop_padding", self.crop_padding >= 0, "0 or more pixels")
        self._require("schedule", self.schedule in SCHEDULES, ", ".join(SCHEDULES))
        self._require("cooldown", 0 < self.cooldown < 1, "a fraction above 0 and below 1")
        if self.schedule == "constant":
            longest = (1 - self.cooldown) * self.epochs
            allowed = f"0 to {longest:g} epochs: where {self.epochs} epochs end in a cooldown of {self.cooldown:g}"
            self._require("warmup", 0 <= self.warmup <= longest + 1e-9, allowed)  # 1 - 0.9 is below 0.1
        else:
            self._require("warmup", 0 <= self.warmup < 1, "a fraction from 0 to below 1")
        self._require("gate_start", self.gate_start in ("identity", "paper"), "identity, paper")
        self._require("scale", self.scale in ("unit", "paper"), "unit, paper")

    @property
    def hash(self) -> str:
        return content_hash(self, without=self._not_covered)

    @property
    def content(self) -> dict[str, Any]:
        """Everything that the hash stands for, the defaults too."""
        return content(self, without=self._not_covered)

    @property
    def _not_covered(self) -> tuple[str, ...]:
        return ("name", "epochs", *(() if self.schedule == "constant" else ("cooldown",)))

    def changed(self, **values: Any) -> Recipe:
        """The recipe with some values replaced (`epochs=5`, `gate_start="paper"`)."""
        unknown = values.keys() - {field.name for field in fields(self)}
        if unknown:
            raise RecipeError(f"recipe {self.name}: no field {', '.join(sorted(unknown))}.")
        return replace(self, **values)

    def held(self) -> Recipe:
        """The recipe under the schedule `constant`, which trainings of several lengths share; warm-up half an epoch.

        On 4,608 synthetic images a fifth of an epoch, the number that `linear` has as a fraction of all steps, was too
        short for a peak of 0.1: 18 to 55 % after three epochs where half an epoch gave 37 to 82 % (2 seeds).
        """
        return self if self.schedule == "constant" else self.changed(schedule="constant", warmup=0.5)

    def changed_text(self, settings: list[str], epochs: int | None = None) -> Recipe:
        """The recipe changed by `FIELD=VALUE` texts, as the command line gives them."""
        values = read_settings(self, settings)
        return self.changed(**values if epochs is None else values | {"epochs": epochs})

    def rate(self, step: int, steps_an_epoch: int) -> float:
        """Learning rate of step 0 .. epochs * steps_an_epoch - 1; one more step would be at zero."""
        steps = self.epochs * steps_an_epoch
        if self.schedule == "constant":
            rising = (step + 1) / (self.warmup * steps_an_epoch) if self.warmup else 1.0
            falling = (steps - step) / (steps - self.trunk_steps(steps_an_epoch) + 1)  # 1 or more in the trunk
            return self.learning_rate * min(rising, 1.0, falling)
        position = (step + 1) / (steps + 1)
        rising = position / self.warmup if self.warmup else 1.0
        return self.learning_rate * min(rising, (1 - position) / (1 - self.warmup))

    def epochs_trained(self, until: int, steps_an_epoch: int, *, since: int | None = None) -> float:
        """Epochs that a training to epoch `until` takes, on from the trunk that one to `since` left if there is one."""
        if since is None:
            return float(until)
        return until - self.changed(epochs=since).trunk_steps(steps_an_epoch) / steps_an_epoch

    def trunk_steps(self, steps_an_epoch: int) -> int:
        """How many steps, under the schedule `constant`, come before the decay: a longer training takes the same."""
        assert self.schedule == "constant"
        return round((1 - self.cooldown) * self.epochs * steps_an_epoch)


# seconds on `synthetic`: does it all work? No crops: they would move what those classes are told apart by
SMOKE = Recipe(name="smoke", epochs=3, learning_rate=0.2, crop_padding=0)
PROXY = Recipe(name="proxy", epochs=10)
FULL = Recipe(name="full", epochs=200, batch_size=128)  # the CIFAR training that papers compare
RECIPES = {recipe.name: recipe for recipe in (SMOKE, PROXY, FULL)}


# rows of before are not taken for these: since then a seed draws the network's weights before attention's
_DRAWN = {"drawn": "network first"}


def content_hash(recipe: Any, without: tuple[str, ...], **resolved: Any) -> str:
    """12 hex digits over the fields that differ from their defaults, so that a field added later changes no old hash.

    A default is therefore part of what every old row means: give a new value a new recipe instead.
    """
    changed = {f.name: value for f, value in _covered(recipe, without, resolved) if value != f.default}
    return _digest({"kind": type(recipe).__name__, **_DRAWN, **changed})


def _digest(hashed: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()[:12]


def hash_of_content(content: Mapping[str, Any]) -> str | None:
    """The hash of the `Recipe` with this content, as anybody may have stored it; None where it has fields of later."""
    defaults = {f.name: f.default for f in fields(Recipe)}
    if content.keys() - {*_DRAWN, *defaults}:
        return None
    changed = {name: value for name, value in content.items() if name in _DRAWN or value != defaults[name]}
    return _digest({"kind": Recipe.__name__, **changed})


def content(recipe: Any, without: tuple[str, ...], **resolved: Any) -> dict[str, Any]:
    """The fields that `content_hash` covers, those at their defaults too: recipes of one hash have one content."""
    return _DRAWN | {f.name: value for f, value in _covered(recipe, without, resolved)}


def _covered(recipe: Any, without: tuple[str, ...], resolved: dict[str, Any]) -> Iterator[tuple[Field[Any], Any]]:
    for field in fields(recipe):
        value = resolved.get(field.name, getattr(recipe, field.name))
        if field.name in without:
            continue
        if value == field.default:
            value = field.default  # 1 for True is the same recipe, and must read the same
        yield field, float(value) if isinstance(field.default, float) else value


def find_recipe(name: str) -> Recipe:
    """A recipe by name. Raises `RecipeError` naming those there are."""
    return find(name, RECIPES)
