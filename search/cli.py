"""The command line. Starts at once: torch, pandas and Optuna are imported by the commands that need them."""

from __future__ import annotations

import atexit
import errno
import gc
import sys
import warnings

import typer

from results.exchange import readable
from search.cli_confirm import EPILOG as CONFIRM_EPILOG
from search.cli_confirm import confirm_command
from search.cli_cost import cost
from search.cli_explain import ABLATE_EPILOG, ablate
from search.cli_results import app as results_app
from search.cli_retrain import EPILOG as RETRAIN_EPILOG
from search.cli_retrain import retrain_command
from search.cli_search import EPILOG, search_command
from search.cli_space import app as space_app
from search.cli_studies import app as study_app
from search.cli_studies import dashboard
from search.cli_train import TRAIN_EPILOG, train
from search_space.errors import UserError

app = typer.Typer(
    help="Search channel-attention designs: squeeze x wavelet depth x frequencies x excitation x reduction.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.command("search", epilog=EPILOG)(search_command)
app.command(epilog=TRAIN_EPILOG)(train)
app.command("confirm", epilog=CONFIRM_EPILOG)(confirm_command)
app.add_typer(results_app, name="results")
app.add_typer(study_app, name="study")
app.command(epilog="Example: attnas dashboard -o dashboard.db && optuna-dashboard sqlite:///dashboard.db")(dashboard)
app.command(epilog="Example: attnas cost fca-ts --backbone resnet50 --image-size 224 --classes 1000 --json")(cost)
app.add_typer(space_app, name="space")
app.command(epilog=ABLATE_EPILOG)(ablate)
app.command("retrain", epilog=RETRAIN_EPILOG)(retrain_command)


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
