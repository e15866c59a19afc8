"""Several processes of one retraining, begun from a server that has imported what they need."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray_cluster import free_port
from retrain_tree import carried_out

from search_space import find_design

_SERVED = multiprocessing.get_context("forkserver")
_SERVED.set_forkserver_preload(["trainers.imagenet_run", "trainers.imagenet"])
Step = Callable[[], bool]


def together(tree: Path, output: Path, world: int = 2, **options: Any) -> list[int | None]:
    """Retrain in `world` processes, as torchrun would start them; returns their exit codes.

    Options are those of `trainers.imagenet.retrain` and of `Execution`; `killed` is {rank: look at which it is killed},
    `halted` the look at which the last process is told to stop.
    """
    port = free_port()
    processes = [_SERVED.Process(target=_one, args=(rank, world, port, tree, output, options)) for rank in range(world)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        if process.exitcode is None:
            process.kill()
    return [process.exitcode for process in processes]


def _one(rank: int, world: int, port: int, tree: Path, output: Path, options: dict[str, Any]) -> None:
    import torch

    from trainers.imagenet import Halted, image_set, retrain
    from trainers.processes import ProcessError, joined

    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
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
        except ProcessError:
            os._exit(41)
        assert done.status == "complete", done.error
