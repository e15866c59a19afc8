"""What processes under test do beside their work: log each step of an evaluation, and die at chosen moments.

Python runs this file at its start where the folder is on PYTHONPATH, so the code under test holds no hook. A moment to
die at is a ticket, a file in `tickets/` that the harness has put there; whoever removes it first has it:

- trained: the trainer has returned, nothing is written
- inside: the row is written, its transaction is not committed
- commit: at some instant while COMMIT runs, or in the few milliseconds after it and before `finish` returns
- committed: `finish` has returned, nothing was done after
- terminate, crash: as inside, but PostgreSQL's process of the connection dies, of SIGTERM or SIGKILL

Without the variable ATTNAS_CHAOS, the folder of log and tickets, nothing happens.
"""

import importlib.machinery
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

_FOLDER = Path(os.environ.get("ATTNAS_CHAOS", ""))
_LONGEST_COMMIT_SECONDS = 0.004
_doom = {}  # identity -> moment


def log(event, identity, **more):
    """One line, one write: lines of several processes don't mix, and stand in the order of their writes."""
    line = json.dumps({"time": time.time(), "event": event, "identity": identity, "pid": os.getpid(), **more}) + "\n"
    file = os.open(_FOLDER / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


def ticket():
    """The moment of the oldest ticket, which is now ours; None if there is none."""
    for path in sorted((_FOLDER / "tickets").iterdir()):
        try:
            path.unlink()
        except FileNotFoundError:
            continue  # another was faster
        return path.name.partition("-")[2]
    return None


def die(identity, moment):
    log("kill", identity, moment=moment, victim=os.getpid(), kind="trainer")
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # a signal to oneself may come a little later


def die_soon(identity):
    log("kill", identity, moment="commit", victim=os.getpid(), kind="trainer")

    def wait():
        time.sleep(random.uniform(0, _LONGEST_COMMIT_SECONDS))
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def kill_backend(identity, moment, connection):
    backend = connection.connection.dbapi_connection.info.backend_pid
    log("kill", identity, moment=moment, victim=backend, kind="backend")
    os.kill(backend, signal.SIGTERM if moment == "terminate" else signal.SIGKILL)


def patch_recording(module):
    real = module.carry_out

    def carry_out(row, store, training, **options):
        def logged():
            log("begun", row.identity)
            outcome = training()
            log("trained", row.identity)
            moment = ticket()
            if moment == "trained":
                die(row.identity, moment)
            _doom[row.identity] = moment
            return outcome

        return real(row, store, logged, **options)

    module.carry_out = carry_out


def patch_turn(module):
    real = module.Turn.finish

    def finish(self, row):
        first = real(self, row)
        moment = _doom.get(row.identity)
        if moment == "inside":
            die(row.identity, moment)
        elif moment == "commit":
            die_soon(row.identity)
        elif moment in ("terminate", "crash"):
            kill_backend(row.identity, _doom.pop(row.identity), self.connection)
        return first

    module.Turn.finish = finish


def patch_store(module):
    real, real_release = module.Store.finish, module.Store.release

    def release(self, identity, owner):
        ours = real_release(self, identity, owner)
        if ours:
            log("released", identity)
        return ours

    def finish(self, row):
        first = real(self, row)
        if _doom.get(row.identity) == "commit":
            time.sleep(60)  # it dies meanwhile
        log("committed", row.identity, status=row.status, accuracy=row.accuracy, loss=row.loss, first=first)
        if _doom.pop(row.identity, None) == "committed":
            die(row.identity, "committed")
        return first

    module.Store.finish, module.Store.release = finish, release


_PATCHES = {"search.recording": patch_recording, "results.turn": patch_turn, "results.store": patch_store}


class Patching:
    """Finds the modules that are patched, and patches them as soon as they have been run."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in _PATCHES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert spec is not None, f"{name} has gone: these hooks must follow it"
        run = spec.loader.exec_module

        def run_and_patch(module):
            run(module)
            _PATCHES[name](module)

        spec.loader.exec_module = run_and_patch
        return spec


if "ATTNAS_CHAOS" in os.environ:
    sys.meta_path.insert(0, Patching)
