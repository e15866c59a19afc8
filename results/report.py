"""One page that shows what was searched and found: a file of its own, that asks no network for anything.

Every text from a storage is untrusted: the template escapes all of it, the pictures are our own SVG, the table is JSON
in which no tag can end, and the page's policy lets one script run, ours, and no address be asked.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from results.checklist import checklist
from results.contexts import contexts
from results.counted import counted
from results.effects import Explained
from results.effort import outcomes
from results.figure_style import DARK, NAMES
from results.files import check_folder, write_whole
from results.report_bases import SitesOf
from results.report_facts import Table, cost, date, failures, fidelities, searched, surroundings
from results.report_parts import Part, part
from results.row import CONTEXT
from results.studies import Study
from results.suggest import command
from search_space.errors import UserError

GENERATOR = "attnas results report"
MOST_PARTS = 8
"""A part is some 0.3 MB and seconds of work: of more contexts those with most designs have one."""
_SECTIONS = ("confirmation", "effects", "noise", "fidelity")


@dataclass(frozen=True, slots=True)
class Note:
    """Sentences and a table that others computed, for a section of the part whose context it is (None: of every part).

    `section` is one of confirmation, effects, noise, fidelity. `context` holds the values of `results.row.CONTEXT`.
    """

    section: str
    heading: str
    sentences: Sequence[str] = ()
    table: Table | None = None
    context: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        assert self.section in _SECTIONS, f"section {self.section!r} is none of {_SECTIONS}"


def report(
    frame: pd.DataFrame,
    studies: Sequence[Study] = (),
    *,
    title: str | None = None,
    source: str = "",
    explained: Sequence[Explained] = (),
    importances: Mapping[str, float] | None = None,
    notes: Sequence[Note] = (),
    confirmed: Sequence[str] = (),
    recipes: Sequence[str] = (),
    sites: SitesOf | None = None,
    on_step: Callable[[str], None] | None = None,
) -> str:
    """The page over `Store.frame` (or several, joined) as HTML.

    A part for each context with complete rows, the one with most designs first, at most `MOST_PARTS`. The title names
    data and backbone unless given; `source` says where the rows come from. `explained` are models of `results.effects`,
    `importances` Optuna's, of the first part; `notes` what else is to be said; `confirmed` and `recipes` see
    `results.checklist`; `sites` tells where a design sits.

    Raises:
        UserError: there is no row.
    """
    rows = frame.drop_duplicates("identity")
    if rows.empty:
        raise UserError("no row: there is nothing to report; `attnas search` makes some.")
    say = on_step or (lambda _: None)
    parts, of_part, complete = [], [], _complete(rows)
    for number, here in enumerate(complete[:MOST_PARTS], 1):
        say(f"part {number}")
        shares = importances if number == 1 else None
        parts.append(part(here, rows, f"p{number}", explained=explained, importances=shares, sites=sites))
        of_part.append(_notes(notes, here))
    say("page")
    good = [] if not complete else checklist(complete[0], rows, studies, confirmed=confirmed, recipes=recipes)
    return _render(
        title=title or _title(rows),
        source=source,
        made=date(time.time()),
        totals=_totals(rows, parts),
        searched=searched(studies, rows),
        fidelities=fidelities(rows),
        surroundings=surroundings(rows),
        parts=list(zip(parts, of_part, strict=True)),
        without_part=len(complete) - len(parts),
        failures=failures(rows),
        cost=cost(rows),
        checklist=good,
        every_design=command("results top -n 1000 --csv"),
    )


def write_report(path: Path, page: str, *, force: bool = False) -> None:
    """Write the page; the file is whole, or as it was. Raises `UserError` where it would replace what is no report."""
    check_report(path, force=force)
    write_whole(path, page.encode("utf-8", "backslashreplace"))


def check_report(path: Path, *, force: bool = False) -> None:
    """Raises `UserError` for a file that `write_report` would refuse, before the work is done."""
    check_folder(path)
    if path.exists() and not path.is_file():
        raise UserError(f"report {str(path)!r} is a folder or no regular file; name a file: -o report.html")
    if not path.exists() or force:
        return
    with path.open("rb") as file:
        if f'<meta name="generator" content="{GENERATOR}">'.encode() not in file.read(4096):
            raise UserError(
                f"{str(path)!r} is there already and is no report of attnas; name another file, or say --force."
            )


def _complete(rows: pd.DataFrame) -> list[pd.DataFrame]:
    return [here for here in contexts(rows) if (here["status"] == "complete").any()]


def _title(rows: pd.DataFrame) -> str:
    first = contexts(rows)[0].iloc[0]
    return f"Channel attention on {first['data'].removeprefix('folder:')}, searched in {first['backbone']}"


def _notes(notes: Sequence[Note], rows: pd.DataFrame) -> dict[str, list[Note]]:
    context = tuple(rows[list(CONTEXT)].iloc[0])
    mine = [note for note in notes if note.context is None or tuple(note.context) == context]
    return {section: [note for note in mine if note.section == section] for section in _SECTIONS}


def _totals(rows: pd.DataFrame, parts: Sequence[Part]) -> str:
    held = f"{counted(rows['key'].nunique(), 'design')} in {outcomes(rows)}."
    if not parts:
        return f"{held} None is complete: there is no ranking yet."
    return held if len(parts) == 1 else f"{held} They stand in {len(parts)} parts that can't be compared."


def _render(**values: Any) -> str:
    from jinja2 import DictLoader, Environment, StrictUndefined
    from markupsafe import Markup

    folder = files("results") / "report_page"
    page, look, script = ((folder / name).read_text("utf-8") for name in ("page.html", "page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=DictLoader({"page": page}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page").render(
        generator=GENERATOR,
        look=Markup(look),
        script=Markup(script),
        digest=digest,
        svg=Markup,
        light=Markup("".join(f"--fig-{role}:{colour};" for colour, role in NAMES.items())),
        dark=Markup("".join(f"--fig-{NAMES[colour]}:{dark};" for colour, dark in DARK.items())),
        **values,
    )
