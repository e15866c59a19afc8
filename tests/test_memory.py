"""What a training frees its process keeps for the next step, and gives back before the next training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
for _ in range(8):
    steps()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    steps()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 5)
"""


def faults(kept: str) -> float:
    """Page faults of a step, as the system counts them."""
    command = [sys.executable, "-W", "ignore", "-c", FAULTS, kept]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is asked")
def test_a_step_takes_its_memory_from_what_the_one_before_has_freed():
    assert 3 * faults("kept") < faults("given back")


def test_a_training_is_not_charged_what_an_earlier_one_has_left():
    reset_peak_memory(torch.device("cpu"))
    before = peak_memory_bytes(torch.device("cpu"))
    if before is None:
        pytest.skip("NOT TESTED: this system does not tell")
    torch.ones(2**26)  # 256 MiB
    large = peak_memory_bytes(torch.device("cpu"))
    reset_peak_memory(torch.device("cpu"))
    assert large - before > 2**27 > peak_memory_bytes(torch.device("cpu")) - before
