"""What a value of an axis means: words of the text form, kernels, and what is typed. Imports no torch."""

from __future__ import annotations

import re
from typing import Any

from search_space.errors import DesignError, UserError
from search_space.text import excitation_fields, squeeze_fields
from search_space.vocabulary import EXCITATIONS

Choice = str | int | bool

_KINDS = {bool: "true, false", int: "a whole number of up to 9 digits", str: "a word"}


class SpaceError(UserError):
    """An axis or an axis value that the space does not have."""


def words(squeeze: str, excitation: str) -> dict[str, Any]:
    """Dataclass fields of two words of the text form; the operators dct and wavelet leave the rest to their axes."""
    left = {"squeeze": squeeze} if squeeze in ("dct", "wavelet") else squeeze_fields(squeeze)
    right = excitation_fields(excitation)
    if left is None:
        raise DesignError(f"squeeze: {squeeze!r} is not possible; write it as in a design's text, as avg+std.")
    if right is None or right["excitation"] not in EXCITATIONS:
        known = f"one of {', '.join(EXCITATIONS)} and its options, as mlp-bias"
        raise DesignError(f"excitation: {excitation!r} is not possible; allowed: {known}.")
    return left | right


def kernel(choice: str) -> int | None:
    if choice == "adaptive":
        return None
    if not re.fullmatch(r"k[1-9][0-9]{0,2}", choice):
        raise DesignError(f"kernel: {choice!r} is not possible; allowed: adaptive, or k and an odd number, as k3.")
    return int(choice[1:])


def typed(axis: str, value: Any, kind: type) -> Choice:
    if kind is bool and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if kind is int and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value, re.ASCII):
        return int(value)
    if isinstance(value, (str, bool, int)) and type(value) is kind:
        return value
    raise SpaceError(f"axis {axis}: {value!r} given; allowed: {_KINDS[kind]}.")
