"""Commands that are imported when they are asked for: of thirty one is run."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group


class Home(NamedTuple):
    """Where a command is written: a module of `search`, a function of it (or the Typer of a group), and what stands
    under its help: a text, or the name that the module has for it."""

    module: str
    name: str
    epilog: str = ""


def lazily(homes: Mapping[str, Home]) -> type[TyperGroup]:
    """The class of a group of these commands."""

    class Group(TyperGroup):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given | {"commands": dict.fromkeys(homes)})

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name in homes and self.commands[cmd_name] is None:
                self.commands[cmd_name] = _made(cmd_name, homes[cmd_name])
            return super().get_command(ctx, cmd_name)

    return Group


def _made(name: str, home: Home) -> Any:
    module = import_module(f"search.{home.module}")
    found = getattr(module, home.name)
    if isinstance(found, typer.Typer):
        return get_group(found)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name, epilog=getattr(module, home.epilog, home.epilog))(found)
    return get_command(alone)
