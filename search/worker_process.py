"""The process of one worker of `search.pool`: orders on standard input, an exit code at the end."""

from __future__ import annotations

import atexit
import ctypes
import gc
import logging
import os
import pickle
import signal
import sys
import warnings
from dataclasses import replace

from sqlalchemy.exc import DBAPIError

from search.budget import Stop
from search.cores import own_cores
from search.pool import BROKEN, TIME_UP, USER_ERROR, Orders
from search_space import UserError

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> int:
    orders: Orders = pickle.load(sys.stdin.buffer)  # from the process that started this one, through a pipe of its own
    stop = Stop(grace_seconds=orders.grace_seconds, deadline=orders.deadline)
    with stop.on_signals():
        _end_with(orders.driver, stop)
        try:
            return _work(orders, stop)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return USER_ERROR
        except DBAPIError as error:
            print(error, file=sys.stderr)
            return 0 if stop.told else 1  # started again, which waits for the storage


def _work(orders: Orders, stop: Stop) -> int:
    import torch

    from results import open_store
    from search.lookout import BrokenSearchError
    from search.worker import work
    from trainers.shared_images import take

    own_cores(orders.cores)
    torch.set_num_threads(orders.request.threads)
    request = orders.request
    if orders.images is not None:
        request = replace(request, data=take(orders.images))
    with open_store(orders.storage) as store:
        setting = request.setting()
        study = request.study(setting, store, study_id=orders.study_id)
        study.sync()  # what failed before is no reason to stop
        try:
            work(study, orders.budget, stop, timeout_seconds=request.timeout_seconds)
        except BrokenSearchError as error:
            print(error, file=sys.stderr)
            return BROKEN
    return TIME_UP if stop.time_is_up else 0


def _end_with(driver: int, stop: Stop) -> None:
    """Stop as after a signal when the driver is gone: it can no longer pass one on."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != driver:  # gone before we could ask to be told
        stop.ask()


if __name__ == "__main__":
    atexit.register(gc.freeze)  # else Python looks once more at every object before it ends, for most of a second
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.WARNING)
    sys.exit(main())
