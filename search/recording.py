"""From claim to finished row: what every kind of training shares."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from results.lease import heartbeat, this_owner
from results.row import Row
from results.store import Store
from search_space import AttentionDesign, Layered
from search_space.sites import network_key
from trainers import Outcome, design_cost, sites
from trainers.factories import versioned

_log = logging.getLogger(__name__)


def running_row(design: AttentionDesign | Layered, seed: int, context: dict[str, Any], *, scale: str) -> Row:
    """The running row that claims an evaluation in a context (the columns of `results.row.CONTEXT`)."""
    network = (context["backbone"].partition("#")[0], context["image_size"], context["num_classes"])
    cost = design_cost(design, *network)
    now = time.time()
    return Row(
        network_key=key_on(design, *network, scale=scale),
        **context,
        seed=seed,
        key=design.key,
        design=str(design),
        status="running",
        macs=cost.macs,
        macs_convention=cost.convention,
        params=cost.params,
        owner=this_owner(),
        heartbeat=now,
        started=now,
    )


def key_on(design: AttentionDesign | Layered, backbone: str, image_size: int, num_classes: int, *, scale: str) -> str:
    """The network key of a design on a backbone by name."""
    places, network = sites(backbone, image_size, design), versioned(backbone)
    return network_key(
        design, backbone=network, image_size=image_size, num_classes=num_classes, sites=places, scale=scale
    )


def record(row: Row, store: Store, training: Callable[[], Outcome]) -> tuple[Row, bool]:
    """Claim, train, finish: the row, and whether it was trained now.

    A row that exists is the answer: complete, failed, or running in another live process. A training that is
    interrupted, or ends in a user's error, gives its claim back, so that the same command can begin it again.
    """
    found = store.claim(row)
    if found is not None:
        return found, False
    assert row.owner is not None
    try:
        with heartbeat(store, row.identity, row.owner):
            outcome = training()
    except BaseException:
        store.release(row.identity, row.owner)
        raise
    given = {field.name: getattr(outcome, field.name) for field in fields(Outcome)}
    finished = replace(row, **given, finished=time.time())
    _finish(store, finished)
    return finished, True


def _finish(store: Store, row: Row) -> None:
    """A database that is away for a moment must not cost a training."""
    for wait_seconds in (1, 4, 15, 60):
        try:
            store.finish(row)
            return
        except SQLAlchemyError as error:
            _log.warning("the row of %s is not written yet, trying again in %d s: %s", row.design, wait_seconds, error)
            time.sleep(wait_seconds)
    store.finish(row)
