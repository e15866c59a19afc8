"""`attnas results noise | fidelity`: what luck there is in the rows, and how far cheap trainings can be trusted."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from results.counted import counted
from results.exchange import readable
from results.suggest import command
from search.result_options import CSV, JSON, WHERE
from search.storage import STORAGE, STORAGE_DEFAULT, open_storage
from search.wording import points

NOISE_EPILOG = 'Example: attnas results noise --gap 0.5 --seeds 3 --where "seed >= 100"'
FIDELITY_EPILOG = "Example: attnas results fidelity --k 5 --bootstrap 2000 --json"


def noise(
    gaps: Annotated[
        list[float] | None, typer.Option("--gap", help="Points of accuracy to tell apart; repeatable.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Seeds a design of a ranking; as the rows have unless given.")
    ] = None,
    storage: STORAGE = STORAGE_DEFAULT,
    where: WHERE = None,
    as_json: JSON = False,
    as_csv: CSV = False,
) -> None:
    """The luck of a seed: how large, how many seeds a gap needs, how well any ranking can agree with the truth."""
    from results.statistics import GAPS, NEEDED
    from results.statistics import noise as luck
    from search.tables import context_line, emit, records

    wanted = gaps or list(GAPS)
    with open_storage(storage, read_only=True) as store:
        frame = luck(store.frame(where, NEEDED), wanted, seeds)
    if as_json or as_csv:
        emit(frame, as_json=as_json, as_csv=as_csv, columns=[])
        return
    for number, row in enumerate(records(frame)):
        print(("" if number == 0 else "\n") + context_line(row))
        for line in _noise_lines(row, wanted):
            print(f"  {line}")


def _noise_lines(row: dict[str, Any], gaps: list[float]) -> list[str]:
    from results.power import seeds_in_words

    between = row["sd_between_designs"]
    lines = [
        f"between seeds of one design: {points(row['sd_between_seeds'])} points (standard deviation, 95 % interval "
        f"{points(row['sd_low'])} to {points(row['sd_high'])}), n = {counted(row['runs'], 'run')} of "
        f"{counted(row['designs'], 'design')}",
        f"between designs, that luck subtracted: {points(between)} points",
        "seeds of each of two designs that tell a gap (95 % level, 80 % power): "
        + ", ".join(f"{gap:g} {_unit(gap)} {seeds_in_words(row[f'seeds_for_{gap:g}'])}" for gap in gaps),
    ]
    if between == 0:
        lines.append("designs are not seen to differ by more than seeds do; the brackets say how far they may")
    for against, words in (("truth", "with the truth"), ("again", "with another ranking made like it")):
        said = ", ".join(f"{name} {_range(row, f'{name.lower()}_{against}')}" for name in ("Spearman", "Kendall"))
        lines.append(f"the most that a ranking by {row['seeds']:.3g} seeds can be expected to agree {words}: {said}")
    return lines


def fidelity(
    k: Annotated[int, typer.Option("--k", help="How many of the best a cheap training should find.")] = 5,
    bootstrap: Annotated[int, typer.Option(help="Resamplings of the designs behind each interval.")] = 2000,
    across: Annotated[
        bool, typer.Option("--across", help="Hold other data and backbones against the dearest training of all.")
    ] = False,
    storage: STORAGE = STORAGE_DEFAULT,
    where: WHERE = None,
    as_json: JSON = False,
    as_csv: CSV = False,
) -> None:
    """How well each cheap training, params and MACs order the designs as the dearest training does."""
    from results.fidelity import NEEDED
    from results.fidelity import fidelity as compare
    from search.tables import emit, records

    with open_storage(storage, read_only=True) as store:
        frame = compare(store.frame(where, NEEDED), k, bootstrap, across=across)
    if as_json or as_csv:
        emit(frame, as_json=as_json, as_csv=as_csv, columns=[])
        return
    dear = ["dear_data", "dear_backbone", "dear_recipe_hash", "dear_epochs", "split", "image_size", "num_classes"]
    for number, (_, part) in enumerate(frame.groupby(dear if not across else dear[:4], sort=False)):
        print("" if number == 0 else "\n", end="")
        _show_fidelity(records(part), k, across)


def _show_fidelity(rows: list[dict[str, Any]], k: int, across: bool) -> None:
    from search.tables import table

    first = rows[0]
    recipe = f"recipe {first['dear_recipe']} ({first['dear_recipe_hash']})"
    epochs = f"{first['dear_epochs']} of {first['dear_schedule_epochs']} epochs"
    print(readable(f"against {first['dear_data']}, {first['dear_backbone']}, {recipe}, {epochs}, means over seeds"))
    shown = [
        {
            "measure": _measure(row, across),
            "designs": f"{row['designs']} of {row['of']}",
            "Kendall": _range(row, "kendall"),
            "at most": _range(row, "kendall_ceiling"),
            "Spearman": _range(row, "spearman"),
            "at most ": _range(row, "spearman_ceiling"),
            f"top {k}": _range(row, "recall"),
        }
        for row in rows
    ]
    table(shown, list(shown[0]))
    for line in _fidelity_notes(rows, across):
        print(readable(line))


def _measure(row: dict[str, Any], across: bool) -> str:
    if row["measure"] != "accuracy":
        return str(row["measure"])
    where = f"{row['data']}, {row['backbone']}, " if across else ""
    return f"{where}{row['epochs']} of {row['schedule_epochs']} epochs, {row['recipe']} ({row['recipe_hash']})"


def _fidelity_notes(rows: list[dict[str, Any]], across: bool) -> list[str]:
    from results.fidelity import FEWEST_DESIGNS

    cheap = [row for row in rows if row["measure"] == "accuracy"]
    notes = [
        "In brackets: 95 % intervals, of the agreement over resampled designs. At most: what the luck of seeds in both "
        "allows."
    ]
    if any(row["kendall_ceiling"] is None for row in rows if row["designs"] >= FEWEST_DESIGNS):
        dear = {name.removeprefix("dear_"): value for name, value in rows[0].items()}
        trained = command("train none se --seeds 4", like=dear)
        notes.append(f"No ceiling where no design has a second seed: `{trained}` tells luck.")
    if any(row["kendall_ceiling"] == 0 for row in rows):
        notes.append(
            "At most 0.00: designs are not seen to differ by more than seeds do; the bracket: how far they may."
        )
    if not across and not any(row["measure"] == "macs" for row in rows):
        notes.append('No line of MACs: they are counted under several conventions (--where "macs_convention == ...").')
    if any(row["same_training"] for row in cheap):
        notes.append(
            "Of a rung and the end of one training the luck is shared: that flatters the rung, and the ceiling does "
            f"not bound it ({', '.join(_shared(row) for row in cheap if row['same_training'])})."
        )
    if any(row["designs"] < row["of"] for row in cheap):
        notes.append("Where a search promoted the best, agreement is over what it promoted, not over all.")
    if any(row["designs"] < FEWEST_DESIGNS for row in rows):
        notes.append(f"Not computed below {FEWEST_DESIGNS} designs measured at both.")
    return notes


def _shared(row: dict[str, Any]) -> str:
    return f"{row['epochs']} epochs: {row['same_training']} of {row['designs']} designs"


def _range(row: dict[str, Any], name: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return "-"
    return f"{value:.2f}" if low is None else f"{value:.2f} ({low:.2f} to {high:.2f})"


def _unit(gap: float) -> str:
    return "point" if gap == 1 else "points"
