"""Runs the real command, kills what belongs to it, starts it again, until it ends by itself."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from chaos.backends import TICKETS, Plan, Strike, connections, storage
from chaos.journal import Journal
from chaos.processes import AGENTS, AGENTS_SECONDS, MARK, Processes, kill
from PIL import Image
from postgres import Server

_ROOT = Path(__file__).parents[2]
_HOOKS = Path(__file__).with_name("hooks")
_LOOK_SECONDS = 0.05
_LAST_SECONDS = 10.0  # that processes have to end after the search
_OPTIONS = (
    "--image-size 8 --backbone resnet8 --precision float32 --no-fuse --set batch_size=16 --workers 2 --sampler random "
    "--warm-start none"
)


@dataclass
class Campaign:
    """One plan carried out in `folder`. `faults` is what went wrong with the runs; the rows are judged elsewhere."""

    plan: Plan
    folder: Path
    url: str
    server: Server | None
    seed: int
    faults: list[str] = field(default_factory=list)
    runs: int = 0

    def __post_init__(self) -> None:
        self.journal, self.processes = Journal(self.folder), Processes(self.folder)
        self._random = random.Random(f"victims {self.seed}")
        self._tickets = 0
        self._ours_died = False  # by our hand
        (self.folder / "tickets").mkdir()
        _write_images(self.folder / "images")

    def run(self, limit_seconds: float) -> None:
        """Until the command has ended by itself with every strike done, or the time is up, which is a fault."""
        end = time.monotonic() + limit_seconds
        waiting = list(self.plan.strikes)
        driver = self._start()
        while time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
            self.journal.read()
            while waiting and self.journal.commits >= waiting[0].after and self._strike(waiting[0], driver):
                del waiting[0]
            code = driver.poll()
            if code == 0:
                break
            if code is not None:
                self._judge_end(code)
                driver = self._start()
        else:
            kill(driver.pid)
            self.faults.append(f"not done after {limit_seconds:g} s; the driver said: {self._said()[-600:]}")
        driver.wait()
        unused = len(waiting) + len(list((self.folder / "tickets").iterdir()))
        if unused:
            self.faults.append(f"{unused} kills had no time to happen")
        self.journal.read()

    def run_undisturbed(self, limit_seconds: float) -> None:
        """The same command once more: it has nothing to do, and says so."""
        try:
            code = self._start().wait(limit_seconds)
        except subprocess.TimeoutExpired:
            self.faults.append(f"the undisturbed run had not ended after {limit_seconds:g} s")
            return
        if code != 0:
            self._judge_end(code)
        begun = len(self.journal.of("begun"))
        self.journal.read()
        if len(self.journal.of("begun")) != begun:
            self.faults.append("the undisturbed run trained something")

    def left_alive(self, *, patiently: bool) -> dict[int, str]:
        """Processes of ours that have not ended in the time they have; `patiently`: Ray's agents too."""
        begun = time.monotonic()
        while alive := self.processes.look():
            waited = time.monotonic() - begun
            agents = {process for process, command in alive.items() if AGENTS.search(command)}
            others = {process.pid: command for process, command in alive.items() if process not in agents}
            if waited > _LAST_SECONDS and others:
                return others
            if not others and (not patiently or waited > AGENTS_SECONDS):
                return {process.pid: alive[process] for process in agents} if patiently else {}
            time.sleep(0.2)
        return {}

    # -- the command -----------------------------------------------------------------------------------------------

    def command(self) -> list[str]:
        options = [*_OPTIONS.split(), *self.plan.options(), "--grace", "5s", "--storage", self.url]
        if self.plan.epochs == 1:
            options.append("--no-halving")
        options += ["--checkpoints", str(self.folder / "checkpoints")]
        return [sys.executable, "-m", "search", "search", "--data", f"folder:{self.folder}/images", *options]

    def _start(self) -> subprocess.Popen[bytes]:
        paths = [str(_HOOKS), str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {
            MARK: str(self.folder),
            "PYTHONPATH": os.pathsep.join(paths),
            "TMPDIR": str(self.folder),  # what killed processes leave there goes with the folder
            "ATTNAS_CACHE": str(self.folder / "cache"),
            "OMP_NUM_THREADS": "1",
        }
        with (self.folder / f"run{self.runs}.err").open("wb") as errors:
            driver = subprocess.Popen(
                self.command(), stdout=errors, stderr=errors, env=environment, cwd=self.folder, start_new_session=True
            )
        self.runs += 1
        self._ours_died = False
        return driver

    def _said(self) -> str:
        return (self.folder / f"run{self.runs - 1}.err").read_text(errors="replace")

    def _judge_end(self, code: int) -> None:
        if not self._ours_died:
            self.faults.append(f"run {self.runs} ended with code {code} by itself: {self._said()[-600:]}")

    def tracebacks(self) -> list[str]:
        """Of every run."""
        said = {path.name: path.read_text(errors="replace") for path in sorted(self.folder.glob("run*.err"))}
        return [f"{name} has a traceback: {text[-600:]}" for name, text in said.items() if "Traceback" in text]

    # -- kills -----------------------------------------------------------------------------------------------------

    def _strike(self, strike: Strike, driver: subprocess.Popen[bytes]) -> bool:
        """Whether there was a victim."""
        if strike.kind in TICKETS:
            (self.folder / "tickets" / f"{self._tickets:03d}-{strike.kind}").touch()
            self._tickets += 1
            return True
        if strike.kind == "driver":
            victims = [driver.pid]
        elif strike.kind == "backend":
            assert self.server is not None
            victims = connections(self.server, self.url)
        else:
            victims = self.processes.of_kind(strike.kind)
        if not victims:
            return False
        victim = self._random.choice(victims)
        self._ours_died |= strike.kind in ("driver", "raylet", "gcs")  # without its node a driver can't go on
        self.journal.kill(strike.kind, victim)
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGTERM if strike.kind == "backend" else signal.SIGKILL)
        return True


@contextmanager
def campaign(plan: Plan, seed: int, server: Server | None = None) -> Iterator[Campaign]:
    """A campaign ready to run in a folder of its own. Whatever happens, no process and no file is left."""
    folder = Path(tempfile.mkdtemp(prefix="ac-", dir="/tmp"))  # Ray puts sockets there: their paths must be short
    with storage(plan, folder, server) as (url, running):
        made = Campaign(plan, folder, url, running, seed)
        try:
            yield made
        finally:
            made.processes.end()
            shutil.rmtree(folder, ignore_errors=True)


def _write_images(root: Path) -> None:
    """Three classes that differ in colour, 12 images each of 8 pixels: an epoch takes some milliseconds."""
    draw = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4)):
        for label in range(3):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = draw.integers(0, 100, (8, 8, 3), dtype=np.uint8)
                pixels[..., label] += 100
                Image.fromarray(pixels).save(folder / f"{index}.png")
