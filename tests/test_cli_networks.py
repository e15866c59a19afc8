"""Networks of the user's own on the command line, and what their code may and may not do."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

SMALL = ["--image-size", "8", "--precision", "float32", "--set", "batch_size=16"]


def test_a_network_of_the_users_own_is_searched(attnas, tmp_path, monkeypatch):
    (tmp_path / "own_net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, n, attention):\n"
        "        super().__init__()\n"
        "        self.body = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), attention(16), nn.ReLU())\n"
        "        self.head = nn.Linear(16, n)\n"
        "    def forward(self, x):\n"
        "        return self.head(self.body(x).mean((2, 3)))\n"
        "def net(num_classes, attn_layer):\n"
        "    return Net(num_classes, attn_layer)\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["--data", "synthetic", "--image-size", 16, "--precision", "float32", "--no-fuse", "--epochs", 1]
    words += ["--backbone", "own_net:net"]
    axes = ["--axis", "squeeze=none,avg", "--axis", "excitation=affine,gated"]
    done = attnas("search", *words, *axes, "--trials", 3)
    assert done.code == 0, done.err
    assert "3/3" in done.err and "avg/gated" in attnas("results", "top").out
    done = attnas("search", *words[:-1], "own_net:nothing")
    assert done.code == 2 and "own_net:nothing" in done.err and "net" in done.err
    assert "placement: attn_layer" in attnas("cost", "se", "--backbone", "own_net:net").out
    done = attnas("cost", "se@mid", "--backbone", "own_net:net")
    assert done.code == 2 and "says itself where" in done.err and "drop the placement" in done.err


FACTORY = """
from torch import nn
def net(num_classes, attn_layer):
    body = nn.Sequential(nn.Conv2d(3, WIDTH, 3, 2, 1), attn_layer(WIDTH), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*body, nn.Linear(WIDTH, num_classes))
"""


def test_rows_of_an_edited_network_are_not_ranked_with_those_of_before(tmp_path, tree):
    """In processes of their own, as a user edits between two commands."""
    command = [sys.executable, "-m", "search"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    words = ["train", "none", "--data", f"folder:{tree}", *SMALL, "--epochs", "1", "--backbone", "edited:net"]
    for width in ("8", "12"):
        (tmp_path / "edited.py").write_text(FACTORY.replace("WIDTH", width))
        subprocess.run(command + words, cwd=tmp_path, env=environment, check=True, capture_output=True)
    top = subprocess.run(
        [*command, "results", "top"], check=True, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert top.stdout.count("edited:net#") == 2, top.stdout + top.stderr


def test_no_code_that_a_storage_names_is_run(attnas, tmp_path, tree, monkeypatch):
    """A storage may come from anywhere; the module that its row names would leave a file."""
    attnas("train", "avg/mlp-r8", "--data", f"folder:{tree}", *SMALL, "--epochs", 1, "--backbone", "resnet8")
    (tmp_path / "planted.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\ndef make(num_classes): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    [storage] = tmp_path.glob("*.db")
    with sqlite3.connect(storage) as database:
        database.execute("UPDATE evaluations SET backbone = 'planted:make'")
    for words in (["show", "se"], ["show", "avg/mlp-r8"], ["top"], ["pareto"], ["query", "macs > 0"]):
        attnas("results", *words)
    assert not (tmp_path / "run").exists()
