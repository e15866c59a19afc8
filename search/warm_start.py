"""Which designs are trained before the sampler is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search_space import PRESETS, AttentionDesign, Layered, Space, UserError, find_design

WARM_STARTS = ("presets", "none")


def warm_start(
    source: str | Sequence[AttentionDesign | Layered], space: Space
) -> tuple[AttentionDesign | Layered, ...]:
    """`presets`: the published designs that lie in the space, in the order of the table; `none`; else a text file.

    The file holds a preset or a design text a line; what follows # is not read. Its designs may lie outside the space:
    they were asked for. Raises `UserError` naming file and line.
    """
    if not isinstance(source, str):
        return tuple(source)
    if source == "none":
        return ()
    if source == "presets":
        known = set(space.designs())
        return tuple(dict.fromkeys(design for design in PRESETS.values() if design in known))
    return _from_file(Path(source))


def _from_file(path: Path) -> tuple[AttentionDesign | Layered, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"warm start {str(path)!r} can't be read: {error}; give presets, none, or a file of a design a line."
        ) from None
    found = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            found.append(find_design(text))
        except UserError as error:
            raise UserError(f"{path}, line {number}: {error}") from None
    return tuple(dict.fromkeys(found))
