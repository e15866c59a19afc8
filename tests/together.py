"""Several processes of one retraining, begun from a server that has imported what they need."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray_cluster import free_port
from retrain_tree import carried_out

from search_space import find_design

_SERVED = multiprocessing.get_context("forkserver")
_SERVED.set_forkserver_preload(["trainers.imagenet_run", "trainers.imagenet", "search.cli"])


def together(tree: Path, output: Path, world: int = 2, **options: Any) -> list[int]:
    """Retrain in `world` processes, as torchrun would start them; returns their exit codes.

    Options are those of `trainers.imagenet.retrain` and of `Execution`; `killed` is {rank: look at which it is killed},
    `halted` the look at which the last process is told to stop. `raising` is (rank, place, error): what it runs into
    in its "set-up", "data" or "epoch" report; codes are then 40 for a halt, 41 where another process was lost, 42 for
    one's own failure.
    """
    port = free_port()
    return _in_processes(_one, [(rank, world, port, tree, output, options) for rank in range(world)])


def commanded(folder: Path, *words: object, world: int = 2) -> list[tuple[int, str, str]]:
    """`attnas WORDS` typed in `folder`, in `world` processes: the code, the output and the errors of each."""
    port, places = free_port(), [folder / f"process{rank}" for rank in range(world)]
    said = [str(word) for word in words]
    codes = _in_processes(_command, [(rank, world, port, folder, place, said) for rank, place in enumerate(places)])
    texts = [[place.with_suffix(end).read_text() for end in (".out", ".err")] for place in places]
    return [(code, out, err) for code, (out, err) in zip(codes, texts, strict=True)]


def _in_processes(target: Callable[..., None], arguments: list[tuple[Any, ...]]) -> list[int]:
    """The exit codes of a process for each; of one that does not end, that of the signal which then ends it."""
    processes = [_SERVED.Process(target=target, args=given) for given in arguments]
    for process in processes:
        process.start()
    codes = []
    for process in processes:
        process.join(60)
        if process.exitcode is None:
            process.kill()
            process.join()
        codes.append(int(process.exitcode or 0))
    return codes


def _command(rank: int, world: int, port: int, folder: Path, said: Path, words: list[str]) -> None:
    _as_torchrun(rank, world, port)
    os.chdir(folder)
    for number, end in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(said.with_suffix(end), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w") for number in (1, 2))
    sys.argv = ["attnas", *words]
    from search.cli import main

    main()


def _as_torchrun(rank: int, world: int, port: int) -> None:
    here = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "MASTER_PORT": port}
    os.environ |= {"MASTER_ADDR": "127.0.0.1"} | {name: str(value) for name, value in here.items()}


def _one(rank: int, world: int, port: int, tree: Path, output: Path, options: dict[str, Any]) -> None:
    import torch

    from trainers.imagenet import Halted, image_set, retrain
    from trainers.processes import PeerLostError, ProcessError, joined

    torch.set_num_threads(1)
    _as_torchrun(rank, world, port)
    raising = options.pop("raising", None)
    if raising is not None and raising[0] == rank:
        options |= _broken(*raising[1:])
    killed, halted = options.pop("killed", {}).get(rank), options.pop("halted", None)
    looks = 0

    def stop() -> bool:
        nonlocal looks
        looks += 1
        if looks == killed:
            os.kill(os.getpid(), 9)
        return looks == halted and rank == world - 1

    with joined(torch.device("cpu")) as processes:
        arguments = carried_out({"backbone": "resnet8", "image_size": 32} | options | {"processes": processes})
        try:
            done = retrain(find_design("se"), image_set(tree), output=output, stop=stop, **arguments)
        except Halted:
            os._exit(40)
        except PeerLostError:
            os._exit(41)
        except ProcessError as error:
            assert f"process {rank} of {world}" in str(error)
            os._exit(42)
        assert done.status == "complete", done.error


def _broken(place: str, error: Exception) -> dict[str, Any]:
    """Makes this process run into an error there; returns options to retrain with."""
    from trainers import imagenet_run, training

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    if place == "set-up":
        training.Training.network = fail  # type: ignore[method-assign]
    elif place == "data":
        imagenet_run.Run.update = fail  # type: ignore[method-assign]
    return {"on_epoch": fail} if place == "epoch" else {}


def diverged(tree: Path, output: Path) -> int:
    """The exit code of a process whose training diverged, and in which nothing collects cycles of objects."""
    return _in_processes(_diverging, [(tree, output)])[0]


def _diverging(tree: Path, output: Path) -> None:
    import gc

    from trainers.imagenet import RetrainRecipe, image_set, retrain

    gc.disable()
    multiprocessing.set_start_method("fork", force=True)  # as for a command; a served process would serve its own
    recipe = RetrainRecipe(epochs=2, batch_size=8, warmup_epochs=0, learning_rate=1e30)
    options = carried_out({"backbone": "resnet8", "image_size": 32, "recipe": recipe, "workers": 1})
    done = retrain(find_design("se"), image_set(tree), output=output, **options)
    assert done.failure == "nan", done
