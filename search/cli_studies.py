"""`attnas study`: the studies of a storage; `attnas dashboard`: what Optuna's dashboard opens."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from results.counted import counted
from results.exchange import readable
from results.suggest import command
from search.options import JSON
from search.storage import STORAGE, STORAGE_DEFAULT, open_storage, without_password
from search.wording import moment
from search_space.errors import UserError

if TYPE_CHECKING:
    from results.row import Row
    from results.store import Store
    from results.studies import Study

app = typer.Typer(
    help="The studies of a storage: list, show, rename, delete.", no_args_is_help=True, rich_markup_mode=None
)
_PLANS = {"confirm": "confirmation", "final": "test", "ablate": "ablation"}
NAME = Annotated[str, typer.Argument(help="A study, as `attnas study list` names it.")]


@app.command("list", epilog="Example: attnas study list --storage sqlite:///attnas.db --json")
def list_studies(storage: STORAGE = STORAGE_DEFAULT, as_json: JSON = False) -> None:
    """Every study, oldest first: what it is about, how many trials it has, when it was begun."""
    with open_storage(storage, read_only=True) as store:
        found = [_facts(study, store) for study in store.studies.list()]
    if as_json:
        print(json.dumps(found))
        return
    if not found:
        print(f"no study in {without_password(storage)}; `attnas search` begins one")
        return
    for facts in found:  # no table: a name may have 80 characters, and what it is about as many
        for line in (facts["study"], f"  {facts['about']}", f"  {_how_far(facts)}, begun {facts['created']}"):
            print(readable(line))


@app.command(epilog="Example: attnas study show cifar100-resnet20-proxy-10")
def show(name: NAME, storage: STORAGE = STORAGE_DEFAULT, as_json: JSON = False) -> None:
    """One study: what it asks for, how far it is, what is best."""
    from search.tables import table

    with open_storage(storage, read_only=True) as store:
        study = store.studies.get(name)
        facts = _facts(study, store) | {"id": study.id, "config": study.config}
    if as_json:
        print(json.dumps(facts))
        return
    print(readable(f"{facts['study']}  {facts['about']}  begun {facts['created']}"))
    print(_how_far(facts))
    for key, value in study.config.items():
        if key != "space":
            print(readable(f"  {key:16} {value if isinstance(value, str) else json.dumps(value)}"))
    space = study.config.get("space")
    for axis, values in space.items() if isinstance(space, dict) else ():
        shown = values if isinstance(values, list) else [values]
        print(readable(f"  {axis:16} {', '.join(str(value).lower() for value in shown)}"))
    if facts.get("best"):
        print("best, by rows of the most epochs:")
        table(facts["best"], ["design", "epochs", "seed", "accuracy", "loss", "macs", "params"])


@app.command(epilog="Example: attnas study rename cifar100-resnet20-proxy-10 first-try")
def rename(
    name: NAME,
    new: Annotated[str, typer.Argument(help="What to call it from now on.")],
    storage: STORAGE = STORAGE_DEFAULT,
    as_json: JSON = False,
) -> None:
    """Call a study something else."""
    with _existing(storage) as store:
        store.studies.rename(name, new)
    print(json.dumps({"study": new, "was": name}) if as_json else f"study {name} is now called {new}")


@app.command(epilog="Example: attnas study delete first-try --rows --yes")
def delete(
    name: NAME,
    rows: Annotated[bool, typer.Option("--rows", help="Delete the rows that were trained for it, too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    storage: STORAGE = STORAGE_DEFAULT,
    as_json: JSON = False,
) -> None:
    """Forget a study; its rows stay in the storage, and are used by others, unless --rows is given."""
    with _existing(storage) as store:
        study = store.studies.get(name)
        number = sum(row.study == study.id for row in store.rows(study=study.id))
        kept = f" and the {counted(number, 'row')} trained for it" if rows else ", and keep its rows"
        what = f"study {name}{kept}"
        if not yes and not _confirmed(f"Delete {what}?"):
            raise typer.Exit(1)
        gone = store.studies.delete(name, rows=rows)
    said = f"deleted study {name}, {counted(gone, 'row')} with it"
    print(json.dumps({"study": name, "rows": gone}) if as_json else said)


def dashboard(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, as dashboard.db.")],
    study: Annotated[list[str] | None, typer.Option(help="Only this one; repeatable. All unless given.")] = None,
    storage: STORAGE = STORAGE_DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
    as_json: JSON = False,
) -> None:
    """Write the studies into a file that optuna-dashboard opens: a picture of this moment, the rows stay the truth."""
    from rich.console import Console
    from rich.progress import Progress

    from search.dashboard import write_dashboard

    console = Console(stderr=True)
    bar = Progress(console=console, disable=not console.is_terminal, transient=True)
    with open_storage(storage, read_only=True) as store, bar:
        chosen = [store.studies.get(name) for name in dict.fromkeys(study)] if study else _searches(store)
        task = bar.add_task("trials", total=None)
        written = write_dashboard(
            store,
            chosen,
            output,
            overwrite=force,
            on_trial=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        print(json.dumps({"file": str(output), "trials": written}))
        return
    for name, number in written.items():
        print(f"{name}: {counted(number, 'trial')}")
    print(f"Next: optuna-dashboard sqlite:///{output}", file=sys.stderr)


def _searches(store: Store) -> list[Study]:
    from results.confirmed import is_search

    return [study for study in store.studies.list() if is_search(study)]


def _existing(storage: str) -> Store:
    """To write in, but never made by a command that asks for what is there."""
    open_storage(storage, read_only=True).close()
    return open_storage(storage)


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise UserError(f"{question} There is no terminal to ask on; say so with --yes.")
    return typer.confirm(question, err=True)


def _facts(study: Study, store: Store) -> dict[str, Any]:
    from results.confirmed import is_search

    try:
        return _search_facts(study, store) if is_search(study) else _confirm_facts(study, store)
    except (LookupError, TypeError, ValueError, AttributeError, UserError) as error:  # or of a later attnas
        delete = command("study delete", study.name)
        said = f"cannot be read ({type(error).__name__}: {error}); `{delete}` forgets it"
        return _no_facts(study) | {"about": said}


def _no_facts(study: Study) -> dict[str, Any]:
    kind = str(study.config.get("kind", "search"))
    facts = {"study": study.name, "kind": kind, "about": "", "created": moment(study.created)}
    return facts | {"trials": 0, "of": "trials", **_statuses([]), "best": []}


def _confirm_facts(study: Study, store: Store) -> dict[str, Any]:
    """Of a confirmation, its evaluation on the test split, or an ablation: a trial is a training that it named."""
    from results.reported import rows_of

    config, rows = study.config, list(rows_of(study, store).values())
    return {
        "study": study.name,
        "kind": config["kind"],
        "about": f"{_PLANS[config['kind']]} of {counted(len(config['designs']), 'design')}, {config['data']} at "
        f"{config['image_size']} px, {config['backbone']}, {config['recipe']}, {counted(config['epochs'], 'epoch')}, "
        f"{config['split']} split",
        "created": moment(study.created),
        "trials": len(rows),
        "of": "trainings",
        **_statuses(rows),
        "best": [],
    }


def _search_facts(study: Study, store: Store) -> dict[str, Any]:
    from search.study_rows import StoredStudy, by_trial

    whole = StoredStudy(study)
    rows = whole.rows(store)
    measured = [row for row in rows if row.accuracy is not None and row.loss is not None]
    most = max((row.epochs for row in measured), default=0)
    objectives = whole.objectives
    quality = objectives.names.index(objectives.quality)
    best = sorted((row for row in measured if row.epochs == most), key=lambda row: objectives.values(row)[quality])
    config = study.config
    columns = ("design", "epochs", "seed", "accuracy", "loss", "macs", "params")
    return {
        "study": study.name,
        "kind": "search",
        "about": f"{config['data']} at {config['image_size']} px, {config['backbone']}, {config['recipe']}, "
        f"{'-'.join(map(str, whole.rungs))} epochs, {config['objectives']}",
        "created": moment(study.created),
        "trials": len(by_trial(rows)),
        "of": "trials",
        **_statuses(rows),
        "best": [{name: getattr(row, name) for name in columns} for row in best[:5]],
    }


def _statuses(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    return {
        "statuses": dict(Counter(row.status for row in rows)),
        "failures": dict(Counter(row.failure for row in rows if row.failure is not None)),
    }


def _how_far(facts: dict[str, Any]) -> str:
    """`40 trials in 57 rows (17 complete, 40 stopped)`: under halving a trial has a row at each rung it reached."""
    rows = sum(facts["statuses"].values())
    each = ", ".join(f"{number} {status}" for status, number in sorted(facts["statuses"].items()))
    trials = counted(facts["trials"], facts["of"].removesuffix("s"))
    within = f" in {counted(rows, 'row')}" if facts["of"] == "trials" else ""  # else a row is a training
    return f"{trials}{within}{f' ({each})' if each else ''}"
