"""`attnas results export` and `attnas results import`: results leave a storage, and come into one."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from results.counted import counted
from search.options import JSON
from search.storage import STORAGE, STORAGE_DEFAULT, check_storage, open_storage, without_password

if TYPE_CHECKING:
    from results.exchange_merge import Merged
    from results.exchange_read import Source
    from results.exchange_write import Exported

EXPORT_EPILOG = 'Example: attnas results export se-on-cifar100 --where "data == \'cifar100\'" --author "Roe, Ann"'
IMPORT_EPILOG = "Example: attnas results import their-results sqlite:///laptop.db --storage sqlite:///all.db"
_SHOWN = 10  # differing rows; --json has all


def export_results(
    directory: Annotated[Path, typer.Argument(help="A new directory.")],
    storage: STORAGE = STORAGE_DEFAULT,
    where: Annotated[
        str | None, typer.Option(help="Only rows for which this holds, as \"data == 'cifar100'\".")
    ] = None,
    title: Annotated[str | None, typer.Option(help="What to call it when it is cited.")] = None,
    author: Annotated[
        list[str] | None, typer.Option(help='Whom to cite: "Family, Given", or the name of a group; repeatable.')
    ] = None,
    note: Annotated[str | None, typer.Option(help="What a reader should know, in a sentence or two.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an export that is there.")] = False,
    as_json: JSON = False,
) -> None:
    """Write results to a directory that another group can load, check and cite: plain text, with checksums.

    Rows, designs, studies, recipes, latencies, environment. Left out: running rows, their owners (host names), and the
    folders in error texts.
    """
    from results.exchange_write import export

    with open_storage(storage, read_only=True) as store, _progress("rows") as advance:
        done = export(
            store,
            directory,
            where=where,
            title=title,
            authors=author or (),
            note=note,
            force=force,
            on_row=advance,
        )
    if as_json:
        print(json.dumps(asdict(done) | {"directory": str(directory)}))
        return
    _say_exported(done, directory, authors=author or ())


def import_results(
    sources: Annotated[list[str], typer.Argument(help="Directories of `results export`, or the URLs of storages.")],
    storage: STORAGE = STORAGE_DEFAULT,
    as_json: JSON = False,
) -> None:
    """Load exports, or merge other storages: nothing is doubled, and what was measured here stays.

    Every source is checked whole (checksums, types, ranges, identities) before a row of any is written; nothing in it
    is run. Interrupted, the same command goes on.
    """
    from results.exchange_merge import check, merge

    check_storage(storage)
    with ExitStack() as stack:
        found = [_source(source, stack) for source in sources]
        totals = []
        for source in found:
            with _progress(f"checking {source.name}") as advance:
                _check_recipes(source)
                totals.append(check(source, lambda done, say=advance: say(done, None)))  # type: ignore[misc]
        store = stack.enter_context(open_storage(storage))
        merged = []
        for source, total in zip(found, totals, strict=True):
            with _progress(source.name) as advance:
                merged.append(merge(source, store, lambda done, n=total, say=advance: say(done, n)))  # type: ignore[misc]
    if as_json:
        print(json.dumps([_facts(source, one) for source, one in zip(found, merged, strict=True)], indent=1))
        return
    for source, one in zip(found, merged, strict=True):
        _say_merged(source, one)


def _source(text: str, stack: ExitStack) -> Source:
    from results.exchange_read import Directory, Storage

    if "://" not in text:
        return Directory(Path(text))
    return Storage(stack.enter_context(open_storage(text, read_only=True)), without_password(text))


def _check_recipes(source: Source) -> None:
    """Raises `ExchangeError` for a recipe that does not have its hash: under it our own could never be kept."""
    from results.exchange import ExchangeError

    named = [recipe for recipe in source.recipes() if recipe.kind == "Recipe"]
    if not named:
        return
    from trainers.recipe import hash_of_content

    for recipe in named:
        found = hash_of_content(recipe.content)
        if found != recipe.hash:
            why = "has fields that this attnas does not know: upgrade" if found is None else f"has the hash {found}"
            raise ExchangeError(
                f"{source.name}: recipe {recipe.name} is stored as {recipe.hash}, and {why}; get it again, or leave it "
                "out. Nothing was imported"
            )


def _facts(source: Source, merged: Merged) -> dict[str, Any]:
    return asdict(merged) | {"content_hash": getattr(source, "content_hash", None)}


def _say_exported(done: Exported, directory: Path, authors: Sequence[str]) -> None:
    from search.wording import size

    print(f"{directory}: {counted(done.rows, 'row')} of {counted(done.designs, 'design')}, {size(done.bytes)}")
    print(f"content {done.content_hash}")
    if done.running_left_out:
        print(f"left out: {counted(done.running_left_out, 'running row')}")
    if done.unknown_recipes:
        print(f"recipes not kept (their rows are older): {', '.join(done.unknown_recipes)}")
    if not authors:
        print('CITATION.cff names no author; write it again with --author "Family, Given" --force')
    print(f"Next: attnas results import {shlex.quote(str(directory))} --storage URL", file=sys.stderr)


def _say_merged(source: Source, merged: Merged) -> None:
    ended = f", {merged.ended:,} that were running or had failed" if merged.ended else ""
    differing = f" ({len(merged.differing):,} differ, ours kept)" if merged.differing else ""
    print(
        f"{merged.name}: {counted(merged.rows, 'row')}: {merged.new:,} new{ended}, {merged.there:,} already "
        f"there{differing}; new studies {merged.studies}, recipes {merged.recipes}, latencies {merged.latencies}"
    )
    content = getattr(source, "content_hash", None)
    if content:
        print(f"  content {content}")
    for old, new in merged.renamed.items():
        print(f"  study {old!r} is called {new!r} here: the name was taken")
    for one in merged.differing[:_SHOWN]:
        print(f"  differs: {one.design}, seed {one.seed}: ours {_result(one.ours)}, theirs {_result(one.theirs)}")
    if len(merged.differing) > _SHOWN:
        print(f"  and {len(merged.differing) - _SHOWN:,} more (--json lists all)")
    ignored = getattr(source, "ignored", [])
    if ignored:
        print(f"  not read, no part of the export: {', '.join(map(ascii, ignored))}")


def _result(result: tuple[Any, ...]) -> str:
    status, accuracy, _ = result
    return str(status) if accuracy is None else f"{status} {accuracy:.2%}"


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on a terminal; what is yielded is told how many rows are done, of how many."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(escape(what), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
