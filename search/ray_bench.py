"""Where an actor of Ray trains: the data in memory, the storage open, cores of its own. Imports no Ray."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

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
from trainers.shared_images import Arrays, joined


@dataclass(frozen=True, kw_only=True)
class ActorOrders:
    """What every actor of a search is told, once."""

    request: Request  # its data parted from the images
    plan: Plan
    storage: str
    folder: Path  # the driver's, to which relative paths belong
    host: str  # the driver's
    cores: int  # to take for itself


@dataclass(frozen=True)
class Parcel:
    """A job, and where its undecayed state lies between rungs."""

    job: Job
    checkpoint: Path | None


class Bench:
    """Carries out one job after the other."""

    def __init__(self, orders: ActorOrders, images: Arrays) -> None:
        self.orders, self.images = orders, images
        self._place: tuple[Setting, Store] | None = None

    def carry_out(self, parcel: Parcel) -> dict[str, Any]:
        """Train, and write the row; returns what the driver has to know besides, a user's error among it."""
        try:
            do(
                parcel.job,
                self.orders.plan,
                *self._settled_in(),
                Stop(),  # the driver ends this process when the search must stop
                checkpoint=parcel.checkpoint,
                timeout_seconds=self.orders.request.timeout_seconds,
                on_epoch=_unheard,
            )
        except OverLatencyError as over:
            return {OVER_LIMIT: over.excess}
        except UserError as error:
            return {REFUSED: f"{error} (said by a worker on {socket.gethostname()})"}
        return {}

    def close(self) -> None:
        if self._place is not None:
            self._place[1].close()

    def _settled_in(self) -> tuple[Setting, Store]:
        if self._place is None:
            orders = self.orders
            warnings.simplefilter("ignore")
            logging.getLogger().setLevel(logging.WARNING)
            if orders.folder.is_dir():
                os.chdir(orders.folder)
            if orders.storage.startswith("sqlite") and socket.gethostname() != orders.host:
                raise UserError(far_sqlite(socket.gethostname()))
            torch.set_num_threads(orders.request.threads)
            own_cores(orders.cores)
            request = replace(orders.request, data=joined(orders.request.data, self.images))  # type: ignore[arg-type]
            self._place = request.setting(), open_store(orders.storage)
        return self._place


def _unheard(row: Row, record: dict[str, float]) -> None:
    """The driver sees how far a training is in the row's progress."""


def far_sqlite(host: str) -> str:
    """Why a machine can't have a part in a search."""
    return (
        f"the storage is an SQLite file on the driver's machine, and {host} is another: several machines need a "
        "PostgreSQL database (--storage postgresql://USER:PASSWORD@HOST/DATABASE)."
    )
