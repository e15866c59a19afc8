"""The command line. Starts at once: torch, pandas and Optuna are imported by the commands that need them."""

from __future__ import annotations

import atexit
import errno
import gc
import sys
import warnings
from typing import Annotated

import typer

from results.exchange import readable
from search.cli_confirm import EPILOG as CONFIRM_EPILOG
from search.cli_confirm import confirm_command
from search.cli_cost import at_placement, cost
from search.cli_explain import ABLATE_EPILOG, ablate
from search.cli_results import app as results_app
from search.cli_retrain import EPILOG as RETRAIN_EPILOG
from search.cli_retrain import retrain_command
from search.cli_search import EPILOG, search_command
from search.cli_space import app as space_app
from search.cli_studies import app as study_app
from search.cli_studies import dashboard
from search.machine import chosen_recipe, interruptible, load, prepare_machine
from search.options import (
    BACKBONE,
    DATA,
    DATA_DIR,
    DEVICE,
    EPOCHS,
    IMAGE_SIZE,
    PLACEMENT,
    PRECISION,
    RECIPE,
    SETTINGS,
    SKIP_CORRUPT,
    THREADS,
)
from search.storage import STORAGE, STORAGE_DEFAULT, check_storage, open_storage
from search_space.errors import UserError

app = typer.Typer(
    help="Search channel-attention designs: squeeze x wavelet depth x frequencies x excitation x reduction.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.command("search", epilog=EPILOG)(search_command)
app.command("confirm", epilog=CONFIRM_EPILOG)(confirm_command)
app.add_typer(results_app, name="results")
app.add_typer(study_app, name="study")
app.command(epilog="Example: attnas dashboard -o dashboard.db && optuna-dashboard sqlite:///dashboard.db")(dashboard)
app.command(epilog="Example: attnas cost fca-ts --backbone resnet50 --image-size 224 --classes 1000 --json")(cost)
app.add_typer(space_app, name="space")
app.command(epilog=ABLATE_EPILOG)(ablate)
app.command("retrain", epilog=RETRAIN_EPILOG)(retrain_command)


_OF_A_PLACE = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC)
"""What the user's own place is like, and no fault of ours."""


@app.command(epilog="Example: attnas train se eca haar-d2-all/mlp-r16 --seeds 4 --first-seed 100 --data cifar100")
def train(
    designs: Annotated[list[str], typer.Argument(help="Presets or design texts.")],
    data: DATA = "cifar100",
    data_dir: DATA_DIR = None,
    backbone: BACKBONE = "resnet20",
    image_size: IMAGE_SIZE = 32,
    recipe: RECIPE = "proxy",
    epochs: EPOCHS = None,
    settings: SETTINGS = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each design.")] = 1,
    first_seed: Annotated[int, typer.Option(help="Seeds first, first + 1, ...")] = 0,
    placement: PLACEMENT = None,
    storage: STORAGE = STORAGE_DEFAULT,
    device: DEVICE = None,
    precision: PRECISION = "auto",
    threads: THREADS = 1,
    skip_corrupt: SKIP_CORRUPT = False,
) -> None:
    """Train named designs with one or more seeds; each is a row. What the storage holds is not trained again."""
    from search_space import find_design

    chosen = [at_placement(find_design(text), placement) for text in designs]
    trained_as = chosen_recipe(recipe, epochs, settings)
    check_storage(storage)
    from search.launch import check_seed
    from search.objective import Setting
    from search.progress import Progressing
    from search.replicate import replicate

    check_seed(first_seed)
    check_seed(first_seed + seeds - 1)
    with interruptible():
        prepare_machine(backbone, image_size, device, precision, threads)
        images = load(data, image_size, data_dir, skip_corrupt)
    with interruptible(), open_storage(storage) as store, Progressing() as watch:
        setting = Setting(images, backbone, trained_as, device=device, precision=precision)
        replicate(chosen, range(first_seed, first_seed + seeds), setting, store, watch)


def main() -> None:
    """Entry point: a user's error is one message and exit code 2. Libraries' warnings are not for users."""
    atexit.register(gc.freeze)  # else Python looks once more at every object before it ends, for a fifth of a second
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        try:
            app(prog_name="attnas")
        except UserError as error:
            print(f"error: {readable(str(error), keep=chr(10))}", file=sys.stderr)
            sys.exit(2)
        except OSError as error:
            if error.errno not in _OF_A_PLACE:
                raise
            place = f"{error.filename}: " if error.filename else ""
            print(f"error: {place}{error.strerror}; mend it, or name another place", file=sys.stderr)
            sys.exit(2)
