"""`Store.latencies`: what was measured first is what everybody gets."""

from __future__ import annotations

import time

from results import open_store
from results.latencies import Latency


def a_latency(**changes: object) -> Latency:
    values: dict[str, object] = {"network_key": "n", "hardware": "cpu", "conditions": "b16", "seconds": 0.5}
    return Latency(**values | {"seconds_iqr": 0.125, "n": 15} | changes)  # type: ignore[arg-type]


def test_a_measured_latency_is_found_by_network_hardware_and_conditions_together(storage_url: str) -> None:
    with open_store(storage_url) as store:
        before = time.time()
        put = a_latency()
        assert store.latencies.put(put) == put and before <= put.measured <= time.time()
        assert store.latencies.get("n", "cpu", "b16") == put
        for other in (("m", "cpu", "b16"), ("n", "gpu", "b16"), ("n", "cpu", "b1")):
            assert store.latencies.get(*other) is None


def test_the_first_measurement_stays_and_whoever_comes_second_is_given_it(storage_url: str) -> None:
    with open_store(storage_url) as store:
        first = store.latencies.put(a_latency(seconds=0.5))
        assert store.latencies.put(a_latency(seconds=0.75, measured=1.0)) == first
        other = store.latencies.put(a_latency(hardware="gpu", seconds=0.25))
    with open_store(storage_url, read_only=True) as store:
        assert store.latencies.get("n", "cpu", "b16") == first and store.latencies.get("n", "gpu", "b16") == other
