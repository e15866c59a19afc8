"""Which cores a process owns."""

import os
import subprocess
import sys

from ray_cluster import ROOT


def test_two_processes_of_a_machine_own_different_cores_and_a_killed_one_gives_its_own_back(tmp_path):
    """With locks of their own: other tests' processes own cores at the same time."""
    code = "from search.cores import own_cores; print(sorted(own_cores(1)), flush=True); input()"

    def start():
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        environment = os.environ | {"TMPDIR": str(tmp_path)}
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, **pipes)
        return process, process.stdout.readline().strip()

    first, cores = start()
    second, others = start()
    first.kill()
    first.communicate()
    third, again = start()
    for process in (second, third):
        process.communicate("\n")
    assert cores != others, "each has its own, or the second none, where there is one core"
    assert again == cores
