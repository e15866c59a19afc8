"""Search with Ray Tune: on this machine, or on a cluster that runs.

Tune places evaluations on machines and notices when one is gone; it decides and remembers nothing. One Tune trial is
one evaluation that the driver has claimed (`search.ray_driver`); its actor (`search.ray_actor`, `search.ray_bench`)
writes the row. What Tune keeps for a restoration of its own goes into a folder that is thrown away.
"""

from __future__ import annotations

import math
import os
import socket
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from search.budget import Budget, Stop
from search.cores import cores_of_each, usable_cores
from search.lookout import Report, SearchError
from search.ray_bench import ActorOrders, Parcel
from search.ray_driver import Driver
from search.request import Request
from search.study import Study
from trainers.shared_images import Arrays, parted

try:
    import ray
    from ray import tune
    from ray.tune.search import Searcher
except ImportError as missing:
    raise SearchError(
        f"the engine ray needs Ray Tune, and it can't be imported ({missing}): pip install 'attnas[ray]', or search "
        "with --engine optuna."
    ) from missing

from search.ray_actor import Evaluator, Sealed
from search.ray_cluster import check_nodes, cluster, handlers_kept


def run_ray(
    request: Request,
    study: Study,
    budget: Budget,
    stop: Stop,
    *,
    workers: int | None,
    address: str | None,
    devices_per_worker: float | None,
    report: Report,
) -> str:
    """Search with at most `workers` evaluations at a time until the study is over; returns why it ended.

    `address` is that of a running cluster (`auto`, `HOST:PORT`); None starts one on this machine that ends with the
    search, of `workers` times `request.threads` CPUs. Without `workers`, as many as fit. `devices_per_worker` is the
    share of an accelerator that each gets; by default the accelerators of this machine are shared out among the
    workers, and on a cluster each worker gets one if there are any.

    Raises `SearchError`.
    """
    if devices_per_worker is not None:
        check_share(devices_per_worker)
    here = workers or max(1, usable_cores() // request.threads)
    with cluster(address, cpus=here * request.threads):
        share = _share(request, here, alone=address is None) if devices_per_worker is None else devices_per_worker
        fit = check_nodes(study.store.url, cpus=request.threads, devices=share)
        driver = Driver(study, budget, stop, report, workers=workers or fit)
        light, images = parted(study.setting.data)
        orders = ActorOrders(
            request=replace(request, data=light),
            plan=study.plan,
            storage=study.store.url,
            folder=Path.cwd(),
            host=socket.gethostname(),
            cores=cores_of_each(here, request.threads) if address is None else request.threads,
        )
        try:
            with driver.beating(), handlers_kept():
                _tune(driver, orders, images, {"cpu": request.threads, "gpu": share})
        finally:
            driver.give_back_all()
    if driver.fault is not None:
        raise driver.fault
    driver.look(now=True)
    if driver.error is not None:
        raise driver.error
    if stop.told:
        return "the time is up" if stop.time_is_up else "stopped"
    return study.why_over(budget)


def check_share(devices: float) -> None:
    """Raises `SearchError` if no worker can be given so much of an accelerator."""
    if not (0 <= devices <= 1 or (devices > 1 and float(devices).is_integer())):
        raise SearchError(f"devices per worker: {devices} given; allowed: a share from 0 to 1, or a whole number.")


def _share(request: Request, workers: int, *, alone: bool) -> float:
    """The share of an accelerator for each worker: 1 over how many have to go on one."""
    devices = ray.cluster_resources().get("GPU", 0)
    if request.device == "cpu" or not devices:
        return 0.0
    return 1.0 / math.ceil(workers / devices) if alone else 1.0


def _tune(driver: Driver, orders: ActorOrders, images: Arrays, resources: dict[str, float]) -> None:
    """Let Tune run until the driver has nothing more to hand out and nothing runs, or it must end."""
    given = tune.with_parameters(Evaluator, orders=Sealed(orders), images=images)
    trainable = tune.with_resources(given, resources)
    watch = _Watch(driver)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(driver.workers)  # all actors start at once; the driver limits them
    with tempfile.TemporaryDirectory(prefix="attnas-tune-", ignore_cleanup_errors=True) as folder:
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=_Claims(driver),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=folder,
                stop=_End(driver, watch),
                callbacks=[watch],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        ).fit()


class _Unpickled:
    """Tune pickles all that it is given, for a restoration that never comes: of these nothing is kept."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self.driver = driver

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Claims(_Unpickled, Searcher):
    """Tune's searcher: a suggestion is a claimed job."""

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        job = self.driver.next(trial_id)
        if job is None:
            return Searcher.FINISHED if self.driver.is_over else None
        checkpoint = self.driver.study.checkpoint(job.trial)
        parcel = Parcel(job, None if checkpoint is None else checkpoint.absolute())
        return {"parcel": Sealed(parcel, name=job.row.identity[:8])}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        try:
            if error or result is None:
                self.driver.lost(trial_id)
            else:
                self.driver.done(trial_id, result)
        except Exception as fault:
            self.driver.fault = fault  # Tune would log it and go on

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the rows are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class _Watch(_Unpickled, tune.Callback):
    """Looks at the rows between Tune's steps, and cuts short what must not go on."""

    has_cut = False

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self.driver.look()
        if self.driver.must_end and not self.has_cut:
            self.has_cut = True
            for trial in trials:
                actor = trial.temporary_state.ray_actor
                if actor is not None:
                    ray.kill(actor)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        written = trial.error_file
        self.driver.said(Path(written).read_text(encoding="utf-8") if written else "")


class _End(_Unpickled, tune.Stopper):
    """Ends what waits for a machine, too; after `_Watch`, because Tune waits for actors that are alive."""

    def __init__(self, driver: Driver, watch: _Watch) -> None:
        super().__init__(driver)
        self.watch = watch

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.watch.has_cut
