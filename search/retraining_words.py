"""What `attnas retrain` says of rows: how they failed, why they were not trained, what they came to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from results.suggest import command
from search.wording import moment
from trainers.model_facts import WEIGHTS

if TYPE_CHECKING:
    from results.row import Row
    from results.store import Store


def how_it_failed(row: Row) -> str:
    """A line where the class of the failure says what it is; the row holds the traceback."""
    error = str(row.error)
    if row.failure == "bug":
        return error
    what = error.strip().rpartition("\n")[2]
    lower = " A lower --learning-rate, with another --output, is another training." if row.failure == "nan" else ""
    return (
        f"{row.design}, seed {row.seed}: failed ({row.failure}): {what}. --retry-failed goes on from its last "
        f"checkpoint.{lower} The traceback: `{command('results show', row.design)}`"
    )


def why_not_trained(found: Row, output: Path) -> str:
    what = f"{found.design}, seed {found.seed}"
    if found.status == "running":
        return f"{what}: running in another process ({found.owner})"
    when = "" if found.finished is None else f", {moment(found.finished)}"
    known = (
        f"{what}: {found.status} in the storage already ({found.precision} on {found.hardware}{when}), answered from "
        "its row; nothing was trained"
    )
    if found.status == "failed":
        return f"{known} (--retry-failed goes on from its last checkpoint)"
    if not (output / WEIGHTS).exists():
        return (
            f"{known}. Its weights are not in {output}: another --output says where, another --storage trains it again"
        )
    return known


def tell(rows: list[Row], *, as_json: bool) -> None:
    if as_json:
        fields = ("identity", "design", "seed", "status", "accuracy", "loss")
        print(json.dumps([{name: getattr(row, name) for name in fields} for row in rows], indent=1))
        return
    for row in rows:
        if row.accuracy is not None:
            seed = f", seed {row.seed}" if len(rows) > 1 else ""
            print(f"{row.design} in {row.backbone} on val of {row.data}{seed}: top-1 {row.accuracy:.2%}")


def means(rows: list[Row], store: Store) -> list[str]:
    """A line a design, best first, where several seeds were trained: by all rows of this context that there are."""
    complete = [row for row in rows if row.accuracy is not None]
    if len({row.seed for row in complete}) < 2:
        return []
    from results.row import CONTEXT
    from results.summary import summarise

    networks = {row.network_key for row in complete}
    context = {name: getattr(complete[0], name) for name in CONTEXT}
    lines = store.lines()
    here = summarise(lines[(lines[list(CONTEXT)] == list(context.values())).all(axis=1)])
    here = here[here["network_key"].isin(networks)].sort_values("accuracy", ascending=False)
    told = [
        f"{line.design}: mean {line.accuracy:.2%} of {line.n} seeds (95 % interval {line.accuracy_low:.2%} to "
        f"{line.accuracy_high:.2%})"
        for line in here.itertuples()
    ]
    more = command("results top", "--where", f'recipe_hash == "{context["recipe_hash"]}"')
    return [*told, f"more: `{more}`"]
