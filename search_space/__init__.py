"""What a design is. Values, presets and the space import no torch; `build` does, when it is first asked for."""

from typing import TYPE_CHECKING

from search_space.design import NONE, AttentionDesign
from search_space.errors import DesignError, UserError
from search_space.layered import Layered
from search_space.lazy import lazily
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

__getattr__ = lazily(__name__, {"attach": "attachment", "build": "module", "settle": "module"})
