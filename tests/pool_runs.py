"""Searches by several processes whose trainings only pretend; also a driver that can be killed: `-m pool_runs`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unmeasured import Unmeasured

from results import open_store
from search.budget import Budget
from search.launch import run
from search.objective import Setting
from search.request import Request, make_request
from search_space import Space
from trainers import PROXY, ImageData
from trainers.outcome import Outcome

SPACE = Space(squeeze=("none", "avg", "max"), reduction=(4, 8))


@dataclass(frozen=True)
class Pretending(Unmeasured):
    """A training is a line in `log`, `seconds` in which it asks to go on, and an accuracy by design.

    None ends before `company` processes have begun one: on a busy machine they start seconds apart.
    """

    log: Path = Path()
    seconds: float = 0.0
    company: int = 1

    def train(self, design, seed, *, until=None, checkpoint=None, on_epoch=None, on_step=None):
        epochs = until or self.recipe.epochs
        with self.log.open("a") as log:
            log.write(json.dumps([os.getpid(), str(design), seed, epochs]) + "\n")
        end = time.monotonic() + self.seconds
        while time.monotonic() < end or len({pid for pid, *_ in begun(self.log.parent)}) < self.company:
            on_step()
            time.sleep(0.005)
        facts: dict[str, Any] = {
            "precision": "float32",
            "hardware": "none",
            "versions": {},
            "commit": None,
            "split": "validation",
        }
        status = "complete" if epochs == self.recipe.epochs else "stopped"
        accuracy = 0.5 + len(str(design)) / 200
        return Outcome(status=status, accuracy=accuracy, loss=1.0, epochs_trained=float(epochs), **facts)


@dataclass(frozen=True, kw_only=True)
class Pretence(Request):
    log: Path = field(default=Path())
    seconds: float = 0.0
    company: int = 1

    def setting(self) -> Setting:
        real = super().setting()
        own: dict[str, Any] = {"log": self.log, "seconds": self.seconds, "company": self.company}
        return Pretending(real.data, self.backbone, self.recipe, device="cpu", **own)


def pretence(
    data: ImageData, folder: Path, *, space: Space = SPACE, seconds: float = 0.0, company: int = 1, **changed: Any
) -> Pretence:
    """A request on `data`, one epoch without rungs unless `changed`, that logs to `folder/log`."""
    words: dict[str, Any] = {
        "epochs": 1,
        "seed": 0,
        "replicates": 1,
        "sampler": "random",
        "objectives": "accuracy,macs",
    }
    words |= {"halving": False, "factor": 3, "shortest": 1, "bracket": 0, "warm_start_from": "none"}
    words |= {"recipe": PROXY.changed(batch_size=20), "backbone": "resnet8", "precision": "float32", "fused": False}
    made = make_request(space, data=data, image_size=data.image_size, **words | changed)
    named = {name: getattr(made, name) for name in Request.__dataclass_fields__}
    return Pretence(**named, log=folder / "log", seconds=seconds, company=company)


def begun(folder: Path) -> list[tuple[int, str, int, int]]:
    """(pid, design, seed, epochs) of every training that was begun, in order."""
    path = folder / "log"
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def start_driver(url: str, folder: Path, **options: Any) -> subprocess.Popen[bytes]:
    """A process that searches as `options` say; its errors go to `folder/err`."""
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    with (folder / "err").open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "pool_runs", json.dumps({"url": url, "folder": str(folder), **options})],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            stdout=errors,
            stderr=errors,
        )


def main(url: str, folder: str, workers: int, trials: int, **pretended: Any) -> None:
    from conftest import make_blobs

    request = pretence(make_blobs(seed=0), Path(folder), **pretended)
    with open_store(url) as store:
        run(request, Budget(trials=trials), store, workers=workers)


if __name__ == "__main__":
    import pool_runs  # as workers will import it: what they are sent must not be of a module called __main__

    pool_runs.main(**json.loads(sys.argv[1]))
