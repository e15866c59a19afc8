"""A retraining becomes a row: honest names, measured on `val`, failures classed, claims given back."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from retrain_tree import carried_out, make_tree
from together import diverged
from typer.testing import CliRunner

from results import Row, Store
from search.cli import app
from search.retraining import retrain
from search_space import DesignError, UserError, find_design
from trainers import backbone, cost, imagenet_run
from trainers.image_set import image_set
from trainers.imagenet import RetrainRecipe
from trainers.outcome import failure_class
from trainers.recipe import RecipeError

RECIPE = RetrainRecipe(epochs=1, batch_size=8)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("row") / "pets")


def go(tree: Path, store: Store, output: Path, design: str = "se", **options: Any) -> Row:
    fixed = {"backbone": "resnet8", "image_size": 32, "recipe": RECIPE}
    return retrain(find_design(design), image_set(tree), store=store, output=output, **carried_out(fixed | options))


def test_a_row_says_what_was_trained_and_is_stored(tree: Path, store: Store, tmp_path: Path) -> None:
    """Oracle for the cost: fvcore on the network itself."""
    row = go(tree, store, tmp_path / "out", seed=3)
    assert store.get(row.identity) == row
    assert (row.status, row.data, row.split, row.seed) == ("complete", "folder:pets", "test", 3)
    assert row.data_hash == image_set(tree).content_hash and row.data_hash.startswith("listing:")
    assert (row.recipe, row.recipe_hash, row.epochs, row.schedule_epochs) == ("imagenet", RECIPE.hash, 1, 1)
    assert (row.backbone, row.image_size, row.num_classes, row.design) == ("resnet8", 32, 6, "avg/mlp-r16")
    net = backbone("resnet8", find_design("se"), num_classes=6)
    assert (row.params, row.macs) == (cost(net, 32).params, cost(net, 32).macs)
    assert (row.accuracy, row.loss) == (row.curves[-1]["accuracy"], row.curves[-1]["loss"])
    assert row.precision == "float32" and row.hardware and row.finished and row.started
    assert row.finished - row.started >= row.seconds > 0  # type: ignore[operator]


def test_the_row_holds_what_the_saved_weights_do_on_val(tree: Path, store: Store, tmp_path: Path) -> None:
    """Oracle: Pillow and the ImageNet mean and deviation by hand, model.pt in a fresh backbone, eval mode. 44 x 40
    becomes floor(32 / 0.875) = 36 pixels on the shorter side and 39 on the other."""
    row = go(tree, store, tmp_path / "out", design="fca-ts", recipe=replace(RECIPE, learning_rate=0.05))
    net = backbone("resnet8", find_design("fca-ts"), num_classes=6, scale="paper")
    net.load_state_dict(torch.load(tmp_path / "out" / "model.pt", weights_only=True))
    net.eval()
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    paths = sorted((tree / "val").rglob("*.jpg"))
    crops = [
        np.asarray(Image.open(path).resize((39, 36), Image.Resampling.BILINEAR).crop((4, 2, 36, 34))) for path in paths
    ]
    images = torch.tensor((np.stack(crops) / 255 - mean) / std, dtype=torch.float32).permute(0, 3, 1, 2)
    labels = torch.tensor(["abcdef".index(path.parent.name) for path in paths])
    with torch.inference_mode():
        logits = net(images)
    assert row.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-3)
    assert row.accuracy == (logits.argmax(1) == labels).sum().item() / len(labels)
    last = logits.argsort(1)[:, 0]  # six classes: all but the last guess are the first five
    assert row.curves[-1]["top5"] == pytest.approx((last != labels).float().mean().item())


def test_spellings_that_differ_at_the_published_scale_are_two_rows(tree: Path, store: Store, tmp_path: Path) -> None:
    """At the published scale the lowest frequency is sqrt(HW) times the average: a gate without weights shows it."""
    low = go(tree, store, tmp_path / "low", design="dct-low1/pfca")
    average = go(tree, store, tmp_path / "average", design="avg/pfca")
    assert low.network_key != average.network_key
    assert low.loss != average.loss


def test_a_row_that_is_complete_is_the_answer(
    tree: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = go(tree, store, tmp_path / "out")
    capsys.readouterr()
    assert go(tree, store, tmp_path / "elsewhere") == row
    assert "complete in the storage already" in capsys.readouterr().err
    assert not (tmp_path / "elsewhere").exists()


def test_there_is_one_plain_line_an_epoch_where_no_terminal_is(
    tree: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = go(tree, store, tmp_path / "out", recipe=replace(RECIPE, epochs=2))
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line.startswith("epoch")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert all("top-1" in line and "top-5" in line and "images/s" in line for line in lines)
    assert f"top-1 {row.accuracy:.2%}" in lines[-1]
    assert said.out == ""


def test_a_loss_that_is_not_finite_fails_as_nan(tree: Path, store: Store, tmp_path: Path) -> None:
    row = go(tree, store, tmp_path / "out", recipe=replace(RECIPE, learning_rate=1e30))
    assert (row.status, row.failure, row.accuracy) == ("failed", "nan", None)
    assert "NotFiniteError: the loss is" in (row.error or "")
    assert store.get(row.identity) == row
    assert not (tmp_path / "out" / "model.pt").exists()


def test_a_process_whose_training_diverged_ends(tree: Path, tmp_path: Path) -> None:
    """Workers that decode heed no SIGTERM, so that one which outlived its training would be waited for for ever."""
    assert diverged(tree, tmp_path / "out") == 0


@pytest.mark.parametrize(
    "error, failure",
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "oom"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "oom"),
        (ZeroDivisionError("ours"), "bug"),
    ],
)
def test_a_failure_is_recorded_with_its_class_and_traceback(
    tree: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, failure: str
) -> None:
    monkeypatch.setattr(imagenet_run.Run, "_train_epoch", raising(error))
    row = go(tree, store, tmp_path / "out")
    assert (row.status, row.failure, row.curves) == ("failed", failure, [])
    assert row.error and row.error.startswith("Traceback") and str(error) in row.error


def raising(error: BaseException) -> Any:
    def function(*_: object) -> None:
        raise error

    return function


def test_ctrl_c_leaves_the_checkpoint_and_gives_the_claim_back(
    tree: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = imagenet_run.Run.update
    steps = 0

    def interrupted(self: imagenet_run.Run, *batches: Any) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == 5:  # of 3 an epoch
            raise KeyboardInterrupt
        return step(self, *batches)

    monkeypatch.setattr(imagenet_run.Run, "update", interrupted)
    recipe = replace(RECIPE, epochs=2)
    with pytest.raises(KeyboardInterrupt):
        go(tree, store, tmp_path / "out", recipe=recipe)
    assert store.rows() == []
    assert (tmp_path / "out" / "last.pt").exists()
    assert go(tree, store, tmp_path / "out", recipe=recipe).status == "complete"
    assert steps == 5 + 3  # the first epoch was not trained again


def test_what_failed_is_answered_with_the_way_to_go_on_and_goes_on_from_its_last_checkpoint(
    tree: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    update, updates = imagenet_run.Run.update, 0

    def failing(self: imagenet_run.Run, *batches: Any) -> torch.Tensor:
        nonlocal updates
        updates += 1
        if updates == 5:  # of 3 an epoch
            raise ValueError("a bug that is mended later")
        return update(self, *batches)

    monkeypatch.setattr(imagenet_run.Run, "update", failing)
    recipe = replace(RECIPE, epochs=2)
    assert go(tree, store, tmp_path / "out", recipe=recipe).status == "failed"
    assert go(tree, store, tmp_path / "out", recipe=recipe).status == "failed" and updates == 5
    assert "--retry-failed goes on from its last checkpoint" in capsys.readouterr().err
    row = go(tree, store, tmp_path / "out", recipe=recipe, retry_failed=True)
    assert (row.status, row.failure, updates, len(row.curves)) == ("complete", None, 5 + 3, 2)


def test_a_corrupt_image_ends_the_training_by_name_and_gives_the_claim_back(store: Store, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "pets")
    path = tree / "train" / "f" / "3.jpg"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=f"can't be read.*{path}"):
        go(tree, store, tmp_path / "out")
    assert store.rows() == []


def test_images_that_cannot_be_read_are_left_out_up_to_a_number_named_and_counted(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = make_tree(tmp_path / "pets")
    for path in (tree / "train" / "f" / "3.jpg", tree / "val" / "a" / "0.jpg"):
        path.write_bytes(path.read_bytes()[:200])
    row = go(tree, store, tmp_path / "out", most_corrupt=2)
    said = capsys.readouterr().err
    assert [said.count(f"left out: {tree / name}: ") for name in ("train/f/3.jpg", "val/a/0.jpg")] == [1, 1]
    assert row.status == "complete" and {record["corrupt"] for record in row.curves} == {2}
    measured = row.accuracy * 11  # type: ignore[operator]  # of 12 images
    assert measured == pytest.approx(round(measured))
    with pytest.raises(UserError, match=r"2 image\(s\) can't be read, and 1 may be left out"):
        go(tree, store, tmp_path / "other", most_corrupt=1, seed=1)


def test_a_worker_that_the_system_kills_is_the_machine_s_fault() -> None:
    """Oracle: what torch.utils.data raises; the training is then tried again from its last checkpoint."""
    said = "DataLoader worker (pid(s) 123) exited unexpectedly"
    assert failure_class(RuntimeError(said)) == "infra"
    assert failure_class(RuntimeError("Caught ValueError in DataLoader worker process 0.")) == "bug"


@pytest.mark.parametrize(
    "options, error, said",
    [
        ({"workers": -1}, UserError, "workers: -1 given; allowed"),
        ({"image_size": 4}, UserError, "image size: 4 given; allowed: 8"),
        ({"design": "haar-d6-coarse4/mlp-r16"}, DesignError, "wavelet depth"),
        ({"backbone": "resnet9"}, UserError, "resnet9.*does not exist"),
        ({"recipe": RetrainRecipe(batch_size=25)}, UserError, "batch size: 25 with 24 training images of folder:pets"),
        ({"precision": "float8"}, UserError, "precision: 'float8' given"),
    ],
)
def test_an_impossible_request_is_refused_with_no_row_and_no_weights(
    tree: Path, store: Store, tmp_path: Path, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        go(tree, store, tmp_path / "out", **options)
    assert store.rows() == []
    assert not list(tmp_path.glob("out/*.pt"))


def test_bfloat16_trains_in_channels_last(tree: Path, store: Store, tmp_path: Path) -> None:
    row = go(tree, store, tmp_path / "out", precision="bfloat16")
    assert (row.status, row.precision) == ("complete", "bfloat16")
    weights = torch.load(tmp_path / "out" / "model.pt", weights_only=True)
    assert {value.dtype for value in weights.values()} == {torch.float32, torch.int64}
    assert weights["blocks.1.conv1.weight"].is_contiguous(memory_format=torch.channels_last)


def test_the_command_prints_the_row_and_a_second_one_answers_from_it(tree: Path, tmp_path: Path) -> None:
    command = ["retrain", "se", "--data", str(tree), "--backbone", "resnet8", "--image-size", "32", "--epochs", "1"]
    command += ["--batch-size", "8", "--workers", "0", "--device", "cpu", "--precision", "float32", "--json"]
    command += ["--storage", f"sqlite:///{tmp_path}/rows.db", "--output", str(tmp_path / "out")]
    first, second = (CliRunner().invoke(app, command, catch_exceptions=False) for _ in range(2))
    assert first.exit_code == second.exit_code == 0
    [told] = json.loads(first.stdout)
    assert (told["design"], told["seed"], told["status"]) == ("avg/mlp-r16", 0, "complete")
    assert second.stdout == first.stdout
    assert "epoch 1/1" in first.stderr and "epoch 1/1" not in second.stderr


def test_a_learning_rate_of_zero_is_refused() -> None:
    with pytest.raises(RecipeError, match="learning_rate: 0 given"):
        RetrainRecipe(learning_rate=0)
