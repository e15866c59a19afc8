"""`attnas eval`: the same top-1 as the training saw, by any runtime, on images whose classes are the export's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_retrain_parquet
import torch
from exported_nets import FOLDER, as_trained, train
from PIL import Image
from retrain_tree import make_tree
from safetensors.torch import save_file
from scipy.special import ndtri
from test_retrain_parquet import write_parquet

from trainers.evaluation import speed
from trainers.export import export
from trainers.latency import repeated
from trainers.proportion import wilson
from trainers.retrained import retrained

Attnas = Callable[..., Any]
QUICK = ("--workers", 0, "--threads", 1, "--repeats", 2, "--batch-size", 5, "--device", "cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree `pets`, a retraining on it, and its export `out`."""
    root = tmp_path_factory.mktemp("measured")
    make_tree(root / "pets", train=5, val=4)
    export(*retrained(train(root, root / "retrain" / FOLDER)), root / "out", torch_export=False)
    return root


def unsummed(out: Path) -> Path:
    (out / "SHA256SUMS").unlink()
    return out


def flip(path: Path) -> None:
    """The last byte is another one: a weight, and the file can be read as before."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def measured(attnas: Attnas, *words: Any) -> dict[str, Any]:
    done = attnas("eval", *words, *QUICK, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_an_export_says_of_the_same_images_what_its_training_saw(attnas: Attnas, root: Path) -> None:
    """Oracle: the training's last record, which another piece of code counted."""
    last = torch.load(root / "retrain" / FOLDER / "last.pt", weights_only=True)["curves"][-1]
    told = measured(attnas, root / "out", "--data", root / "pets")
    assert (told["images"], told["data"], told["split"]) == (24, "folder:pets", "val")
    assert (told["top1"]["share"], told["top5"]["share"]) == (last["accuracy"], last["top5"])
    assert told["reported_top1"] == last["accuracy"] and 0 < last["accuracy"] < 1


def test_onnx_runtime_is_right_as_often_by_pillow_and_numpy_alone(attnas: Attnas, root: Path) -> None:
    """Oracle: central crops by Pillow, the network as trained. 44 x 40 becomes 39 x 36, of which 32 x 32."""
    paths = sorted((root / "pets" / "val").rglob("*.jpg"))
    crops = [np.asarray(Image.open(path).resize((39, 36), Image.Resampling.BILINEAR)) for path in paths]
    pixels = np.stack([crop[2:34, 4:36] for crop in crops]) / 255
    images = torch.tensor((pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], dtype=torch.float32)
    logits = as_trained(root / "retrain" / FOLDER)(images.permute(0, 3, 1, 2))
    labels = torch.tensor(["abcdef".index(path.parent.name) for path in paths])
    told = measured(attnas, root / "out" / "model.onnx", "--data", root / "pets")
    assert told["runtime"].startswith("onnxruntime ")
    assert told["top1"]["share"] == (logits.argmax(1) == labels).sum().item() / 24


def test_the_people_s_text_has_n_intervals_spread_and_hardware(attnas: Attnas, root: Path) -> None:
    done = attnas("eval", root / "out", "--data", root / "pets", *QUICK)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[1] == "val of folder:pets: 24 images" and "95 % interval" in lines[2]
    assert "its training saw" in done.out and "in float32" in done.out
    assert "images/s  (" in done.out and "batch 5" in done.out and " ms  (" in done.out and "batch 1" in done.out
    assert "2 turns after a warm-up" in done.err and "1 threads" in done.err and "float32" in done.err


def test_without_images_only_the_speed_is_measured(attnas: Attnas, root: Path) -> None:
    told = measured(attnas, root / "out")
    assert "top1" not in told and told["latency"]["batch"] == 1 and told["throughput"]["batch"] == 5
    assert told["throughput"]["images_per_second"] == 5 / told["throughput"]["median"]


def test_other_images_are_not_compared_with_what_the_training_saw(attnas: Attnas, root: Path, tmp_path: Path) -> None:
    """A split that it was trained on, a part of `val`, and a tree of class folders alone."""
    train_part = measured(attnas, root / "out", "--data", root / "pets", "--split", "train")
    some = measured(attnas, root / "out", "--data", root / "pets", "--limit", 7)
    alone = measured(attnas, root / "out", "--data", root / "pets" / "val")
    assert [told["images"] for told in (train_part, some, alone)] == [30, 7, 24]
    assert {told["reported_top1"] for told in (train_part, some, alone)} == {None}
    assert alone["top1"] == measured(attnas, root / "out", "--data", root / "pets")["top1"]


def changed_tree(root: Path, tmp_path: Path, *renames: tuple[str, str]) -> Path:
    tree = Path(shutil.copytree(root / "pets", tmp_path / "tree"))
    for part in ("train", "val"):
        for old, new in renames:
            (tree / part / old).rename(tree / part / new)
    return tree


@pytest.mark.parametrize(
    "renames, said",
    [
        ([("a", "z")], "other classes (number 0: 'b' instead of 'a')"),
        ([("f", "zebra")], "other classes (number 5: 'zebra' instead of 'f')"),
        ([("f", ".f")], "5 classes; allowed: the 6 of the export"),
    ],
)
def test_images_of_other_classes_are_refused(
    attnas: Attnas, root: Path, tmp_path: Path, renames: list[tuple[str, str]], said: str
) -> None:
    done = attnas("eval", root / "out", "--data", changed_tree(root, tmp_path, *renames), *QUICK)
    assert done.code == 2 and said in done.err


def test_parquet_counts_alike_and_the_same_classes_in_another_order_are_refused(
    attnas: Attnas, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without names in the files their numbers are taken for the export's."""
    files = measured(attnas, root / "out", "--data", root / "pets")["top1"]
    for names in (True, False):
        rows = write_parquet(root / "pets", tmp_path / f"named-{names}", names=names)
        assert measured(attnas, root / "out", "--data", rows)["top1"] == files
    monkeypatch.setattr(test_retrain_parquet, "CLASSES", tuple("fedcba"))
    other = write_parquet(root / "pets", tmp_path / "reversed")
    done = attnas("eval", root / "out", "--data", other, *QUICK)
    assert done.code == 2 and "parquet:reversed has the same classes in another order" in done.err


def test_a_corrupt_image_is_named_unless_it_may_be_left_out(attnas: Attnas, root: Path, tmp_path: Path) -> None:
    tree = changed_tree(root, tmp_path)
    (tree / "val" / "b" / "0.jpg").write_bytes(b"no image")
    done = attnas("eval", root / "out", "--data", tree, *QUICK)
    assert done.code == 2 and "val/b/0.jpg" in done.err
    told = measured(attnas, root / "out", "--data", tree, "--skip-corrupt", 1)
    assert (told["images"], told["corrupt"], told["reported_top1"]) == (23, 1, None)


@pytest.mark.parametrize(
    "words, said",
    [
        (["out", "--split", "test"], "split: 'test' given; allowed: val, train"),
        (["out", "--runtime", "tensorrt"], "runtime: 'tensorrt' given; allowed: torch, onnx"),
        (["out", "--precision", "int8"], "precision: 'int8' given"),
        (["out", "--runtime", "onnx", "--precision", "bfloat16"], "--runtime onnx is float32 on the CPU"),
        (["out", "--data", "nowhere"], "no such directory"),
        (["."], "no folder that `attnas export` wrote"),
        (["retrained"], "--to DIR` makes"),
        (["nothing/model.onnx"], "no folder that `attnas export` wrote"),
    ],
)
def test_what_can_t_be_measured_is_refused(attnas: Attnas, root: Path, words: list[str], said: str) -> None:
    places = {"out": root / "out", "retrained": root / "retrain" / FOLDER}
    given = [places.get(word, word) for word in words]
    done = attnas("eval", *given)
    assert done.code == 2 and said in done.err


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda out: (out / "config.json").write_text("{}"), "is none that `attnas export` wrote"),
        (lambda out: (out / "config.json").write_text("not JSON"), "is none that `attnas export` wrote"),
        (lambda out: (unsummed(out) / "model.safetensors").write_bytes(b"\x80\x04\x95"), "can't be loaded"),
        (lambda out: save_file({"a": torch.ones(1)}, unsummed(out) / "model.safetensors"), "Missing key(s) in"),
        (lambda out: flip(out / "model.safetensors"), "model.safetensors changed since the export"),
        (lambda out: (out / "config.json").write_text((out / "config.json").read_text() + " "), "config.json changed"),
    ],
)
def test_an_export_that_is_damaged_is_refused(
    attnas: Attnas, root: Path, tmp_path: Path, damage: Callable[[Path], Any], said: str
) -> None:
    out = Path(shutil.copytree(root / "out", tmp_path / "out"))
    damage(out)
    done = attnas("eval", out, *QUICK)
    assert done.code == 2 and said in done.err and "Traceback" not in done.err


def test_an_onnx_file_that_is_none_is_refused(attnas: Attnas, root: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(root / "out", tmp_path / "out"))
    (out / "model.onnx").write_bytes(b"no model")
    assert "model.onnx changed since the export" in attnas("eval", out, "--runtime", "onnx").err
    sums = (out / "SHA256SUMS").read_text()
    unsummed(out)
    assert "can't be loaded by ONNX Runtime" in attnas("eval", out, "--runtime", "onnx").err
    (out / "model.onnx").unlink()
    assert "exported with --no-onnx" in attnas("eval", out, "--runtime", "onnx").err
    (out / "SHA256SUMS").write_text(sums)
    assert "exported with one, which was removed" in attnas("eval", out, "--runtime", "onnx").err


@pytest.mark.parametrize("hits, n", [(0, 10), (7, 10), (10, 10), (38_000, 50_000)])
def test_the_interval_is_wilson_s(hits: int, n: int) -> None:
    """Oracle: the two shares p that are z standard errors of their own from what was seen (Wilson 1927)."""
    z, seen = ndtri(0.975), hits / n
    for p in wilson(hits, n):
        assert abs(seen - p) == pytest.approx(z * (p * (1 - p) / n) ** 0.5, abs=1e-9)


def test_the_clock_runs_after_a_warm_up_and_the_median_is_of_all_turns(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: seconds that are made up."""
    facts, _ = retrained(root / "retrain" / FOLDER)
    seconds = [0.4, 0.1, 0.2, 0.3, 0.9]
    monkeypatch.setitem(speed.__globals__, "repeated", lambda step, *, repeats, threads: (step(), seconds)[1])
    shapes: list[tuple[int, ...]] = []
    found = speed(
        lambda x: (shapes.append(tuple(x.shape)), x)[1],
        facts,
        batch=4,
        repeats=5,
        device=torch.device("cpu"),
        threads=1,
    )
    assert (found.median, found.lower_quartile, found.upper_quartile, found.n) == (0.3, 0.2, 0.4, 5)
    assert shapes == [(4, 3, 32, 32)]


def test_a_step_is_repeated_after_runs_that_do_not_count() -> None:
    ran: list[int] = []
    seconds = repeated(lambda: ran.append(1) or sum(range(200_000)), repeats=2, threads=1)
    assert len(seconds) == 2 and min(seconds) > 0 and len(ran) >= 2 + 3
