"""`attnas results`: questions to storages, pictures of them, exports and imports."""

from __future__ import annotations

import gc
from typing import Annotated

import typer

from search.lazy_commands import Home, lazily
from search.result_options import (
    COLUMNS,
    CSV,
    GROUP_BY,
    JSON,
    LIMIT,
    MARKDOWN,
    OUTPUT,
    PARQUET,
    RUNG,
    SORT,
    WHERE,
    names,
)
from search.storage import STORAGES, STORAGES_DEFAULT

_COMMANDS = {
    "show": Home("cli_look", "show", "Example: attnas results show fca-ts"),
    "compare": Home(
        "cli_look",
        "compare",
        "Example: attnas results compare se eca --storage sqlite:///one.db --storage sqlite:///two.db",
    ),
    "sql": Home(
        "cli_look",
        "sql",
        'Example: attnas results sql "SELECT squeeze, count(*) AS n FROM rows GROUP BY squeeze" --csv',
    ),
    "columns": Home("cli_look", "columns", "Example: attnas results columns --json"),
    "noise": Home("cli_trust", "noise", "NOISE_EPILOG"),
    "fidelity": Home("cli_trust", "fidelity", "FIDELITY_EPILOG"),
    "effects": Home("cli_explain", "effects", "EFFECTS_EPILOG"),
    "report": Home("cli_show", "report", "Example: attnas results report -o report.html"),
    "plot": Home("cli_show", "plot", "Example: attnas results plot front -o front.png --by params"),
    "export": Home("cli_keep", "export_results", "EXPORT_EPILOG"),
    "import": Home("cli_keep", "import_results", "IMPORT_EPILOG"),
    "top": Home(
        "cli_results", "top", "Example: attnas results top -n 5 --by loss --columns design,squeeze,n,accuracy,loss"
    ),
    "pareto": Home(
        "cli_results", "pareto", "Example: attnas results pareto --minimise macs,latency --where \"squeeze != 'none'\""
    ),
    "query": Home(
        "cli_results",
        "query",
        "Example: attnas results query \"squeeze == 'dct' and accuracy > 0.68 and macs < 42e6\" --csv",
    ),
}
app = typer.Typer(
    cls=lazily(_COMMANDS),
    help="Ask storages, show what they say, pass it on.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def prepare(context: typer.Context) -> None:
    """Runs before each command. A question ends at once, with its process: nothing it makes is worth collecting."""
    if context.invoked_subcommand in ("import", "export", "report"):
        gc.enable()


def top(
    number: Annotated[int, typer.Option("-n", min=1, help="How many of each context.")] = 10,
    by: Annotated[
        str | None, typer.Option(help="expected | accuracy | loss | macs | params | latency | memory | seconds.")
    ] = None,
    group_by: GROUP_BY = None,
    epochs: RUNG = None,
    storage: STORAGES = STORAGES_DEFAULT,
    where: WHERE = None,
    sort: SORT = None,
    columns: COLUMNS = None,
    as_json: JSON = False,
    as_csv: CSV = False,
    as_markdown: MARKDOWN = False,
    parquet: PARQUET = None,
    output: OUTPUT = None,
) -> None:
    """The best designs by what fresh seeds would give; rows of different data, recipe or fidelity are never mixed.

    Each mean over seeds has its 95 % interval. With --group-by, the best groups by their mean over designs.
    """
    from search.asking import Asking
    from search.tables import Output

    written = Output(as_json, as_csv, as_markdown, parquet, output)
    Asking(storage, where, sort, columns, None, written, epochs).top(number, by, names(group_by))


def pareto(
    maximise: Annotated[str, typer.Option(help="accuracy | expected | none.")] = "accuracy",
    minimise: Annotated[str, typer.Option(help="macs | params | latency | memory | seconds | loss; several.")] = "macs",
    epochs: RUNG = None,
    storage: STORAGES = STORAGES_DEFAULT,
    where: WHERE = None,
    sort: SORT = None,
    columns: COLUMNS = None,
    limit: LIMIT = None,
    as_json: JSON = False,
    as_csv: CSV = False,
    as_markdown: MARKDOWN = False,
    parquet: PARQUET = None,
    output: OUTPUT = None,
) -> None:
    """The front: designs that no other beats in all of two measures or three, by their means over seeds."""
    from search.asking import Asking
    from search.tables import Output

    written = Output(as_json, as_csv, as_markdown, parquet, output)
    asking = Asking(storage, where, sort, columns, limit, written, epochs)
    asking.pareto([] if maximise == "none" else names(maximise), names(minimise))


def query(
    expression: Annotated[
        str, typer.Argument(help="Comparisons of columns joined by and, or, not; in (...), is None.")
    ],
    group_by: GROUP_BY = None,
    storage: STORAGES = STORAGES_DEFAULT,
    sort: SORT = None,
    columns: COLUMNS = None,
    limit: LIMIT = None,
    as_json: JSON = False,
    as_csv: CSV = False,
    as_markdown: MARKDOWN = False,
    parquet: PARQUET = None,
    output: OUTPUT = None,
) -> None:
    """Every row for which an expression holds, one line an evaluation. A missing value satisfies no comparison.

    `attnas results columns` lists what may be named. Data formats leave out curves, versions and error unless asked.
    """
    from search.asking import Asking
    from search.tables import Output

    written = Output(as_json, as_csv, as_markdown, parquet, output)
    Asking(storage, expression, sort, columns, limit, written).query(names(group_by))
