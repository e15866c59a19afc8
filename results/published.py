"""Under which name a design was published: `fca-ts` for `dct-top16/mlp-r16`. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from search_space import PRESETS

if TYPE_CHECKING:
    import pandas as pd


def published(designs: pd.DataFrame) -> dict[str, str]:
    """{network: name} of the published designs among these, by their keys; one network of two names has both."""
    names = _names_of_keys()
    pairs = zip(designs["network_key"], designs["key"], strict=True)
    return {network: names[key] for network, key in pairs if key in names}


def presets(designs: Iterable[str], keys: Iterable[str]) -> list[str | None]:
    """The name of each, by its key; None where it has none, or is written so anyway (`none`, `simam`)."""
    names = _names_of_keys()
    return [None if names.get(key) == design else names.get(key) for design, key in zip(designs, keys, strict=True)]


def with_name(design: str, key: str | None = None) -> str:
    """`dct-top16/mlp-r16 (fca-ts)`: a design as it is written, and its name. Without its key only the spelling of the
    space is known."""
    [name] = presets([design], [design if key is None else key])
    return design if name is None else f"{design} ({name})"


@cache
def _names_of_keys() -> dict[str, str]:
    """By the texts of the presets too, which need not be keys (`fca-lf`)."""
    found: dict[str, list[str]] = {}
    for name, design in PRESETS.items():
        for text in dict.fromkeys((design.key, str(design))):
            found.setdefault(text, []).append(name)
    return {text: " = ".join(names) for text, names in found.items()}
