"""What a design is. Values, presets and the space import no torch; `build` does, when it is first asked for."""

from typing import TYPE_CHECKING, Any

from search_space.design import NONE, AttentionDesign
from search_space.errors import DesignError, UserError
from search_space.layered import Layered
from search_space.presets import PRESETS, PUBLISHED, Preset, find_design
from search_space.sites import Site
from search_space.space import Space, SpaceError

if TYPE_CHECKING:
    from search_space.attachment import attach
    from search_space.module import build, settle

__all__ = [
    "NONE",
    "PRESETS",
    "PUBLISHED",
    "AttentionDesign",
    "DesignError",
    "Layered",
    "Preset",
    "Site",
    "Space",
    "SpaceError",
    "UserError",
    "attach",
    "build",
    "find_design",
    "settle",
]


def __getattr__(name: str) -> Any:
    if name in ("build", "settle"):
        from search_space import module

        return getattr(module, name)
    if name == "attach":
        from search_space.attachment import attach

        return attach
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
