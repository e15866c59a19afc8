"""`attnas data`: what is in a set of images, and whether it can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from results.counted import counted
from results.exchange import readable
from search.options import CORES, JSON
from search_space.errors import UserError

if TYPE_CHECKING:
    from trainers.image_batches import Corrupt
    from trainers.image_set import ImageSet

DATA_EPILOG = """Examples:

attnas data /path/to/imagenet --workers 16

attnas data /path/to/imagenet --count"""


def data(
    path: Annotated[
        Path, typer.Argument(help="PATH/train/<class>/* and PATH/val/<class>/*, or PATH/data/*.parquet as on the hub.")
    ],
    count: Annotated[bool, typer.Option("--count", help="Open no image.")] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read.")] = CORES,
    as_json: JSON = False,
) -> None:
    """Count the images of `retrain` by class, and name those that can't be read; the exit code is 1 if there are any.

    Every file is read to its end, its pixels decoded at an eighth of the side.
    """
    from trainers.image_check import counts, folders, unreadable
    from trainers.image_set import image_set

    root = Path(str(path).removeprefix("folder:"))
    try:
        images = image_set(root)
    except UserError:
        if not as_json:
            _draw(folders(root.expanduser()))
        raise
    corrupt = None if count else unreadable(images, workers=workers)
    tell = _tell_json if as_json else _tell
    tell(images, counts(images), corrupt)
    if corrupt:
        raise typer.Exit(1)


def _tell_json(images: ImageSet, found: dict[str, dict[str, int]], corrupt: list[Corrupt] | None) -> None:
    facts = {"name": images.name, "hash": images.content_hash, "classes": len(images.classes), "images": found}
    named = None if corrupt is None else [each._asdict() for each in corrupt]
    print(json.dumps(facts | {"unreadable": named}, indent=1))


def _tell(images: ImageSet, found: dict[str, dict[str, int]], corrupt: list[Corrupt] | None) -> None:
    print(readable(f"{images.name}, {counted(len(images.classes), 'class', 'classes')}, {images.content_hash}"))
    _draw(found)
    if corrupt is None:
        return
    total = sum(sum(by_class.values()) for by_class in found.values())
    if not corrupt:
        print(f"all {total:,} images can be read")
        return
    leave_out = f"retrain leaves them out with --skip-corrupt {len(corrupt)}"
    print(f"{len(corrupt):,} of {total:,} images can't be read ({leave_out}):")
    for each in corrupt:
        print(readable(f"  {each.name}: {each.why}"))


def _draw(found: dict[str, dict[str, int]]) -> None:
    from search.text_table import draw

    if parts := [_part(name, by_class) for name, by_class in found.items() if by_class]:
        draw(parts, left=("part", "fewest", "most"))


def _part(name: str, by_class: dict[str, int]) -> dict[str, str]:
    fewest, most = (choose(by_class, key=lambda text: by_class[text]) for choose in (min, max))
    ends = {"fewest": fewest, "most": most}
    return {"part": name, "images": f"{sum(by_class.values()):,}"} | {
        end: f"{by_class[text]:,} of {text}" for end, text in ends.items()
    }
