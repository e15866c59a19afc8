"""What a training frees its process keeps for the next step, and gives back before the next training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
import torch

from trainers.memory import peak_memory_bytes, reset_peak_memory

FAULTS = """
import resource, sys
import torch
from trainers import learner
from trainers.timed_steps import Steps
from trainers.way import Way
if sys.argv[1] == "given back":
    learner.keep_freed_memory = lambda: None
torch.set_num_threads(1)
steps = Steps(Way("float32", "channels_last"), "resnet8", 32, 64, torch.device("cpu"))
counts = []
for _ in range(20):
    steps()
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(*(after - before for before, after in zip(counts, counts[1:])))
"""


def faults(kept: str) -> list[int]:
    """Page faults of each of 19 steps, as the system counts them."""
    command = [sys.executable, "-W", "ignore", "-c", FAULTS, kept]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    return [int(number) for number in done.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is asked")
def test_a_step_takes_its_memory_from_what_the_one_before_has_freed():
    """While the heap still grows, some steps have faults all the same."""
    assert median(faults("kept")) < 20
    assert median(faults("given back")) > 100


def test_a_training_is_not_charged_what_an_earlier_one_has_left():
    reset_peak_memory(torch.device("cpu"))
    before = peak_memory_bytes(torch.device("cpu"))
    if before is None:
        pytest.skip("NOT TESTED: this system does not tell")
    torch.ones(2**26)  # 256 MiB
    large = peak_memory_bytes(torch.device("cpu"))
    reset_peak_memory(torch.device("cpu"))
    assert large - before > 2**27 > peak_memory_bytes(torch.device("cpu")) - before
