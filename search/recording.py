"""From claim to finished row: what every kind of training shares."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from sqlalchemy.exc import DBAPIError

from results.lease import heartbeat, this_owner
from results.recipes import KeptRecipe
from results.retry import persistently
from results.row import Row
from results.store import Store
from search.failures import attempt
from search_space import AttentionDesign, Layered, UserError
from search_space.sites import network_key
from trainers import Cost, Outcome, Recipe, design_cost, sites
from trainers.factories import versioned
from trainers.imagenet_recipe import RetrainRecipe

_log = logging.getLogger(__name__)


class UnwrittenError(UserError):
    """A result that the storage would not take."""


def running_row(
    design: AttentionDesign | Layered,
    seed: int,
    context: dict[str, Any],
    *,
    scale: str,
    cost: Cost | None = None,
    key: str | None = None,
) -> Row:
    """The running row that claims an evaluation in a context (the columns of `results.row.CONTEXT`).

    `cost` and the network's `key` are counted unless they are known.
    """
    network = (context["backbone"].partition("#")[0], context["image_size"], context["num_classes"])
    cost = cost or design_cost(design, *network)
    now = time.time()
    return Row(
        network_key=key or key_on(design, *network, scale=scale),
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


def keep_recipe(recipe: Recipe | RetrainRecipe, store: Store) -> None:
    """Write down what the recipe's hash stands for, once a storage: rows say no more than the hash.

    Raises:
        RecipeConflictError: the storage knows the hash as something else.
    """
    kept = KeptRecipe(hash=recipe.hash, kind=type(recipe).__name__, name=recipe.name, content=recipe.content)
    persistently(lambda: store.recipes.keep(kept), f"the recipe {recipe.name}")


def record(
    row: Row, store: Store, training: Callable[[], Outcome], *, stopped: Callable[[], bool] | None = None
) -> tuple[Row, bool]:
    """Claim, train, finish: the row, and whether it was trained now.

    A row that exists is the answer: complete, failed, or running in another live process. A database that is away is
    waited for, until `stopped()`.
    """
    found = persistently(lambda: store.claim(row), f"the claim on {row.design}", until=stopped)
    return (found, False) if found is not None else (carry_out(row, store, training, stopped=stopped), True)


def give_back(row: Row, store: Store) -> None:
    """Release a claim; where the storage does not answer, the lease dies with this process."""
    try:
        store.release(row.identity, str(row.owner))
    except DBAPIError:
        _log.warning("the claim on %s could not be given back; it ends with this process", row.design, exc_info=True)


def carry_out(
    row: Row,
    store: Store,
    training: Callable[[], Outcome],
    *,
    progress: Callable[[], float | None] | None = None,
    stopped: Callable[[], bool] | None = None,
) -> Row:
    """Train what `row` has claimed, and write how it ended; failures are tried again as `search.failures` says.

    A training that is interrupted, or ends in a user's error, gives its claim back, so that the same command can
    begin it again. A database that is away, or a disk that is full, is waited for, until `stopped()`.
    """
    assert row.owner is not None
    try:
        with heartbeat(store, row.identity, row.owner, progress=progress):
            outcome, tries = attempt(training)
    except BaseException:
        give_back(row, store)
        raise
    given = {field.name: getattr(outcome, field.name) for field in fields(Outcome)}
    finished = replace(row, **given, attempts=row.attempts + tries - 1, finished=time.time())
    try:
        persistently(lambda: store.finish(finished), f"the row of {row.design}", until=stopped)
    except DBAPIError as error:
        raise UnwrittenError(
            f"{row.design} was trained ({finished.status}), but its row could not be written before the search was "
            f"stopped: {error.orig}. Mend the storage; the same command trains it again."
        ) from error
    return finished
