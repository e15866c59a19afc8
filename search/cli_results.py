"""`attnas results`: questions to a storage. Reads only."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli_explain import EFFECTS_EPILOG, effects
from search.cli_keep import EXPORT_EPILOG, IMPORT_EPILOG, export_results, import_results
from search.cli_show import plot, report
from search.cli_trust import FIDELITY_EPILOG, NOISE_EPILOG, fidelity, noise
from search.storage import STORAGE, STORAGE_DEFAULT, open_storage, without_password
from search_space.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from search_space import AttentionDesign, Layered

app = typer.Typer(
    help="Ask the storage: top, pareto, show, query, noise, fidelity.", no_args_is_help=True, rich_markup_mode=None
)
app.command("export", epilog=EXPORT_EPILOG)(export_results)
app.command("import", epilog=IMPORT_EPILOG)(import_results)

app.command(epilog="Example: attnas results report -o report.html")(report)
app.command(epilog="Example: attnas results plot front -o front.png --by params")(plot)
app.command(epilog=EFFECTS_EPILOG)(effects)

WHERE = Annotated[str | None, typer.Option(help="Only rows for which this holds, as \"backbone == 'resnet20'\".")]
JSON = Annotated[bool, typer.Option("--json", help="A JSON array of rows.")]
CSV = Annotated[bool, typer.Option("--csv", help="Comma-separated values.")]

_RANKED = ["design", "n", "accuracy", "accuracy_sd", "loss", "macs", "params", "seconds"]
_ROWS = ["design", "data", "split", "backbone", "recipe", "epochs", "seed", "status"]
_ROWS += ["accuracy", "loss", "macs", "params", "seconds"]


@app.command(epilog="Example: attnas results top -n 5 --by loss")
def top(
    number: Annotated[int, typer.Option("-n", help="How many designs of each context.")] = 10,
    by: Annotated[str, typer.Option(help="accuracy | loss | macs | params | seconds.")] = "accuracy",
    storage: STORAGE = STORAGE_DEFAULT,
    where: WHERE = None,
    as_json: JSON = False,
    as_csv: CSV = False,
) -> None:
    """The best designs by their mean over seeds; rows of different data, recipe or fidelity are never mixed."""
    from results.ranking import top as rank

    _emit_ranked(rank(_frame(storage, where), number, by), as_json=as_json, as_csv=as_csv)


@app.command(epilog="Example: attnas results pareto --minimise params --json")
def pareto(
    maximise: Annotated[str, typer.Option(help="accuracy (or another metric that should be high).")] = "accuracy",
    minimise: Annotated[str, typer.Option(help="macs | params | seconds | loss.")] = "macs",
    storage: STORAGE = STORAGE_DEFAULT,
    where: WHERE = None,
    as_json: JSON = False,
    as_csv: CSV = False,
) -> None:
    """The front: designs that no other beats in both measures, by their mean over seeds."""
    from results.ranking import pareto as front

    _emit_ranked(front(_frame(storage, where), maximise, minimise), as_json=as_json, as_csv=as_csv)


@app.command(epilog="Example: attnas results query \"macs < 42e6 and accuracy > 0.68 and design != 'none'\" --csv")
def query(
    expression: Annotated[
        str, typer.Argument(help="Comparisons of columns joined by and, or, not; in (...), is None.")
    ],
    storage: STORAGE = STORAGE_DEFAULT,
    as_json: JSON = False,
    as_csv: CSV = False,
) -> None:
    """Every row for which an expression holds, one line an evaluation. A missing value satisfies no comparison."""
    from search.tables import emit

    frame = _frame(storage, expression)
    chosen = ["settled"] if frame["settled"].notna().any() else []
    emit(frame, as_json=as_json, as_csv=as_csv, columns=_ROWS + chosen)


@app.command(epilog="Example: attnas results show fca-ts")
def show(
    design: Annotated[str, typer.Argument(metavar="KEY", help="A key, a design text or a preset.")],
    storage: STORAGE = STORAGE_DEFAULT,
    where: WHERE = None,
    as_json: JSON = False,
) -> None:
    """Every evaluation of a design: its curve, what it cost, where it ran."""
    from search.tables import emit, records
    from search_space import find_design

    wanted = find_design(design)
    frame = _frame(storage, where)
    frame = frame[(frame["key"] == wanted.key) | _same_network(frame, wanted)]
    if frame.empty:
        given = f"{str(wanted)!r} (key {wanted.key}) in {without_password(storage)}"
        raise UserError(f"no row of {given}; `attnas results top` lists what is.")
    if as_json:
        emit(frame, as_json=True, as_csv=False, columns=_ROWS)
        return
    print(f"{wanted}  key {wanted.key}  {len(frame)} evaluations")
    for row in records(frame):
        _show_row(row)


app.command(epilog=NOISE_EPILOG)(noise)
app.command(epilog=FIDELITY_EPILOG)(fidelity)


def _frame(storage: str, where: str | None) -> pd.DataFrame:
    with open_storage(storage, read_only=True) as store:
        return store.frame(where)


def _emit_ranked(frame: pd.DataFrame, *, as_json: bool, as_csv: bool) -> None:
    from results.row import CONTEXT
    from search.tables import context_line, emit, records

    if as_json or as_csv:
        emit(frame, as_json=as_json, as_csv=as_csv, columns=_RANKED)
        return
    if frame.empty:
        print("no complete rows; `attnas results query \"status != 'complete'\"` lists the others")
    for number, (_, part) in enumerate(frame.groupby(list(CONTEXT), sort=False)):
        print("" if number == 0 else "\n", end="")
        print(context_line(records(part.head(1))[0]))
        emit(part, as_json=False, as_csv=False, columns=_RANKED)
        _warn_of_luck(part)


def _warn_of_luck(part: pd.DataFrame) -> None:
    single = int((part["n"] == 1).sum())
    if single:
        print(
            f"{single} of {len(part)} have one seed: differences smaller than the run-to-run spread mean nothing "
            "(attnas train --seeds)."
        )
    if part["precision"].str.contains("+", regex=False).any() or part["precision"].nunique() > 1:
        print("float32 and bfloat16 trainings stand side by side here; query precision to tell them apart.")


def _same_network(frame: pd.DataFrame, wanted: AttentionDesign | Layered) -> pd.Series[bool]:
    """Rows of another spelling that is the same network: `avg/conv1d-k3` is ECA wherever C is small."""
    same = frame["key"] == wanted.key
    twins = frame[~same & (frame["key"].map(_without_numbers) == _without_numbers(wanted.key))]
    if twins.empty:
        return same
    from search.recording import key_on
    from trainers.factories import is_factory

    network = ["backbone", "image_size", "num_classes"]
    for _, rows in twins.groupby(network):
        backbone, image_size, classes = rows[network].iloc[0]
        if is_factory(backbone):
            continue  # a storage may come from anywhere: no code that its rows name is run
        try:
            key = key_on(wanted, backbone, int(image_size), int(classes), scale="unit")
        except UserError:
            continue  # the design does not exist on that network
        same.loc[rows.index] = rows["network_key"] == key
    return same


def _without_numbers(key: str) -> str:
    """What keys must share to be one network: reduction, kernel and groups follow from the width, places may agree."""
    return " | ".join(sorted({re.sub("-[rkg][0-9]+", "", one) for one in key.split(" | ")}))


def _show_row(row: dict) -> None:
    from search.tables import context_line

    print(f"\n{context_line(row)}, seed {row['seed']}: {row['status']}")
    print(f"  {row['design']}, network {row['network_key']}")
    print(f"  {row['macs']:,} MACs, {row['params']:,} params ({row['macs_convention']})")
    if row["status"] == "running":
        print(f"  owner {row['owner']}")
        return
    memory = f", {row['peak_memory_bytes'] / 2**20:.0f} MiB peak" if row["peak_memory_bytes"] else ""
    print(f"  {row['seconds']:.1f} s in {row['precision']} on {row['hardware']}{memory}, commit {row['commit']}")
    for record in row["curves"]:
        print(
            f"  epoch {record['epoch']:>3.0f}  train loss {record['train_loss']:.4f}  "
            f"loss {record['loss']:.4f}  accuracy {record['accuracy']:.2%}"
        )
    if row["settled"]:
        print(f"  settled: {row['settled']}")
        print(f"  train it: attnas train {shlex.quote(row['settled'])} --backbone {row['backbone']}")
    if row["status"] == "failed":
        print(f"  failed ({row['failure']}):\n{row['error']}")
