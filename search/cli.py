"""The command line. Starts at once: torch, pandas and Optuna are imported by the commands that need them."""

from __future__ import annotations

import atexit
import errno
import gc
import sys
import warnings

import typer

from results.exchange import readable
from search.lazy_commands import Home, lazily
from search_space.errors import UserError

_COMMANDS = {
    "search": Home("cli_search", "search_command", "EPILOG"),
    "train": Home("cli_train", "train", "TRAIN_EPILOG"),
    "confirm": Home("cli_confirm", "confirm_command", "EPILOG"),
    "dashboard": Home(
        "cli_studies",
        "dashboard",
        "Example: attnas dashboard -o dashboard.db && optuna-dashboard sqlite:///dashboard.db",
    ),
    "cost": Home(
        "cli_cost", "cost", "Example: attnas cost fca-ts --backbone resnet50 --image-size 224 --classes 1000 --json"
    ),
    "ablate": Home("cli_explain", "ablate", "ABLATE_EPILOG"),
    "data": Home("cli_data", "data", "DATA_EPILOG"),
    "retrain": Home("cli_retrain", "retrain_command", "EPILOG"),
    "export": Home("cli_export", "export_command", "EPILOG"),
    "eval": Home("cli_eval", "eval_command", "EPILOG"),
    "results": Home("cli_results", "app"),
    "study": Home("cli_studies", "app"),
    "space": Home("cli_space", "app"),
}
app = typer.Typer(
    cls=lazily(_COMMANDS),
    help="Search channel-attention designs: squeeze x wavelet depth x frequencies x excitation x reduction.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback()
def prepare(context: typer.Context) -> None:
    """Runs before each command."""
    if context.invoked_subcommand != "results":
        gc.enable()


_OF_A_PLACE = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC)
"""What the user's own place is like, and no fault of ours."""


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
