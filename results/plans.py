"""Plans of confirmations and ablations as anybody may have stored them: what is wrong with one, before it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from results.row import CONTEXT, LABELS

CONFIRM, FINAL, ABLATE = "confirm", "final", "ablate"

_NUMBERS = ("image_size", "num_classes", "epochs", "schedule_epochs")
_LISTS = {CONFIRM: ("seeds", "report_seeds"), FINAL: ("seeds",), ABLATE: ("seeds",)}


def problem(config: Mapping[str, Any]) -> str | None:
    """Why this config of a study is no plan of its kind; None where it is one, or a search's."""
    kind = config.get("kind")
    if "kind" not in config:
        return None
    if kind not in tuple(_LISTS):
        return f"kind is none of {', '.join(_LISTS)}"
    for name in dict.fromkeys((*LABELS, *CONTEXT)):
        if not _is(config.get(name), int if name in _NUMBERS else str):
            return f"{name} is missing, or of another type"
    networks, designs = config.get("networks"), config.get("designs")
    if not (_all(networks, str) and _all(designs, str) and len(networks) == len(designs) == len(set(networks))):
        return "networks and designs are not two lists of texts, one of each"
    for name in _LISTS[str(kind)]:
        if not _all(config.get(name), int):
            return f"{name} is no list of whole numbers"
    return _PROBLEMS[str(kind)](config)


def seeds_of(config: Mapping[str, Any]) -> list[int]:
    """Every seed that a study of any kind has planned."""
    found = [config.get(name) for name in ("seeds", "report_seeds")]
    return [seed for seeds in found if isinstance(seeds, list) for seed in seeds if _is(seed, int)]


def _problem_of_confirm(config: Mapping[str, Any]) -> str | None:
    references, alpha = config.get("references"), config.get("alpha")
    if not isinstance(references, dict) or not all(
        _is(n, str) and n in config["networks"] for n in references.values()
    ):
        return "references are not names of its networks"
    if not isinstance(alpha, float) or not 0 < alpha <= 0.5:
        return "alpha is not above 0 and up to 0.5"
    return None if isinstance(config.get("asked"), dict) else "asked is missing"


def _problem_of_final(config: Mapping[str, Any]) -> str | None:
    names = config.get("names")
    if not _all(names, str) or len(names) != len(config["networks"]):
        return "names is no list of texts, one a network"
    return None if isinstance(config.get("confirms"), str) else "confirms names no confirmation"


def _problem_of_ablate(config: Mapping[str, Any]) -> str | None:
    return None if config.get("base") in config["networks"] else "base is none of its networks"


_PROBLEMS = {CONFIRM: _problem_of_confirm, FINAL: _problem_of_final, ABLATE: _problem_of_ablate}


def _all(values: Any, kind: type) -> TypeGuard[list[Any]]:
    return isinstance(values, list) and len(values) > 0 and all(_is(value, kind) for value in values)


def _is(value: Any, kind: type) -> bool:
    return type(value) is kind and (not isinstance(value, int) or -(2**63) <= value < 2**63)
