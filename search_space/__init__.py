"""What a design is. Values, presets and the space import no torch; `build` does, when it is first asked for."""

from typing import TYPE_CHECKING, Any

from search_space.design import NONE, AttentionDesign, DesignError
from search_space.errors import UserError
from search_space.presets import PRESETS, find_design
from search_space.sites import Site
from search_space.space import Space, SpaceError

if TYPE_CHECKING:
    from search_space.module import build

__all__ = [
    "NONE",
    "PRESETS",
    "AttentionDesign",
    "DesignError",
    "Site",
    "Space",
    "SpaceError",
    "UserError",
    "build",
    "find_design",
]


def __getattr__(name: str) -> Any:
    if name == "build":
        from search_space.module import build

        return build
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
