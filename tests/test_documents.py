"""README and CONTRIBUTING name files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_file_that_a_document_names_exists(document: str) -> None:
    """Oracle: the file system. A bare `name.py` may stand in any room."""
    named = set(re.findall(r"[\w./-]+\.(?:py|md|toml)\b", (ROOT / document).read_text(encoding="utf-8")))
    named -= {"space.toml"}
    tracked = {str(path.relative_to(ROOT)) for room in ROOT.iterdir() for path in room.rglob("*.*") if room.is_dir()}
    tracked |= {path.name for path in ROOT.iterdir()}
    missing = {name for name in named if not any(path == name or path.endswith("/" + name) for path in tracked)}
    assert named and not missing
