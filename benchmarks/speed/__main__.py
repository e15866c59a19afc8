"""How fast trials, steps and squeezes are beside what is written plainly today. Writes benchmarks/speed.md.

python -m benchmarks.speed [few] [many] [long] [loop] [attention] [squeezes] [cuda] [profile]
    [--repeats 5] [--small]
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.speed.scale import Scale
from benchmarks.tables import write_section
from search_space.errors import UserError
from trainers.folder import list_tree

TRIALS = ("few", "many", "long")
SECTIONS = {
    **{name: f"Trials an hour: {name}" for name in TRIALS},
    "loop": "The training loop",
    "attention": "A step with attention",
    "squeezes": "Linear squeezes",
    "cuda": "On a CUDA device",
    "profile": "Where the time of a trial goes",
}
HEAD = """# Speed

Each section says where, when and by which command it was made; a new run replaces its own section. A ratio counts only
where the answers agree, which each section states."""


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    arguments.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(SECTIONS)}; all by default")
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--small", action="store_true", help="everything once and little of it")
    arguments.add_argument("--data", type=_from_here, default="synthetic", help="of trials: synthetic, folder:PATH")
    arguments.add_argument("--epochs", type=int, help="of the trials, instead of their own")
    arguments.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "speed.md")
    options = arguments.parse_args()
    if strange := set(options.parts) - SECTIONS.keys():
        arguments.error(f"no part {', '.join(sorted(strange))}; there are {', '.join(SECTIONS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that processes and folders go too
    scale = Scale(1 if options.small else options.repeats, options.small, options.data, options.epochs, options.output)
    for name in options.parts or SECTIONS:
        scale.say(name)
        text = _section(name, scale)
        write_section(options.output, HEAD, text, list(SECTIONS.values()))
        print(text, flush=True)


def _from_here(data: str) -> str:
    """Trials run in folders of their own. What they could not read is refused now, not after minutes."""
    kind, _, given = data.partition(":")
    place = Path(given).expanduser().resolve()
    try:
        if given:
            list_tree(place)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return f"{kind}:{place}" if given else kind


def _section(name: str, scale: Scale) -> str:
    if name in TRIALS:
        return str(import_module("benchmarks.speed.trials").section(scale, name))
    return str(import_module(f"benchmarks.speed.{name}").section(scale))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
