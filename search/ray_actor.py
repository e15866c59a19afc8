"""The Ray actor that trains: one process, one evaluation after the other, each claimed by the driver of the search."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune

from results import Store, open_store
from results.row import Row
from search.budget import Stop
from search.cores import own_cores
from search.latency import OverLatencyError
from search.objective import Setting
from search.proposals import Plan
from search.ray_driver import OVER_LIMIT, REFUSED
from search.request import Request
from search.study import Job
from search.worker import do
from search_space import UserError


@dataclass(frozen=True, kw_only=True)
class ActorOrders:
    """What every actor of a search is told, once."""

    request: Request
    plan: Plan
    storage: str
    folder: Path  # the driver's, to which relative paths belong
    host: str  # the driver's
    cores: int  # to take for itself


@dataclass(frozen=True)
class Parcel:
    """A job as a value in the configuration of a Tune trial, which Ray copies and prints at every turn."""

    job: Job
    checkpoint: Path | None

    def __deepcopy__(self, memo: dict[int, Any]) -> Parcel:
        return self

    def __str__(self) -> str:
        return self.job.row.identity[:8]


class Evaluator(tune.Trainable):
    """Carries out what is in `config["parcel"]`, and writes its row before Ray hears of it."""

    def setup(self, config: dict[str, Any], orders: ActorOrders | None = None) -> None:
        assert orders is not None
        self.orders, self.parcel = orders, config["parcel"]
        self.place: tuple[Setting, Store] | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.parcel = new_config["parcel"]
        return True

    def step(self) -> dict[str, Any]:
        """One evaluation; a failed training is a row, and what is raised here is no fault of the design."""
        parcel, orders = self.parcel, self.orders
        try:
            self.place = self.place or _settle_in(orders)
            do(
                parcel.job,
                orders.plan,
                *self.place,
                Stop(),  # the driver ends this process when the search must stop
                checkpoint=parcel.checkpoint,
                timeout_seconds=orders.request.timeout_seconds,
                on_epoch=_unheard,
            )
        except OverLatencyError as over:
            return {"done": True, OVER_LIMIT: over.excess}
        except UserError as error:
            return {"done": True, REFUSED: f"{error} (on {socket.gethostname()})"}
        return {"done": True}

    def cleanup(self) -> None:
        if self.place is not None:
            self.place[1].close()


def _unheard(row: Row, record: dict[str, float]) -> None:
    """Epochs are seen by the driver in the row's progress."""


def _settle_in(orders: ActorOrders) -> tuple[Setting, Store]:
    import torch

    warnings.simplefilter("ignore")
    logging.getLogger().setLevel(logging.WARNING)
    if orders.folder.is_dir():
        os.chdir(orders.folder)
    if orders.storage.startswith("sqlite") and socket.gethostname() != orders.host:
        raise UserError(far_sqlite(socket.gethostname()))
    torch.set_num_threads(orders.request.threads)
    own_cores(orders.cores)
    return orders.request.setting(), open_store(orders.storage)


def far_sqlite(host: str) -> str:
    """Why a node can't have a part in a search."""
    return (
        f"the storage is an SQLite file on the driver's machine, and {host} is another: several machines need a "
        "PostgreSQL database (--storage postgresql://USER:PASSWORD@HOST/DATABASE)."
    )
