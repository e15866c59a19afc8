"""`attnas results show | compare | sql | columns`: a closer look."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from results.counted import counted
from results.exchange import readable
from results.suggest import command
from search.result_options import CSV, JSON, MARKDOWN, OUTPUT, PARQUET, WHERE
from search.storage import STORAGES, STORAGES_DEFAULT, open_storages, without_password
from search_space.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

DESIGN = Annotated[str, typer.Argument(metavar="KEY", help="A key, a design text or a preset.")]


def show(
    design: DESIGN,
    storage: STORAGES = STORAGES_DEFAULT,
    where: WHERE = None,
    as_json: JSON = False,
    as_csv: CSV = False,
    parquet: PARQUET = None,
    output: OUTPUT = None,
) -> None:
    """Every evaluation of a design: its curve, what it cost, where it ran."""
    from results.frames import frame_of
    from results.meanwhile import imported
    from results.published import with_name
    from search.tables import Output, deliver, records
    from search.twins import keys_like, rows_of
    from search_space import find_design

    written = Output(as_json, as_csv, parquet=parquet, file=output)
    wanted = find_design(design)
    with open_storages(storage) as stores, imported("pandas"):
        keys = {key for store in stores for (key,) in store.distinct("key")}
        frame = frame_of(stores, where, key=keys_like(sorted(keys), wanted))
    frame = frame[rows_of(frame, wanted)]
    if frame.empty:
        given = f"{str(wanted)!r} (key {wanted.key}) in {', '.join(map(without_password, storage))}"
        raise UserError(f"no row of {given}; `{command('results top')}` lists what is.")
    if written.is_data:
        deliver(frame, written, [])
        return
    print(f"{with_name(str(wanted), wanted.key)}  key {wanted.key}  {counted(len(frame), 'evaluation')}")
    for row in records(frame):
        _show_row(row)


def compare(
    a: Annotated[str, typer.Argument(help="A key, a design text or a preset.")],
    b: Annotated[str, typer.Argument(help="Another.")],
    storage: STORAGES = STORAGES_DEFAULT,
    where: WHERE = None,
    as_json: JSON = False,
    as_csv: CSV = False,
    as_markdown: MARKDOWN = False,
    parquet: PARQUET = None,
    output: OUTPUT = None,
) -> None:
    """Two designs beside each other wherever both were trained alike: means, the difference, what it would take.

    The interval of the difference is Student's t on the differences between equal seeds where there are four or more;
    else by the spread between seeds, pooled over all designs of the context.
    """
    from results.frames import frame_of
    from results.lines import NEEDED, lines
    from results.meanwhile import imported
    from results.published import presets
    from search.tables import INTERVAL, Output, context_line, deliver, markdown, records, table
    from search.twins import keys_like, rows_of
    from search_space import find_design

    written = Output(as_json, as_csv, as_markdown, parquet, output)
    sides = find_design(a), find_design(b)
    with open_storages(storage) as stores:
        with imported("results.comparison"):
            every = lines(stores, where)
        keys = {key for side in sides for key in keys_like(every["key"].unique(), side)}
        rows = frame_of(stores, where, list(NEEDED), status="complete", key=keys)
    chosen = [rows_of(rows, side) for side in sides]
    for text, of_side in zip((a, b), chosen, strict=True):
        if not of_side.any():
            trained = command("train", text, like=_example(rows, every))
            where = ", ".join(map(without_password, storage))
            raise UserError(f"no complete row of {text!r} in {where}; `{trained}` makes one")
    from results.comparison import compare as difference

    found = difference(rows, chosen[0], chosen[1], every)
    for name, side in zip("ab", sides, strict=True):
        found[f"preset_{name}"] = presets(found[name], [side.key] * len(found))
    if written.is_data:
        deliver(found, written, [])
        return
    named = ["preset"] if found[["preset_a", "preset_b"]].notna().any(axis=None) else []
    columns = ["design", *named, "n", "accuracy", "loss", "macs", "params", "latency", "memory", "seconds"]
    texts = []
    for number, line in enumerate(records(found)):
        both = [_side(line, name, [*columns, *INTERVAL]) for name in ("a", "b")]
        said = _verdict(line)
        if as_markdown:
            texts.append(f"{context_line(line)}\n\n{markdown(both, columns)}\n\n{said}")
            continue
        print(("\n" if number else "") + context_line(line))
        table(both, columns)
        print(readable(said))
    if as_markdown:
        written.say("\n\n".join(texts))


def sql(
    statement: Annotated[str, typer.Argument(help="One SELECT from rows, evaluations, studies, latencies or recipes.")],
    storage: STORAGES = STORAGES_DEFAULT,
    as_json: JSON = False,
    as_csv: CSV = False,
    as_markdown: MARKDOWN = False,
    parquet: PARQUET = None,
    output: OUTPUT = None,
) -> None:
    """SQL of your own on a copy in memory, in SQLite's dialect: it can write nothing and read nothing beside it.

    `rows` has the columns that `attnas results columns` lists under rows and axes. A statement that takes a
    minute, or on Linux 4 GiB of memory, is stopped.
    """
    from results.sandbox import select
    from search.tables import Output, as_json_text, deliver, markdown, table

    written = Output(as_json, as_csv, as_markdown, parquet, output)
    answer = select(list(storage), statement)
    if as_csv or parquet is not None:
        deliver(answer.frame(), written, answer.columns)
        return
    rows = answer.records()
    if as_json:
        written.say(as_json_text(rows))
    elif as_markdown:
        written.say(markdown(rows, answer.columns))
    else:
        table(rows, answer.columns)


def columns(as_json: JSON = False, as_csv: CSV = False, as_markdown: MARKDOWN = False, output: OUTPUT = None) -> None:
    """What every column means: of rows and axes, which a query may name, of top and pareto, and of --group-by."""
    from results.columns import documented
    from search.tables import Output, as_json_text, markdown, table

    written = Output(as_json, as_csv, as_markdown, file=output)
    rows = documented()
    heads = list(rows[0])
    if as_json:
        written.say(as_json_text(rows))
    elif as_csv:
        import pandas as pd

        written.say(pd.DataFrame(rows).to_csv(index=False).rstrip("\n"))
    elif as_markdown:
        written.say(markdown(rows, heads))
    else:
        table(rows, heads)


def _example(rows: pd.DataFrame, every: pd.DataFrame) -> pd.Series[Any] | None:
    """What a design that lacks is to be trained like: as the other side was, else as what has most seeds; not on a test
    split, which chooses nothing, where there is another."""
    known = rows if len(rows) else every.sort_values("n", ascending=False, kind="stable")
    known = known.sort_values("split", key=lambda split: split == "test", kind="stable")
    return known.iloc[0] if len(known) else None


def _side(line: dict[str, Any], name: str, columns: list[str]) -> dict[str, Any]:
    """One of the two, as a line of a ranking."""
    return {"design": line[name]} | {column: line[f"{column}_{name}"] for column in columns if column != "design"}


def _verdict(line: dict[str, Any]) -> str:
    from results.power import seeds_in_words

    a, b, gap = line["a"], line["b"], line["difference"]
    points = f"{a} less {b}: {100 * gap:+.2f} points"
    if line["method"] == "none":
        trained = command("train", a, b, "--seeds", 5, like=line)
        return f"{points}; no design here has a second seed, so nothing tells luck: {trained}"
    low, high = line["difference_low"], line["difference_high"]
    how = (
        f"Student's t on the differences of {line['common_seeds']} common seeds"
        if line["method"] == "paired"
        else "by the spread between seeds, pooled over the designs of this context"
    )
    said = f"{points}, 95 % interval {100 * low:+.2f} to {100 * high:+.2f} ({how})."
    if low > 0 or high < 0:
        return f"{said} {a if gap > 0 else b} is better, if these two were not picked from many for their gap."
    if line["seeds_needed"] is None:
        return f"{said} They can't be told apart by these runs."
    return (
        f"{said} They can't be told apart by these runs: a true gap of this size needs about "
        f"{seeds_in_words(line['seeds_needed'])} seeds of each."
    )


def _number(value: Any, form: str) -> str:
    try:
        return format(float(value), form)
    except (TypeError, ValueError, OverflowError):
        return "-"


def _show_row(row: dict[str, Any]) -> None:
    for line in _lines(row):
        print(readable(line, keep="\n\t"))


def _lines(row: dict[str, Any]) -> Iterator[str]:
    """What `show` says of a row. A storage may come from anywhere: curves and versions can hold anything."""
    from search.tables import context_line
    from search.wording import worker_name

    yield f"\n{context_line(row)}, seed {row['seed']}: {row['status']}"
    yield f"  {row['design']}, network {row['network_key']}"
    yield f"  {row['macs']:,} MACs, {row['params']:,} params ({row['macs_convention']})"
    if row["status"] == "running":
        yield f"  owner {row['owner']}"
        return
    memory = f", {row['peak_memory_bytes'] / 2**20:.0f} MiB peak" if row["peak_memory_bytes"] else ""
    latency = f", latency {1e3 * row['latency_seconds']:.3f} ms" if row["latency_seconds"] else ""
    seconds = "?" if row["seconds"] is None else f"{row['seconds']:.1f}"
    yield f"  {seconds} s in {row['precision']} on {row['hardware']}{memory}{latency}"
    known = row["versions"] if isinstance(row["versions"], dict) else {}
    versions = ", ".join(f"{name} {version}" for name, version in known.items())
    yield f"  by {worker_name(row['owner'])}, commit {row['commit']}{', ' if versions else ''}{versions}"
    for record in row["curves"] if isinstance(row["curves"], list) else ():
        forms = {"epoch": ">3.0f", "train_loss": ".4f", "loss": ".4f", "accuracy": ".2%"}
        numbers = record if isinstance(record, dict) else {}
        said = (f"{name.replace('_', ' ')} {_number(numbers.get(name), form)}" for name, form in forms.items())
        yield f"  {'  '.join(said)}"
    if row["settled"]:
        yield f"  settled: {row['settled']}"
        yield f"  train it: {command('train', row['settled'], like=row)}"
    if row["status"] == "failed":
        yield f"  failed ({row['failure']}):\n{row['error']}"
