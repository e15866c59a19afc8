"""`attnas results report` and `attnas results plot`: what was found, to look at and to show."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from results.counted import counted
from results.exchange import readable
from results.suggest import command
from search.result_options import AXES, WHERE, names
from search.storage import STORAGES, STORAGES_DEFAULT, open_storages, without_password
from search_space.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from results.effects import Explained
    from search_space import AttentionDesign, Site

PICTURES = ("front", "effects", "interactions", "curves", "noise", "basis")


def report(
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write, as report.html.")],
    storage: STORAGES = STORAGES_DEFAULT,
    where: WHERE = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page; data and backbone unless given.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is no report.")] = False,
) -> None:
    """One page to read and pass on: what was searched, the front, effects, curves, noise, winners, failures, cost.

    It needs no network and no other file; accuracies of different data, recipe or fidelity stand in parts of their own.
    """
    from rich.console import Console

    from results.confirmed import is_search
    from results.frames import frame_of
    from results.report import check_report, write_report
    from results.report import report as make
    from search import report_notes

    check_report(output, force=force)
    with open_storages(storage) as stores:
        frame = frame_of(stores, where)
        if where and frame.empty:
            every = command("results query", "seed >= 0")
            raise UserError(f"no row where {where}: there is nothing to report; `{every}` lists all rows.")
        known = {study.id: study for store in reversed(stores) for study in store.studies.list()}
        studies = [study for study in known.values() if is_search(study)]
        recipes = [recipe.hash for store in stores for recipe in store.recipes.list()]
        confirmations, confirmed = report_notes.confirmed(stores)
    console = Console(stderr=True)
    with console.status("report") as status:
        models = report_notes.explained(frame)
        page = make(
            frame,
            studies,
            title=title,
            source=", ".join(map(without_password, storage)) + (f", rows where {where}" if where else ""),
            explained=models,
            importances=_importances(models, frame),
            notes=[
                *confirmations,
                *report_notes.effects(models),
                *report_notes.noise(frame),
                *report_notes.fidelities(frame),
            ],
            confirmed=confirmed,
            recipes=recipes,
            sites=sites_of,
            on_step=lambda step: status.update(f"report: {step}"),
        )
        write_report(output, page, force=force)
    print(f"{output}: {len(page) / 1e6:.2f} MB, {counted(len(frame), 'evaluation')}. Open it in a browser.")


def plot(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help=" | ".join(PICTURES))],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .png, .svg or .pdf.")],
    by: Annotated[str, typer.Option(help="Of a front: macs | params | latency | memory | seconds.")] = "macs",
    design: Annotated[
        str | None, typer.Option(metavar="DESIGN", help="Of a basis: whose; the best design's unless given.")
    ] = None,
    axes: AXES = None,
    storage: STORAGES = STORAGES_DEFAULT,
    where: WHERE = None,
) -> None:
    """One picture of the rows of one data, recipe and fidelity: that with most designs complete unless --where chooses.

    The caption in the picture says which.
    """
    from results.contexts import contexts, in_words, leading
    from results.factors import named_axes
    from results.figure_style import check_picture, write_picture
    from results.frames import frame_of

    if picture not in PICTURES:
        raise UserError(f"picture: {picture!r} given; allowed: {', '.join(PICTURES)}.")
    if design is not None and picture != "basis":
        raise UserError(f"design: {design!r} given for {picture}; it is for basis: drop --design, or draw a basis.")
    check_picture(output)
    chosen = named_axes(names(axes)) or None
    frame = frame_of(storage, where)
    rows = leading(frame)
    write_picture(_figure(picture, rows, by, design, chosen), output)
    print(readable(f"{output}: {in_words(rows)}"))
    others = [part for part in contexts(frame)[1:] if (part["status"] == "complete").any()]
    if others:
        print(f"Not in it, since it can't be compared; choose with --where: {readable(_list(others))}", file=sys.stderr)


def _figure(picture: str, rows: pd.DataFrame, by: str, design: str | None, axes: list[str] | None) -> Figure:
    if picture == "front":
        from results.figure_front import front, front_caption

        return front(rows, by, caption=front_caption(rows, by))
    if picture == "curves":
        from results.figure_curves import curves, curves_caption

        return curves(rows, caption=curves_caption(rows))
    if picture == "noise":
        from results.figure_noise import noise, noise_caption

        return noise(rows, caption=noise_caption(rows))
    if picture in ("effects", "interactions"):
        from results.effects import explain
        from results.figure_effects import effects, effects_caption, interactions, interactions_caption
        from search.importance import beside

        [model] = explain(rows, axes=axes)
        if picture == "interactions":
            return interactions(model, caption=interactions_caption(model))
        return effects(model, importances=beside(model), caption=effects_caption(model))
    return _basis(rows, design)


def _basis(rows: pd.DataFrame, design: str | None) -> Figure:
    """Of the best design of the rows that has one, or of the design that was named, in the network of the rows."""
    from results.contexts import in_words
    from results.figure_bases import NOTE, bases
    from results.ranking import criterion, top
    from results.report_bases import bases_of
    from search_space import find_design

    if design is None:
        best = top(rows, by="expected")
        said, heard = bases_of([str(text) for text in best["design"]], rows, sites_of)
        said = f"{said} Best by {criterion(best)} on {in_words(rows)}."
    else:
        said, heard = bases_of([str(find_design(design))], rows, sites_of)
    if not heard:
        raise UserError(f"basis: {said} Name a design that has some: --design dct-top16/mlp-r16.")
    return bases(heard, f"{said} {NOTE.capitalize()}.")


def _importances(models: list[Explained], frame: pd.DataFrame) -> dict[str, float]:
    """Optuna's, of the context that comes first in the report."""
    from results.contexts import contexts
    from results.row import CONTEXT
    from search.importance import beside

    if not models:
        return {}
    first = contexts(frame)[0].iloc[0]
    of_first = [one for one in models if all(one.about[name] == first[name] for name in CONTEXT)]
    return beside(of_first[0]) if of_first else {}


def sites_of(design: AttentionDesign, backbone: str, image_size: int) -> tuple[Site, ...]:
    """The places of a design; none for a user's own network: a storage may come from anywhere, its code is not run."""
    from search.small_maps import small_maps

    known = small_maps(design, backbone, image_size)
    if known is not None:
        return known
    from trainers import sites
    from trainers.factories import is_factory

    return () if is_factory(backbone) else sites(backbone, image_size, design)


def _list(parts: list[pd.DataFrame]) -> str:
    from results.contexts import in_words

    return "; ".join(in_words(part) for part in parts)
