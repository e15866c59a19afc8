"""A setting to train in again: which context of the storage is meant, and the recipe and data that it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.counted import counted
from results.row import CONTEXT, LABELS
from search.kept_recipe import is_hash, restored_recipe
from search_space.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from results.store import Store
    from search.objective import Setting
    from trainers import ImageData, Recipe

_NAMED_DATA = ("cifar100", "synthetic")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the user says of the context; None: whatever there is. `data` as `trainers.load_data` takes it."""

    study: str | None = None
    data: str | None = None
    backbone: str | None = None
    image_size: int | None = None
    recipe: str | None = None
    epochs: int | None = None


def pick_context(
    store: Store,
    wanted: Wanted,
    where: str | None,
    *,
    asked_before: Callable[[Mapping[str, Any]], bool],
    load: Callable[[str, int], ImageData],
) -> tuple[dict[str, Any], pd.DataFrame, int]:
    """The context that is meant, its complete rows, and how many other contexts would do.

    Of several the one that was asked the same before is meant, so that a command goes on with what it began however
    many rows others get; else the first by `results.contexts.precedence`. Of equals none is guessed: a training for
    hours is no report, which shows them all. Rows of the test split choose nothing. `load` gives
    data at an image size: asked only where rows of several folders fit, which only their content tells apart. Raises
    `UserError` where none fits or several do equally well.
    """
    from results.contexts import precedence_of
    from results.lines import NEEDED

    frame = store.frame(where, NEEDED, status="complete", split="validation")
    groups = [rows for _, rows in frame.groupby(list(CONTEXT), sort=False)]
    config = {} if wanted.study is None else store.studies.get(wanted.study).config
    fitting = _of_the_folder([rows for rows in groups if _fits(rows.iloc[0], wanted, config)], wanted, load)
    if not fitting:
        raise UserError(f"no complete row is of what was asked for; {_there(groups)}")
    before = [rows for rows in fitting if asked_before(_context(rows))]
    ranks = [precedence_of(rows, ("complete",)) for rows in fitting]
    chosen = before or [rows for rows, rank in zip(fitting, ranks, strict=True) if rank == min(ranks)]
    if len(chosen) > 1:
        alike = "were asked the same before" if before else f"have {counted(len(chosen[0]), 'complete row')} each"
        raise UserError(
            f"{len(chosen)} contexts {alike}, and they can't be mixed; {_there(chosen)}. Say which one: --study, "
            "--data, --backbone, --image-size, --recipe or --epochs."
        )
    return _context(chosen[0]), chosen[0], len(fitting) - 1


def _context(rows: pd.DataFrame) -> dict[str, Any]:
    """Labels and context of rows that share it, as plain Python values."""
    [context] = rows.head(1)[[*LABELS, *CONTEXT]].to_dict("records")
    return {str(name): value for name, value in context.items()}


def _fits(row: pd.Series[Any], wanted: Wanted, config: Mapping[str, Any]) -> bool:
    given = {
        "backbone": (wanted.backbone, row["backbone"].partition("#")[0]),
        "image_size": (wanted.image_size, row["image_size"]),
        "recipe": (wanted.recipe, row["recipe_hash" if is_hash(wanted.recipe) else "recipe"]),
        "epochs": (wanted.epochs, row["epochs"]),
        "data": (_kind(wanted.data), _kind(row["data"])),
    }
    if any(asked is not None and asked != there for asked, there in given.values()):
        return False
    return all(config[name] == row[name] for name in CONTEXT if name in config)


def _kind(data: str | None) -> str | None:
    """Folders are alike here: rows keep no path, and a renamed one is the same data."""
    return data if data is None or data in _NAMED_DATA else "folder"


def _of_the_folder(
    fitting: list[pd.DataFrame], wanted: Wanted, load: Callable[[str, int], ImageData]
) -> list[pd.DataFrame]:
    """The rows of the folder's images, at whatever size; all where they are of one data set, which is checked later."""
    from search.objective import data_hash

    there = {(rows["data_hash"].iloc[0], int(rows["image_size"].iloc[0])) for rows in fitting}
    if wanted.data is None or wanted.data in _NAMED_DATA or len(there) < 2:
        return fitting
    meant = {data_hash(load(wanted.data, size)) for size in {size for _, size in there}}
    return [rows for rows in fitting if rows["data_hash"].iloc[0] in meant]


def _there(groups: list[pd.DataFrame]) -> str:
    if not groups:
        return "the storage has no complete row of the validation split; `attnas search` makes them"
    lines = []
    for rows in groups[:8]:
        row = rows.iloc[0]
        what = f"{row['data']} at {row['image_size']} px, {row['backbone']}, {row['recipe']}"
        how = f"{counted(row['epochs'], 'epoch')}, recipe {row['recipe_hash']}"
        lines.append(f"{what}, {how} ({counted(len(rows), 'row')})")
    return "there are: " + "; ".join(lines)


def known_backbone(context: Mapping[str, Any], given: str | None) -> str:
    """Raises `UserError` for a user's own, unless it was given: no code that a row names is run by itself."""
    from trainers.factories import is_factory

    named = str(context["backbone"].partition("#")[0])
    if is_factory(named) and given != named:
        raise UserError(f"the rows are of the backbone {named}, which is code; to run it give --backbone {named}")
    return named


def data_spec(context: Mapping[str, Any], given: str | None) -> str:
    """What to load. Raises `UserError` for a folder whose path was not given: rows do not keep it."""
    if given is not None:
        return given
    if context["data"] in _NAMED_DATA:
        return str(context["data"])
    raise UserError(f"the rows are of {context['data']}; say where it lies: --data folder:PATH")


class Restored:
    """What is needed to train in a context again. The data are loaded only when somebody asks for a setting."""

    def __init__(
        self,
        context: Mapping[str, Any],
        wanted: Wanted,
        store: Store,
        *,
        settings: list[str] | None = None,
        data_dir: Path | None = None,
        skip_corrupt: bool = False,
        device: str | None = None,
        precision: str = "auto",
        threads: int = 1,
    ) -> None:
        self.context, self._device, self._precision, self._threads = context, device, precision, threads
        self._backbone = known_backbone(context, wanted.backbone)
        self._recipe = restored_recipe(context, settings, store)
        self._spec = data_spec(context, wanted.data)
        self._data_dir, self._skip_corrupt = data_dir, skip_corrupt

    @cached_property
    def _data(self) -> ImageData:
        from search.machine import load, prepare_machine

        size = int(self.context["image_size"])
        prepare_machine(self._backbone, size, self._device, self._precision, self._threads)
        loaded: ImageData = load(self._spec, size, self._data_dir, self._skip_corrupt)
        return loaded

    def setting(self, precision: str | None = None) -> Setting:
        """The setting whose rows join those of the context; `precision` is chosen by measurement unless given.

        Raises `UserError` where the data or the backbone are not those of the rows.
        """
        from search.objective import Setting

        wanted = precision or self._precision
        setting = Setting(self._data, self._backbone, self._recipe, device=self._device, precision=wanted)
        if precision is None:  # fused blocks are chosen anew for each recipe
            setting = replace(setting, precision=setting.decided().precision)
        for name in CONTEXT:
            if setting.context[name] != self.context[name]:
                raise UserError(
                    f"{name}: the rows of the storage have {self.context[name]!r}, what was given has "
                    f"{setting.context[name]!r}; they can't be compared. Give the data and backbone that they are of."
                )
        return setting

    def check_test(self, recipe: Recipe) -> None:
        """Raises `UserError` where the data have no test split, or too few images for the recipe."""
        from trainers.proxy_run import check_batch_size

        if self._data.test is None:
            raise UserError(
                f"{self._data.name} has no test split, so --final has nothing to measure on; leave it out, or give "
                "data that has one (of a folder: PATH/val/<class>/*)"
            )
        check_batch_size(self._data, recipe)
